"""Three devices and a hostile cloud: whatever happens between them, they end alike and nothing is lost."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from support_convergence import Convergence

settings.register_profile(
    "convergence",
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestConvergence = Convergence.TestCase
TestConvergence.settings = settings.get_profile("convergence")
