"""Three devices and a hostile folder between them: they go on, name what is wrong, and lose and invent nothing."""

from __future__ import annotations

import pytest

from support_convergence import profile
from support_hostile import HostileFolder

pytestmark = pytest.mark.sweep
TestHostileFolder = HostileFolder.TestCase
TestHostileFolder.settings = profile(15)
