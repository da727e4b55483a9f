"""Three devices and a hostile folder between them: they go on, name what is wrong, and lose and invent nothing."""

from __future__ import annotations

from support_convergence import profile
from support_hostile import HostileFolder

TestHostileFolder = HostileFolder.TestCase
TestHostileFolder.settings = profile(15)
