"""Writing a file so that it is whole or not there, also after a power cut.

Everything works relative to an open directory (`folder`, a file descriptor), so that nothing moves under
it in mid-write. Every function lets OSError through; `folder` turns it into words.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator

if sys.platform == "darwin":
    import fcntl

_NO_DIRECTORY_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
# What kernels and file systems answer that have no O_TMPFILE, no hard links, or no /proc to link through.
_NOT_OFFERED = _NO_DIRECTORY_SYNC | {errno.EISDIR, errno.ENOENT, errno.ENOSYS, errno.EPERM, errno.EXDEV}
_PIECE = 1 << 20

READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
"""For names that others choose: no link is followed, and a pipe of that name blocks nobody."""


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], flags: int, folder: int | None = None) -> Iterator[int]:
    """Open `path` (in `folder`, if given), mode 0600 if it is made, and close it at the end."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600, dir_fd=folder)
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


def sync_directory(folder: int) -> None:
    """Make the names in a directory durable, where its file system knows how."""
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


def exists(folder: int, name: str) -> bool:
    """Say whether the directory has that name, be it a file, a link to nowhere or anything else."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def holds(folder: int, name: str, data: bytes) -> bool | None:
    """Say whether the file `name` has exactly `data` on the disk; None if there is no such name.

    It is synced, and then read past the cache where the system lets us: after a failed write-back Linux
    keeps showing bytes that never reached the disk. What is not a regular file does not hold the data.
    """
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not stat.S_ISREG(mode):
            return False
        with opened(name, READ_FLAGS, folder) as descriptor:
            sync_file(descriptor)
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            return read_all(descriptor, len(data) + 1) == data
    except FileNotFoundError:
        return None


def create_anonymous(folder: int, name: str, data: bytes) -> bool:
    """Write `data` to a file without a name, then name it; False if this system can't (nothing is left).

    Until it is linked nobody can see it, and a crash leaves nothing behind. FileExistsError if `name` is
    taken. `dst_dir_fd` is what makes Python call linkat and follow the link in /proc: without it, EXDEV.
    """
    if not hasattr(os, "O_TMPFILE"):
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


def create_named(folder: int, name: str, data: bytes, temporary: str) -> None:
    """Write `data` under the name `temporary`, then give it its own; FileExistsError if `name` is taken."""
    with _unfinished(folder, temporary, data):
        try:
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
            _rename_to_new(folder, temporary, name)


def replace(folder: int, name: str, data: bytes, temporary: str) -> None:
    """Put `data` in the place of whatever `name` holds, durably, in one step."""
    with _unfinished(folder, temporary, data):
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    sync_directory(folder)


def discard(folder: int, name: str) -> None:
    """Remove a name; one that is gone already is what was wanted."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def _unfinished(folder: int, temporary: str, data: bytes) -> Iterator[None]:
    """Write and sync a temporary file, and see that its name is gone afterwards, whatever happens."""
    with opened(temporary, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, folder) as descriptor:
        try:
            write_all(descriptor, data)
            yield
        finally:
            discard(folder, temporary)


def _rename_to_new(folder: int, temporary: str, name: str) -> None:
    """Rename where there are no hard links (exFAT, some network shares).

    Between the look and the rename a cloud client may bring a file of this name. Names are hashes of the
    content, so what the rename then replaces is equal or damaged.
    """
    if exists(folder, name):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
