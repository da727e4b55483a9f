"""A folder in memory, for tests and simulations, under the same contract as the real one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from otpkeep_daemon.folder import HEAD_SIZE, READ_LIMIT, Found, Listing, Published
from otpkeep_daemon.folder_faults import oversized, unreachable
from otpkeep_protocol.errors import Unreachable
from otpkeep_protocol.naming import README_NAME, NameKind, classify, is_own_temporary

_PASSED_OVER = (NameKind.TEMPORARY, NameKind.README, NameKind.PLACEHOLDER)


class MemoryFolder:
    """See `folder.Folder` for what it promises. The rest is what a hostile cloud or an unplugged disk does.

    `reachable` off makes every method raise Unreachable; `device` is what looks report; `evicted` names
    files whose bytes are elsewhere. `put` and `take` act as somebody else would, reachable or not.
    """

    def __init__(self, tag: str = "memory", *, device: int = 1) -> None:
        self.reachable = True
        self.device = device
        self.evicted: set[str] = set()
        self._tag = tag
        self._files: dict[str, tuple[bytes, int]] = {}
        self._changes = 0

    def put(self, name: str, data: bytes) -> None:
        """Place a file under any name, over what was there, as another program would."""
        self._changes += 1
        self._files[name] = (data, self._changes)

    def take(self, name: str) -> bytes | None:
        """Remove a file as another program would, and return what it held; None if there is none."""
        self.evicted.discard(name)
        data, _ = self._files.pop(name, (None, 0))
        return data

    def names(self) -> list[str]:
        """Return every name, also those that a look passes over, ascending."""
        return sorted(self._files)

    def look(self) -> Listing:
        """See Folder; a file's time is the number of the change that wrote it."""
        self._reach()
        kinds = {name: classify(name) for name in self.names()}
        absent = {n for n, kind in kinds.items() if kind is NameKind.PLACEHOLDER} | self.evicted
        present = [n for n, kind in kinds.items() if kind not in _PASSED_OVER and n not in absent]
        files = tuple(Found(n, len(self._files[n][0]), self._files[n][1]) for n in present)
        return Listing(self.device, 1, files, tuple(sorted(absent)))

    def unwritable(self) -> Unreachable | None:
        """See Folder; memory is never full."""
        return None

    def trust(self, listing: Listing) -> None:
        """See Folder; there is no other directory in memory."""

    def head(self, name: str, size: int = HEAD_SIZE) -> bytes | None:
        """See Folder."""
        data = self.read(name)
        return None if data is None else data[:size]

    def read(self, name: str) -> bytes | None:
        """See Folder."""
        self._reach()
        if name not in self._files or name in self.evicted:
            return None
        data = self._files[name][0]
        if len(data) > READ_LIMIT:
            raise oversized(name)
        return data

    def has(self, name: str) -> bool:
        """See Folder."""
        self._reach()
        return name in self._files

    def publish(self, name: str, data: bytes) -> Published:
        """See Folder."""
        self._reach()
        if name not in self._files:
            self.put(name, data)
        return Published.DONE if self._files[name][0] == data else Published.TAKEN

    def restore(self, name: str, data: bytes) -> None:
        """See Folder."""
        self._reach()
        self.put(name, data)

    def delete(self, name: str) -> None:
        """See Folder."""
        self._reach()
        self.take(name)

    def clear_temporaries(self) -> None:
        """See Folder."""
        self._reach()
        for name in self.names():
            if is_own_temporary(name, self._tag):
                self.take(name)

    def write_readme(self, text: str) -> None:
        """See Folder."""
        self._reach()
        if self.read(README_NAME) != text.encode():
            self.put(README_NAME, text.encode())

    def _reach(self) -> None:
        if not self.reachable:
            missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            raise unreachable(Path("(memory)"), missing)
