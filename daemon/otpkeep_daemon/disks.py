"""Whether a file can be written in a directory: what its file system says of itself, and what it does."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from otpkeep_daemon import durable

NEEDED = 262_144
"""Bytes. With less room than this, or than a SHARE of a small disk, the next edit may not fit."""
SHARE = 20
TRIED = 65_536
"""Bytes that are written to see whether writing works; they never have a name."""
_NO_ANONYMOUS = frozenset({errno.EISDIR, errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL})


def told(directory: Path) -> int | None:
    """Return the errno that writing there must be expected to fail with, by what the file system says of itself.

    None if it says nothing of the kind, or can't be asked: quotas, and disks that went read-only by an error, show only
    when something is written.
    """
    if sys.platform == "win32":
        return None
    try:
        said = os.statvfs(directory)
    except OSError:
        return None
    if said.f_flag & os.ST_RDONLY:
        return errno.EROFS
    needed = min(NEEDED, said.f_blocks * said.f_frsize // SHARE)
    if said.f_bavail * said.f_frsize < needed or (said.f_files and not said.f_favail):
        return errno.ENOSPC
    return None


def tried(directory: Path) -> int | None:
    """Return the errno that writing there fails with at this moment, None if it works. Nothing is left there."""
    if not hasattr(os, "O_TMPFILE"):
        return told(directory)
    try:
        with durable.opened(directory, os.O_TMPFILE | os.O_WRONLY) as descriptor:
            rest = TRIED
            while rest > 0:
                rest -= os.write(descriptor, bytes(rest))
    except OSError as error:
        return told(directory) if error.errno in _NO_ANONYMOUS else error.errno
    return None
