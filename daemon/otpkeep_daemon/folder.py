"""The folder that a cloud client carries: look, read, publish, delete. The contract, and the real thing."""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from otpkeep_daemon import disks, durable
from otpkeep_daemon.durable import Directory
from otpkeep_daemon.folder_faults import denied, exchanged, not_read_back, oversized, unreachable, unwritable
from otpkeep_protocol.errors import Refused, Unreachable
from otpkeep_protocol.naming import README_NAME, NameKind, classify, is_own_temporary, temporary_name

READ_LIMIT = 80 * 1024 * 1024
"""Bytes. Above the largest sealed file (SPEC §8: 64 MiB of content, padding of at most 12 %, tags)."""

HEAD_SIZE = 16
_DATALESS = 0x40000000  # SF_DATALESS of macOS (sys/stat.h): iCloud keeps the name, the bytes are elsewhere
_NOT_HERE = 0x1000 | 0x40000 | 0x400000  # Windows: offline, recall on open, recall on data access


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a look saw: its size in bytes and its time of change in nanoseconds since 1970."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Listing:
    """What one look saw, each part ascending by name."""

    device: int
    """The operating system's number of the disk: another one suggests that this is not the same folder."""
    inode: int
    """The directory's number on that disk."""
    files: tuple[Found, ...]
    placeholders: tuple[str, ...]
    """Names of files that exist, but that the cloud client has not downloaded."""


class Published(enum.Enum):
    """How a publish ended."""

    DONE = "done"
    TAKEN = "taken"


class Folder(Protocol):
    """A flat folder of write-once files, which others fill, empty and rename at any moment.

    Every method raises Unreachable if the folder is missing or the system fails the request, with a hint
    by cause; it is then unknown whether the request had its effect, and asking again is always safe.
    No method makes the folder itself, and once a listing is trusted, none writes into another directory than the
    one that it shows: where a disk is not mounted any more, nothing may be written.
    """

    def look(self) -> Listing:
        """List the regular files and the placeholders.

        Left out: names that `naming.classify` passes over, directories, links (never followed), and what
        vanishes while we look. Nothing is opened. A look fails as a whole rather than list a part.
        """

    def head(self, name: str, size: int = HEAD_SIZE) -> bytes | None:
        """Return the first `size` bytes of a file, or all if it is shorter; None and errors as for `read`."""

    def unwritable(self) -> Unreachable | None:
        """Return why a write would fail, as far as the file system says it of itself; None otherwise."""

    def trust(self, listing: Listing) -> None:
        """Write only into the directory of this listing from now on."""

    def read(self, name: str) -> bytes | None:
        """Return the whole file; None if it is no longer here (gone, evicted, or no regular file).

        Malformed if it is larger than READ_LIMIT. Refused if the system denies us this one file: that says
        nothing of the others, and nothing about whether its content is good.
        """

    def has(self, name: str) -> bool:
        """Tell whether something of that name is there, unopened."""

    def publish(self, name: str, data: bytes) -> Published:
        """Make `data` durable under `name` and read it back: DONE. Nobody sees a part of it before.

        A name that has equal bytes already is DONE, too. TAKEN if it has other bytes, which stay untouched.
        """

    def restore(self, name: str, data: bytes) -> None:
        """Put `data` in the place of whatever `name` holds, in one step, durably, and read it back.

        Only for a name that stands for these very bytes, so that whatever else it holds is damage.
        """

    def delete(self, name: str) -> None:
        """Remove a file durably; one that is gone already is fine."""

    def clear_temporaries(self) -> None:
        """Remove what a crash of this very device left behind; never another device's."""

    def write_readme(self, text: str) -> None:
        """Have README.txt say `text`, durably; it is written only if it is absent or says something else."""


