"""Keeping the memory of a process that holds keys from other processes of the same user, and out of core dumps."""

from __future__ import annotations

import ctypes
import sys

PR_SET_DUMPABLE = 4
"""From linux/prctl.h."""


def protect_memory() -> bool:
    """Turn core dumps off, and on Linux debuggers and /proc/PID/mem too. Return whether the second was possible.

    Root can still look, and so can whoever could before: a debugger that is attached already stays.
    """
    if sys.platform == "win32":
        return False
    import resource  # Windows has none

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return False
    failed: int = ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    return failed == 0
