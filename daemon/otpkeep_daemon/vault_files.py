"""Reading the files in which accounts live for other programs, which may be writing them at this moment."""

from __future__ import annotations

import contextlib
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from otpkeep_daemon import durable
from otpkeep_daemon.exchange import READ_LIMIT
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.naming import is_conflict_copy

PAUSE_S = 0.03
"""Between two reads that must be equal."""

Stamp = tuple[int, int, int, int]
"""Device, inode, mtime (ns) and size: while these stay, the content does."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a file held in two equal reads."""

    data: bytes = field(repr=False)
    stamp: Stamp

    @property
    def digest(self) -> bytes:
        """SHA-256 of the bytes."""
        return sha256(self.data)


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of a regular file, None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def read_stable(path: Path, pause: Callable[[float], None] = time.sleep) -> Content | None:
    """Return what a file holds, None if it is missing, can't be read, or changes meanwhile: then look again later."""
    before = stamp_of(path)
    if before is None or before[3] >= READ_LIMIT:
        return None
    with contextlib.suppress(OSError):
        first = _read(path)
        pause(PAUSE_S)
        if _read(path) == first and stamp_of(path) == before:
            return Content(first, before)
    return None


def copies_beside(path: Path) -> list[Path]:
    """Return the conflict copies that a cloud client has put beside a file."""
    with contextlib.suppress(OSError):
        return sorted(other for other in path.parent.iterdir() if is_conflict_copy(other.name, path.name))
    return []


def _read(path: Path) -> bytes:
    with durable.opened(path, durable.NO_WAIT) as descriptor:
        return durable.read_all(descriptor, READ_LIMIT)
