"""The writer lock: one process at a time may open the store, so that no dot is ever made twice.

It is a flock on a file of its own, since SQLite drops locks of a process that opens and closes its file again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from otpkeep_daemon import file_lock, store_faults
from otpkeep_protocol.errors import Busy

PATIENCE_S = 5.0
_STEP_S = 0.02


class WriterLock:
    """A held lock. It dies with the process, whatever kills it."""

    def __init__(self, descriptor: int) -> None:
        """Wrap a locked descriptor."""
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let the next process in. A second time does nothing: the number may be somebody else's file by then."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def try_lock(path: Path, purpose: str) -> WriterLock | None:
    """Take the lock and write into it who holds it; None if another process does."""
    descriptor = _open(path)
    if not file_lock.take(descriptor):
        os.close(descriptor)
        return None
    with contextlib.suppress(OSError):  # on a full disk the lock still holds, it only does not say whose it is
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()} {purpose}\n".encode())
    return WriterLock(descriptor)


def _open(path: Path) -> int:
    """Open the file, new if there is none; on a read-only disk for reading, since the lock needs no more."""
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        try:
            return os.open(path, flags, 0o600)  # which no child of this process inherits (PEP 446)
        except OSError as error:
            trouble = error
            if error.errno != errno.EROFS or not path.exists():
                break
    raise store_faults.refused(
        trouble, path.parent, "the store's lock can't be taken; nothing was changed"
    ) from trouble


def wait_for_lock(path: Path, purpose: str, meanwhile: Callable[[], bool]) -> WriterLock | None:
    """Take the lock within five seconds; None as soon as `meanwhile` says that it is no longer needed.

    Busy, naming the process that holds it, when the time is over.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        if (lock := try_lock(path, purpose)) is not None:
            return lock
        if meanwhile():
            return None
        if time.monotonic() > deadline:
            raise Busy(
                f"the store is in use by process {holder(path)}, which does not answer; nothing was changed",
                "Wait until it has finished, or stop it, and try again.",
            )
        time.sleep(_STEP_S)


def holder(path: Path) -> str:
    """Return what the holder wrote: its process id and purpose."""
    return path.read_text(errors="replace").strip() or "(unknown)"
