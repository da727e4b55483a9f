"""Asking the system's own programs."""

from __future__ import annotations

import subprocess

_PATIENCE_S = 10


def answer(*words: str) -> str | None:
    """Return what a program printed, without the newline at its end; None if it is missing, fails or hangs."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=_PATIENCE_S
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.rstrip("\n")
