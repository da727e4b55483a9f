"""What a device does every day beside its history: edits, looks at the folder, compaction."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.costs import Cost, cost_of
from bench.long_life import Device, Life, device, furnish, open_store
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.compactor import Compactor
from otpkeep_protocol.compaction import FANOUT
from otpkeep_protocol.events import Draft

QUARANTINE_S = 14 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The first device of a life, with a copy of its folder and its store to work in."""

    place: tempfile.TemporaryDirectory[str]
    device: Device
    account: bytes
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def open(cls, life: Life, path: Path) -> Upkeep:
        """Return that of the life in `path`, which stays as it is."""
        place = tempfile.TemporaryDirectory(dir=path)
        copied = Path(place.name)
        shutil.copytree(path / "folder", copied / "folder")
        shutil.copy(path / "store", copied / "store")
        store = open_store(copied / "store")
        furnish(store, life, copied / "folder")
        opened = device(store, life, copied / "folder")
        return cls(place, opened, Accounts(opened.replica).views()[0].account)

    def close(self) -> None:
        """End it and remove what it worked in."""
        self.device.store.close()
        self.place.cleanup()

    def edit(self) -> Cost:
        """Make an edit and publish it."""
        return cost_of(self._edit)

    def look(self) -> Cost:
        """Look at the folder, in which nothing is new."""

        def look() -> None:
            outcome = self.device.engine.run()
            assert (outcome.read, outcome.published, outcome.trouble) == (0, 0, None), outcome

        return cost_of(look)

    def compact_newest(self) -> Cost:
        """Compact, once there are enough edits for it, which are not in the cost."""
        for _ in range(FANOUT):
            self._edit()
        return cost_of(lambda: self._compact(FANOUT))

    def compact_all(self) -> Cost:
        """Compact as `otpkeep compact --all` does."""
        return cost_of(lambda: self._compact(2))

    def _edit(self) -> None:
        values = {"note": f"once more {next(self._numbers)}"}
        self.device.replica.commit([Draft("account.edit", self.account, alive=True, values=values)])
        assert self.device.engine.publish()

    def _compact(self, fanout: int) -> None:
        opened = self.device
        done = Compactor(opened.engine, opened.folder, opened.replica, QUARANTINE_S).run(fanout=fanout)
        assert done.merged, done


def first_compaction(life: Life, path: Path) -> Cost:
    """Compact everything in a copy of the folder and store in `path`."""
    opened = Upkeep.open(life, path)
    cost = opened.compact_all()
    opened.close()
    return cost
