"""Whether the wall clock was moved, by a clock that nobody can set: the one that counts from the machine's start.

    wall clock − time since start  =  a constant, while nobody sets the clock    (sleep counts on both sides)

The constant is kept in the store, so that a clock that was moved while otpkeep did not run is noticed, too.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

DAY_MS = 24 * 3600 * 1000
FAR_MS = DAY_MS
"""Less than this is time zones, drift and leap seconds, and harms nobody."""
SETTLING_MS = 600_000
"""After its start a machine without a battery clock asks the network what time it is: that is no news."""
FORGET_MS = DAY_MS
"""A clock that has stayed where it was moved to for so long is taken for right."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks at one moment: ms since 1970, ms since the machine's start, and which start that was."""

    wall: int
    since_start: int
    boot: str

    @property
    def constant(self) -> int:
        """When the machine was started (ms since 1970), by the wall clock as it is set."""
        return self.wall - self.since_start


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where the wall clock stood: the constant (ms) of one start; `moved_at` is when it was first found elsewhere."""

    boot: str
    constant: int
    moved_at: int | None = None

    def encode(self) -> bytes:
        """Return it as the store keeps it; when it was moved is not kept."""
        return f"{self.boot} {self.constant}".encode()

    @classmethod
    def decode(cls, kept: bytes | None) -> Anchor | None:
        """Return what the store has kept, None if there is none, or one that can't be read."""
        words = (kept or b"").decode(errors="replace").split()
        with contextlib.suppress(ValueError):
            if len(words) == 2:
                return cls(words[0], int(words[1]))
        return None


def follow(anchor: Anchor | None, now: Reading) -> tuple[Anchor, int]:
    """Return the anchor to go on with, and by how much (ms, forward or back) the clock stands away from it; 0 if near.

    Small steps are followed, so that many of them in a long time are never taken for a great one.
    """
    here = Anchor(now.boot, now.constant)
    if anchor is None or anchor.boot != now.boot or now.since_start < SETTLING_MS:
        return here, 0
    moved = now.constant - anchor.constant
    if abs(moved) < FAR_MS:
        return here, 0
    since = anchor.moved_at if anchor.moved_at is not None else now.since_start
    if now.since_start - since >= FORGET_MS:
        return here, 0
    return Anchor(anchor.boot, anchor.constant, since), moved


def awake_or_asleep() -> float:
    """Return seconds of a clock that nobody sets, and that goes on while the machine sleeps.

    Linux has another one for that; time.monotonic() stands still there, and on macOS, in sleep.
    """
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    if sys.platform == "darwin":
        return time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic()


def read() -> Reading:
    """Read both clocks; systems other than Linux have no boot id."""
    try:
        boot = _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        boot = "unknown"
    return Reading(time.time_ns() // 1_000_000, int(awake_or_asleep() * 1000), boot)
