"""Recovery of a long life from its folder, in this process from the moment the keys are there, or by the program."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.bench_fold import AROUND, author_of, floor
from bench.costs import Cost, cost_of, cost_of_process
from bench.long_life import Life, open_store
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.folder import RealFolder
from otpkeep_daemon.folder_file import FolderFile
from otpkeep_daemon.found import read_all
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.loading import take_in, take_in_snapshots
from otpkeep_daemon.replica import Replica
from otpkeep_protocol.otp import code
from otpkeep_protocol.sealing import SEALED, read_header
from support_bench import Bench


@dataclass(frozen=True, slots=True)
class Recovery:
    """Recovers the vault of a life again and again, each time into a new store beside the folder.

    `snapshot` is the name of the file with the snapshot, which only one of the ways may use.
    """

    life: Life
    folder: Path
    snapshot: str
    accounts: int

    def short(self) -> Cost:
        """Recover out of the snapshot until every account has given its code."""

        def recover(replica: Replica) -> None:
            assert take_in_snapshots(replica, self._read().values()) == 1

        return self._recover(recover)

    def whole(self) -> Cost:
        """Recover without the snapshot: the whole history is taken in before an account is shown."""

        def recover(replica: Replica) -> None:
            found = [file for name, file in self._read().items() if name != self.snapshot]
            take_in(replica, found, lambda _done, _all: None)

        return self._recover(recover)

    def floor(self) -> Cost:
        """Do the least that any reader must with the files of the whole history."""
        files = [file for name, file in self._read().items() if name != self.snapshot]
        runs = [file.read() or b"" for file in files if read_header(file.start).type == SEALED]
        return cost_of(lambda: floor(runs, self.life.ring.newest.key))

    def _recover(self, recover: Callable[[Replica], None]) -> Cost:
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as place:
            replica = self._fresh(Path(place))

            def run() -> None:
                recover(replica)
                self._all_codes(replica)

            cost = cost_of(run)
            replica.store.close()
        return cost

    def _read(self) -> dict[str, FolderFile]:
        return read_all(RealFolder(self.folder, "bench"))[0]

    def _fresh(self, place: Path) -> Replica:
        """Return the empty replica of a new device."""
        store, author = open_store(place / "store"), author_of(self.life.ring)
        with store.transaction():
            store.put("device", author.device)
        return Replica(store, Keys(self.life.ring.without_seed(), author, bytes(32), bytes(32)), AROUND)

    def _all_codes(self, replica: Replica) -> None:
        shown = Accounts(replica)
        given = [code(otp, 1_700_000_000, otp.counter) for v in shown.views() if (otp := shown.otp(v)) is not None]
        assert len(given) == self.accounts


def cost_of_program(words: Sequence[str], folder: Path, place: Path) -> Cost:
    """Recover with the program, in a process of its own, from a copy of the folder."""
    with tempfile.TemporaryDirectory(dir=place) as made:
        shutil.copytree(folder, Path(made) / "folder")
        device = Bench(words, Path(made) / "home", Path(made) / "folder")
        return cost_of_process([*words, "recover", str(device.folder), "--device", "new", "--json"], device.env)
