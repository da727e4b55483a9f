"""Writing into another program's file: swap it with the new one in a single step, and look at what was swapped out.

So whatever the other program had written up to that very moment is still there, under the temporary name:

    partial ──rename──▶ temporary (whole) ──exchange──▶ NAME        temporary now is what NAME was
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon import durable
from otpkeep_daemon.durable import Directory

READ_LIMIT = 64 * 1024 * 1024 + 1
"""One byte more than any reader of a format takes."""
_EXCHANGE = 2
"""RENAME_EXCHANGE of Linux's renameat2, and RENAME_SWAP of macOS's renameatx_np."""
_NOT_OFFERED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Places:
    """The names that one exchange uses, beside each other in one directory."""

    directory: Path
    name: str
    temporary: str

    @property
    def partial(self) -> str:
        """Where the new bytes are until they are whole."""
        return f"{self.temporary}.part"

    @property
    def aside(self) -> str:
        """Where the old file is meanwhile, if the system can't exchange."""
        return f"{self.temporary}.old"


def prepare(places: Places, data: bytes) -> None:
    """Write the new bytes under the temporary name, whole and durable, with the mode of the file that they replace."""
    with durable.directory(places.directory) as folder:
        flags = os.O_CREAT | os.O_TRUNC | durable.NO_LINK | os.O_WRONLY
        with durable.opened(places.partial, flags, folder) as descriptor:
            with contextlib.suppress(FileNotFoundError):
                _copy_mode(places, descriptor)
            durable.write_all(descriptor, data)
        durable.rename(folder, places.partial, places.temporary)


def exchange(places: Places) -> None:
    """Swap the temporary file with the named one, durably. FileNotFoundError if there is none: nothing was done."""
    with durable.directory(places.directory) as folder:
        try:
            _swap(folder, places.temporary, places.name)
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
            _swap_by_hand(folder, places)
        durable.sync_directory(folder)


def create(places: Places) -> None:
    """Give the temporary file its name, where none was; FileExistsError if somebody made one meanwhile."""
    with durable.directory(places.directory) as folder:
        durable.link(folder, places.temporary, places.name)
        durable.discard(folder, places.temporary)
        durable.sync_directory(folder)


def swapped_out(places: Places) -> bytes | None:
    """Return what the temporary name holds: after the exchange, what the file held; None if there is no such name."""
    with (
        contextlib.suppress(FileNotFoundError),
        durable.directory(places.directory) as folder,
    ):
        if durable.exists(folder, places.aside) and not durable.exists(folder, places.temporary):
            durable.rename(folder, places.aside, places.temporary)
        with durable.opened(places.temporary, durable.READ_FLAGS, folder) as descriptor:
            return durable.read_all(descriptor, READ_LIMIT)
    return None


def clear(places: Places) -> None:
    """Remove all temporary names."""
    with (
        contextlib.suppress(FileNotFoundError),
        durable.directory(places.directory) as folder,
    ):
        for name in (places.partial, places.aside, places.temporary):
            durable.discard(folder, name)


def _copy_mode(places: Places, descriptor: int) -> None:
    """Give a file the mode of the named one; where modes say nothing, its directory's access list holds for both."""
    if sys.platform != "win32" and hasattr(os, "fchmod"):
        os.fchmod(descriptor, stat.S_IMODE((places.directory / places.name).stat().st_mode))


def _swap(folder: Directory, one: str, other: str) -> None:
    """Exchange two names atomically; OSError if the system or its file system can't."""
    if isinstance(folder, Path):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    libc = ctypes.CDLL(None, use_errno=True)
    function = getattr(libc, "renameat2" if sys.platform == "linux" else "renameatx_np", None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(folder, os.fsencode(one), folder, os.fsencode(other), ctypes.c_uint(_EXCHANGE)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), other)


def _swap_by_hand(folder: Directory, places: Places) -> None:
    """Put the old file aside under a second name, and the new one in its place.

    What another program renames there between these two calls is lost to it; an exchange has no such moment.
    """
    durable.discard(folder, places.aside)
    durable.link(folder, places.name, places.aside)
    durable.rename(folder, places.temporary, places.name)
    durable.rename(folder, places.aside, places.temporary)
