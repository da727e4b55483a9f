"""A cloud between folders in memory: it carries what is new and what is gone, and errs in both directions.

Each device's folder counts what its device writes and deletes, file by file.
"""

from __future__ import annotations

import random
from collections import Counter

from otpkeep_daemon.folder import Published
from otpkeep_daemon.memory_folder import MemoryFolder
from support_vault import Device


class CountingFolder(MemoryFolder):
    """A folder that knows what its own device did to it; what the cloud does goes by `put` and `take`."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.written: Counter[str] = Counter()
        self.deleted: Counter[str] = Counter()

    def publish(self, name: str, data: bytes) -> Published:
        """See Folder."""
        self.written[name] += not self.has(name)
        return super().publish(name, data)

    def restore(self, name: str, data: bytes) -> None:
        """See Folder."""
        self.written[name] += 1
        super().restore(name, data)

    def delete(self, name: str) -> None:
        """See Folder."""
        self.deleted[name] += self.has(name)
        super().delete(name)


class Cloud:
    """What the provider holds. `sync` is what a client does on one device: both directions, removals included."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.files: dict[str, bytes] = {}
        self.trash: dict[str, bytes] = {}
        self.dropped: Counter[str] = Counter()
        self.resurrected: Counter[str] = Counter()
        self._base: dict[str, dict[str, bytes]] = {}

    def sync(self, device: Device) -> None:
        """Carry what changed on either side since the last time."""
        folder, base = device.folder, self._base.get(device.label, {})
        here = {name: folder.read(name) or b"" for name in folder.names()}
        for name in here.keys() | base.keys():
            if here.get(name) != base.get(name):
                self._take_up(name, here.get(name))
        for name in here.keys() | self.files.keys():
            wanted = self.files.get(name)
            if wanted is None:
                folder.take(name)
            elif wanted != here.get(name):
                folder.put(name, wanted)
        self._base[device.label] = dict(self.files)

    def _take_up(self, name: str, data: bytes | None) -> None:
        if data is not None:
            self.files[name] = data
        elif name in self.files:
            self.trash[name] = self.files.pop(name)

    def drop(self) -> None:
        """Lose a file, for everybody."""
        name = self.chance.choice(sorted(self.files))
        self.dropped[name] += 1
        del self.files[name]

    def spoil(self) -> None:
        """Break a file, for everybody."""
        name = self.chance.choice(sorted(self.files))
        self.dropped[name] += 1
        self.files[name] = self.files[name][: self.chance.randrange(len(self.files[name]))]

    def resurrect(self, most: int = 3) -> None:
        """Bring back files that devices have removed."""
        gone = sorted(self.trash.keys() - self.files.keys())
        for name in self.chance.sample(gone, min(most, len(gone))):
            self.resurrected[name] += 1
            self.files[name] = self.trash[name]
