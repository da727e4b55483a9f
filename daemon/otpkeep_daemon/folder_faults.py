"""What the folder and its file system can do to us, in words: the cause, what is safe, what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from otpkeep_protocol.errors import (
    FileUnwritten,
    FolderFull,
    FolderReadOnly,
    FolderUnwritable,
    Malformed,
    Refused,
    Unreachable,
    Unwatched,
)

_HINTS = {
    errno.ENOENT: "Mount the disk, start the cloud program, or move the folder back to this place.",
    errno.ENOTDIR: "Something else has that name: move it away, and the folder back to this place.",
    errno.ELOOP: "The links there lead in a circle: mend them so that they lead to the folder.",
    errno.EACCES: "Give your user the right to read and write there (chmod u+rwx on the folder).",
    errno.EPERM: "Give your user the right to read and write there (chmod u+rwx on the folder).",
    errno.ENOSPC: "The disk is full: free some space there; the next look tries again.",
    errno.EDQUOT: "Your quota there is used up: free some space; the next look tries again.",
    errno.EROFS: "It is mounted read-only: mount it for writing; a disk with errors may do that by itself.",
    errno.EIO: "The disk or the connection to it fails: check it before you rely on this folder.",
    errno.EMFILE: "Too many files are open: restart otpkeep; the next look tries again.",
    errno.ENFILE: "The whole system has too many files open; the next look tries again.",
    errno.ESTALE: "The server has forgotten this mount: mount it again.",
    errno.ENOTCONN: "The program behind this mount has ended: start it, or mount it again.",
}


def shown(name: str) -> str:
    """Return a file name as it may stand in a message: one that could steer a terminal or forge a line is escaped."""
    return name if name.isprintable() else ascii(name)


def unreachable(path: Path, error: OSError) -> Unreachable:
    """Say that the folder can't be used, why, and what to do about that cause."""
    number = error.errno or 0
    kind = _UNWRITABLE.get(number)
    if kind is not None:
        return _unwritable(path, number, kind)
    return Unreachable(
        f"The folder {path} can't be used: {_cause(number)}. What you saved is safe on this device.",
        _HINTS.get(number, "Check the folder and the cloud program; the next look tries again."),
    )


def unwritable(path: Path, number: int) -> FolderUnwritable:
    """Say that the folder can be read but not written, by the errno of writing there."""
    return _unwritable(path, number, _UNWRITABLE.get(number, FolderUnwritable))


_UNWRITABLE: Mapping[int, type[FolderUnwritable]] = {
    errno.ENOSPC: FolderFull,
    errno.EDQUOT: FolderFull,
    errno.EROFS: FolderReadOnly,
}


def _unwritable(path: Path, number: int, kind: type[FolderUnwritable]) -> FolderUnwritable:
    return kind(
        f"The folder {path} can't be written: {_cause(number)}. What you saved is safe on this device.",
        _HINTS.get(number, "Check the disk with the folder; the next look tries again."),
    )


def _cause(number: int) -> str:
    return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"


def unwritten(path: Path, error: OSError) -> FileUnwritten:
    """Say that a watched file, or the own vault file, could not be written, and why."""
    return FileUnwritten(
        f"the file {path} could not be written: {error.strerror}; every edit is safe in the store",
        _HINTS.get(error.errno or 0, "Free some space, or check the permissions of its directory."),
    )


def unwatched(path: Path, error: OSError) -> Unwatched:
    """Say that the system gives no hints about changes in a directory, and what to raise."""
    number = error.errno or 0
    return Unwatched(
        f"changes in {path} are not told by the system ({_cause(number)}); they are found at the next timed look",
        _MORE_WATCHES.get(number, "Nothing is lost; `look_every_s` in the settings says how often is looked."),
    )


_MORE_WATCHES = {
    errno.ENOSPC: "Allow more watches: sudo sysctl fs.inotify.max_user_watches=524288, and write the same line into "
    "/etc/sysctl.d/60-inotify.conf so that it stays. The next look watches again.",
    errno.EMFILE: "Allow more of them: sudo sysctl fs.inotify.max_user_instances=1024, and write the same line into "
    "/etc/sysctl.d/60-inotify.conf so that it stays. The next look watches again.",
}


def exchanged(path: Path) -> Unreachable:
    """Say that another directory stands in the folder's place than a moment ago."""
    return Unreachable(
        f"The folder {path} was unmounted or exchanged just now. Nothing was written there; what you saved is safe.",
        "Mount it again; the next look finds it.",
    )


def oversized(name: str) -> Malformed:
    """Say that a file is larger than any that otpkeep writes."""
    return Malformed(
        f"{shown(name)} is larger than any file of otpkeep. It was not read; nothing else is affected.",
        "If it is not yours, move it out of the folder.",
    )


def denied(name: str) -> Refused:
    """Say that the rights of one file keep it from us."""
    return Refused(
        f"The system does not let this user read {shown(name)}. Nothing else is affected.",
        "Give your user the right to read it (chmod u+r), or move it out of the folder if it is not yours.",
    )


def not_read_back(name: str) -> Unreachable:
    """Say that a file did not stay as it was written."""
    return Unreachable(
        f"{shown(name)} was written and does not read back the same. What you saved is safe on this device.",
        "Check the disk, and whether another program changes files in this folder.",
    )
