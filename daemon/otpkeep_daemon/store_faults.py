"""What the disk under the store can do to us, in words: what is safe, what to do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from otpkeep_daemon import disks
from otpkeep_protocol.errors import OtpkeepError, StoreFull, StoreReadOnly, StoreUnwritable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_PRIMARY = 0xFF
"""What of an extended result code of SQLite is the primary one (https://www.sqlite.org/rescode.html)."""


def full(directory: Path) -> StoreFull:
    """Say that the store's disk is full."""
    return StoreFull(
        f"the disk with the store ({directory}) is full: nothing can be saved on this device; "
        "nothing is lost that was saved before",
        "Free some space on that disk; otpkeep goes on by itself.",
    )


def read_only(directory: Path) -> StoreReadOnly:
    """Say that the store's disk takes no writes."""
    return StoreReadOnly(
        f"the store ({directory}) is read-only: nothing can be saved on this device; "
        "nothing is lost that was saved before",
        "Mount its disk for writing (mount -o remount,rw); one that has errors goes read-only by itself: check it "
        "first, and restart otpkeep if it must be unmounted for that.",
    )


def by_number(number: int | None, directory: Path) -> StoreUnwritable | None:
    """Return what an errno of writing in the store's directory means; None if it is neither of the two."""
    if number in _FULL:
        return full(directory)
    return read_only(directory) if number in _FORBIDDEN else None


def unwritable(error: sqlite3.OperationalError, directory: Path, message: str) -> StoreUnwritable:
    """Return why SQLite could not write; what it says seldom names the cause, so writing is tried."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code == sqlite3.SQLITE_FULL:
        return full(directory)
    cause = by_number(disks.tried(directory), directory)
    if cause is None and code == sqlite3.SQLITE_READONLY:
        cause = read_only(directory)
    return cause or StoreUnwritable(f"{message} ({error})", "Free some space or check the disk, and try again.")


def refused(error: OSError, directory: Path, message: str) -> OtpkeepError:
    """Return why the system did not let a file be made beside the store."""
    cause = by_number(error.errno, directory)
    return cause or OtpkeepError(f"{message} ({error.strerror})", "Check that disk and its permissions.")
