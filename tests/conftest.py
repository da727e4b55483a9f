"""How Hypothesis works in every test here.

No verdict may depend on how fast the machine is, or how busy: none is an error because an example took long to make
or to try. What is repeatable in CI stays so: the rest is as Hypothesis has it there and elsewhere.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

UNHURRIED = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile(
    "otpkeep",
    settings(deadline=None, suppress_health_check=sorted({*settings().suppress_health_check, *UNHURRIED}, key=str)),
)
settings.load_profile("otpkeep")
