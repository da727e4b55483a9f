"""Three devices and a hostile cloud: whatever happens between them, they end alike and nothing is lost."""

from __future__ import annotations

import pytest

from support_convergence import Convergence, profile

pytestmark = pytest.mark.sweep
TestConvergence = Convergence.TestCase
TestConvergence.settings = profile(20)
