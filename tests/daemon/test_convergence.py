"""Three devices and a hostile cloud: whatever happens between them, they end alike and nothing is lost."""

from __future__ import annotations

from support_convergence import Convergence, profile

TestConvergence = Convergence.TestCase
TestConvergence.settings = profile(20)
