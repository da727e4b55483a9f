"""Writing a file so that it is whole or not there, also after a power cut.

Everything works relative to an open directory (`folder`, a file descriptor), so that nothing moves under
it in mid-write. Where the system knows no such thing, which is Windows, `folder` is the path itself, and
what it can't promise is left out: names are not synced there, and links are told apart only by a look.
Every function lets OSError through; `folder` turns it into words.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

if sys.platform == "darwin":
    import fcntl

_NO_DIRECTORY_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
# What kernels and file systems answer that have no O_TMPFILE, no hard links, or no /proc to link through.
_NOT_OFFERED = _NO_DIRECTORY_SYNC | {errno.EISDIR, errno.ENOENT, errno.ENOSYS, errno.EPERM, errno.EXDEV}
_PIECE = 1 << 20

Directory: TypeAlias = int | Path
"""An open directory, or its path where directories can't be opened."""
_BY_DESCRIPTOR = os.open in os.supports_dir_fd


def _flag(name: str) -> int:
    """Return a flag of os.open, nothing where the system has no such flag."""
    flag: int = getattr(os, name, 0)
    return flag


NO_WAIT = os.O_RDONLY | _flag("O_NONBLOCK")
"""A pipe where a file was expected blocks nobody."""
NO_LINK = _flag("O_NOFOLLOW")
READ_FLAGS = NO_WAIT | NO_LINK
"""For names that others choose: no link is followed, and a pipe of that name blocks nobody."""
_ALWAYS = _flag("O_CLOEXEC") | _flag("O_NOINHERIT") | _flag("O_BINARY")


@contextlib.contextmanager
def directory(path: Path) -> Iterator[Directory]:
    """Hold a directory open. OSError if it is none."""
    if not _BY_DESCRIPTOR:
        if not stat.S_ISDIR(path.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        yield path
        return
    with opened(path, os.O_RDONLY | _flag("O_DIRECTORY")) as descriptor:
        yield descriptor


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], flags: int, folder: Directory | None = None) -> Iterator[int]:
    """Open `path` (in `folder`, if given), mode 0600 if it is made, and close it at the end."""
    name, within = _at(folder, path)
    descriptor = os.open(name, flags | _ALWAYS, 0o600, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_file(descriptor: int) -> None:
    """Bring a file's bytes to the disk itself; on macOS plain fsync stops at the disk's own cache."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def _at(folder: Directory | None, name: str | os.PathLike[str]) -> tuple[str | os.PathLike[str], int | None]:
    """Return a name and the descriptor that it is relative to, as the functions of `os` take them."""
    if isinstance(folder, Path):
        return folder / name, None
    return name, folder


def sync_directory(folder: Directory) -> None:
    """Make the names in a directory durable, where its file system knows how."""
    if isinstance(folder, Path):
        return
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however many calls the system takes for it, and sync it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    sync_file(descriptor)


def read_all(descriptor: int, limit: int) -> bytes:
    """Read from the present position to the end, but at most `limit` bytes."""
    parts, left = [], limit
    while left and (part := os.read(descriptor, min(left, _PIECE))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def identity(folder: Directory) -> tuple[int, int]:
    """Return the numbers that tell a directory from every other: of its file system, and in it."""
    found = os.stat(folder)  # noqa: PTH116  # a descriptor has no Path
    return found.st_dev, found.st_ino


def status(folder: Directory, name: str) -> os.stat_result:
    """Return the status of what has that name, of a link itself. FileNotFoundError if nothing has."""
    path, within = _at(folder, name)
    return os.stat(path, dir_fd=within, follow_symlinks=False)


def exists(folder: Directory, name: str) -> bool:
    """Say whether the directory has that name, be it a file, a link to nowhere or anything else."""
    try:
        status(folder, name)
    except FileNotFoundError:
        return False
    return True


def holds(folder: Directory, name: str, data: bytes) -> bool | None:
    """Say whether the file `name` has exactly `data` on the disk; None if there is no such name.

    It is synced, and then read past the cache where the system lets us: after a failed write-back Linux
    keeps showing bytes that never reached the disk. What is not a regular file does not hold the data.
    """
    try:
        if not stat.S_ISREG(status(folder, name).st_mode):
            return False
        with opened(name, READ_FLAGS if _BY_DESCRIPTOR else os.O_RDWR, folder) as descriptor:
            sync_file(descriptor)  # which Windows does only for who may write
            if sys.platform != "win32" and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            return read_all(descriptor, len(data) + 1) == data
    except FileNotFoundError:
        return None


def create_anonymous(folder: Directory, name: str, data: bytes) -> bool:
    """Write `data` to a file without a name, then name it; False if this system can't (nothing is left).

    Until it is linked nobody can see it, and a crash leaves nothing behind. FileExistsError if `name` is
    taken. `dst_dir_fd` is what makes Python call linkat and follow the link in /proc: without it, EXDEV.
    """
    if not hasattr(os, "O_TMPFILE") or isinstance(folder, Path):
        return False
    try:
        with opened(".", os.O_TMPFILE | os.O_WRONLY, folder) as descriptor:
            write_all(descriptor, data)
            source = f"/proc/self/fd/{descriptor}"
            os.link(source, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        return False
    return True


def create_named(folder: Directory, name: str, data: bytes, temporary: str) -> None:
    """Write `data` under the name `temporary`, then give it its own; FileExistsError if `name` is taken."""
    with _unfinished(folder, temporary, data):
        try:
            link(folder, temporary, name)
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
            _rename_to_new(folder, temporary, name)


def replace(folder: Directory, name: str, data: bytes, temporary: str) -> None:
    """Put `data` in the place of whatever `name` holds, durably, in one step."""
    with _unfinished(folder, temporary, data):
        rename(folder, temporary, name)
    sync_directory(folder)


def rename(folder: Directory, old: str, new: str) -> None:
    """Give what is named `old` the name `new`, in the place of whatever had it."""
    source, within = _at(folder, old)
    target, _ = _at(folder, new)
    os.replace(source, target, src_dir_fd=within, dst_dir_fd=within)


def link(folder: Directory, old: str, new: str) -> None:
    """Give what is named `old` the name `new` as well; FileExistsError if something has it."""
    if isinstance(folder, Path):
        os.link(folder / old, folder / new)
    else:
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)


def discard(folder: Directory, name: str) -> None:
    """Remove a name; one that is gone already is what was wanted."""
    path, within = _at(folder, name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path, dir_fd=within)


@contextlib.contextmanager
def _unfinished(folder: Directory, temporary: str, data: bytes) -> Iterator[None]:
    """Write and sync a temporary file, and see that its name is gone afterwards, whatever happens.

    It is closed before it gets another name: Windows renames and removes nothing that is open.
    """
    with contextlib.ExitStack() as afterwards:
        with opened(temporary, os.O_CREAT | os.O_EXCL | NO_LINK | os.O_WRONLY, folder) as descriptor:
            afterwards.callback(discard, folder, temporary)
            write_all(descriptor, data)
        yield


def _rename_to_new(folder: Directory, temporary: str, name: str) -> None:
    """Rename where there are no hard links (exFAT, some network shares).

    Between the look and the rename a cloud client may bring a file of this name. Names are hashes of the
    content, so what the rename then replaces is equal or damaged.
    """
    if exists(folder, name):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    rename(folder, temporary, name)