class RealFolder:
    """The folder at `path`, which may itself be a link to a directory. See Folder for what it promises.

    `tag` (ASCII letters and digits) marks the temporary files of this device. `anonymous` off forces the
    way of publishing that systems without O_TMPFILE take.
    """

    def __init__(self, path: Path, tag: str, *, anonymous: bool = True) -> None:
        self.path = path
        self._tag = tag
        self._anonymous = anonymous
        self._trusted: tuple[int, int] | None = None

    def look(self) -> Listing:
        """See Folder."""
        files: list[Found] = []
        placeholders: list[str] = []
        with self._opened() as folder, os.scandir(folder) as entries:
            device, inode = durable.identity(folder)
            for entry in entries:
                kind = classify(entry.name)
                if kind in (NameKind.TEMPORARY, NameKind.README) or not entry.is_file(follow_symlinks=False):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if kind is NameKind.PLACEHOLDER or _is_placeholder(status):
                        placeholders.append(entry.name)
                    else:
                        files.append(Found(entry.name, status.st_size, status.st_mtime_ns))
        files.sort(key=lambda found: found.name)
        return Listing(device, inode, tuple(files), tuple(sorted(placeholders)))

    def unwritable(self) -> Unreachable | None:
        """See Folder."""
        number = disks.told(self.path)
        return unwritable(self.path, number) if number is not None else None

    def trust(self, listing: Listing) -> None:
        """See Folder."""
        self._trusted = (listing.device, listing.inode)

    def head(self, name: str, size: int = HEAD_SIZE) -> bytes | None:
        """See Folder."""
        return self._read(name, size)

    def read(self, name: str) -> bytes | None:
        """See Folder."""
        data = self._read(name, READ_LIMIT + 1)
        if data is not None and len(data) > READ_LIMIT:
            raise oversized(name)
        return data

    def _read(self, name: str, size: int) -> bytes | None:
        with self._opened() as folder, contextlib.suppress(FileNotFoundError):
            status = durable.status(folder, _plain(name))
            if stat.S_ISREG(status.st_mode) and not _is_placeholder(status):
                return _read(folder, name, size)
        return None

    def has(self, name: str) -> bool:
        """See Folder."""
        with self._opened() as folder:
            return durable.exists(folder, _plain(name))

    def publish(self, name: str, data: bytes) -> Published:
        """See Folder."""
        with self._opened_trusted() as folder:
            created = not durable.exists(folder, _plain(name)) and self._create(folder, name, data)
            return _settle(folder, name, data, created=created)

    def restore(self, name: str, data: bytes) -> None:
        """See Folder."""
        with self._opened_trusted() as folder:
            durable.replace(folder, _plain(name), data, self._temporary())
            if not durable.holds(folder, name, data):
                raise not_read_back(name)

    def delete(self, name: str) -> None:
        """See Folder."""
        with self._opened_trusted() as folder:
            durable.discard(folder, _plain(name))
            durable.sync_directory(folder)

    def clear_temporaries(self) -> None:
        """See Folder."""
        with self._opened_trusted() as folder:
            with os.scandir(folder) as entries:
                left = [e.name for e in entries if is_own_temporary(e.name, self._tag) and e.is_file()]
            for name in left:
                durable.discard(folder, name)

    def write_readme(self, text: str) -> None:
        """See Folder."""
        data = text.encode()
        with self._opened_trusted() as folder:
            if not durable.holds(folder, README_NAME, data):
                durable.replace(folder, README_NAME, data, self._temporary())

    def _create(self, folder: Directory, name: str, data: bytes) -> bool:
        """Write a file whose name was free a moment ago; False if somebody took the name meanwhile."""
        try:
            if not (self._anonymous and durable.create_anonymous(folder, name, data)):
                durable.create_named(folder, name, data, self._temporary())
        except FileExistsError:
            return False
        return True

    def _temporary(self) -> str:
        return temporary_name(self._tag, secrets.token_hex(8))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Directory]:
        """Hold the directory open, so that all steps act on the same one; OSErrors leave as Unreachable."""
        try:
            with durable.directory(self.path) as folder:
                yield folder
        except OSError as error:
            raise unreachable(self.path, error) from error

    @contextlib.contextmanager
    def _opened_trusted(self) -> Iterator[Directory]:
        """Hold the directory open for a change, if it is still the one that was trusted."""
        with self._opened() as folder:
            if self._trusted not in (None, durable.identity(folder)):
                raise exchanged(self.path)
            yield folder


def create_folder(path: Path) -> None:
    """Make the folder, and what leads there, for this user alone; one that exists is left as it is."""
    try:
        for missing in reversed([p for p in (path, *path.parents) if not p.exists()]):
            missing.mkdir(mode=0o700)
    except OSError as error:
        raise unreachable(path, error) from error
    if not path.is_dir():
        raise unreachable(path, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))


def _settle(folder: Directory, name: str, data: bytes, *, created: bool) -> Published:
    """Make the name durable and see what it holds; what we created and can't sync is thrown away."""
    try:
        durable.sync_directory(folder)
        held = durable.holds(folder, name, data)
    except OSError:
        if created:
            durable.discard(folder, name)
        raise
    if held:
        return Published.DONE
    if created or held is None:
        raise not_read_back(name)
    return Published.TAKEN


def _read(folder: Directory, name: str, size: int) -> bytes:
    """Read a regular file, at most `size` bytes of it."""
    try:
        with durable.opened(name, durable.READ_FLAGS, folder) as descriptor:
            return durable.read_all(descriptor, size)
    except PermissionError as error:
        raise denied(name) from error


def _is_placeholder(status: os.stat_result) -> bool:
    """Say whether opening the file would make the cloud client fetch it first."""
    flags = getattr(status, "st_flags", 0) & _DATALESS
    return bool(flags or getattr(status, "st_file_attributes", 0) & _NOT_HERE)


def _plain(name: str) -> str:
    """Return `name` if it can only mean an entry of this very directory; Refused otherwise."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise Refused("A file of the folder was named by a path. Nothing was touched.")
    return name
