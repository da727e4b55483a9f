"""Recovery of 1,000 accounts with 100,000 edits from a folder, beside restic and beside pass.

All begin with files on the same disk and nothing else, each in processes of its own, in turns:

- `otpkeep recover`, Argon2 included, until it ends: the whole history is checked and stored, and every account gives
  its code. Besides, until it says that the accounts are here (out of the snapshot), and, with `otpkeep code` after it,
  until the first code.
- `restic restore` of the very same folder from a repository. That favours restic: what it gives back is only the
  sealed bytes, and no account yet.
- `git clone` of a pass store with an entry for each account, and decryption of all entries. The clone is local, so git
  may link its objects instead of copying; the key has no passphrase and gpg-agent runs already; entries are decrypted
  many to a gpg process, as many processes as there are cores, which is the quickest that gpg can (`pass` itself takes
  them one by one). The store has one commit for each entry and no history beyond; its entries are the accounts' URIs.
  Until the first code: the clone and one `pass otp`.

Wall time counts, as a person waits; processor time stands beside it, gpg-agent's not included. All find warm caches.

    python -m bench.bench_others [rounds] [accounts] [edits]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from bench.bench_history import build
from bench.costs import Cost, cost_of_process, processor, wall
from bench.pass_store import PassStore, pass_store
from support_bench import Bench, Pair, bare_environment, begin, program, run, show_pair, spread, workplace

AT_ONCE = 32
"""Entries for one gpg process: its start costs little then, and the last process does not work on alone."""
_CLONE_AND_DECRYPT = """
set -e
git clone --quiet "$1" "$2"
find "$2" -name '*.gpg' -print0 | xargs -0 -n "$3" -P "$4" gpg --quiet --batch --yes --decrypt-files
"""


@dataclass(frozen=True, slots=True)
class Otpkeep:
    """Recovers a folder again and again, each time from a copy of it and into a new home."""

    words: Sequence[str]
    folder: Path
    accounts: int

    @contextmanager
    def device(self) -> Iterator[Bench]:
        """Yield a device that is not set up, beside its own copy of the folder."""
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as made:
            shutil.copytree(self.folder, Path(made) / "folder")
            yield Bench(self.words, Path(made) / "home", Path(made) / "folder")

    def recover(self) -> Cost:
        """Recover until the program has ended."""
        with self.device() as device:
            return cost_of_process([*self.words, "recover", str(device.folder), "--device", "new"], device.env)

    def shown(self) -> float:
        """Recover, and return how long it took until the accounts were said to be here (s)."""
        with self.device() as device:
            words = [*self.words, "recover", str(device.folder), "--device", "new", "--json"]
            begun = perf_counter()
            with subprocess.Popen(words, env=device.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                assert process.stdout is not None
                assert process.stderr is not None
                assert b"here" in process.stderr.readline()
                took = perf_counter() - begun
                found = json.loads(process.stdout.read())
            assert len(found["ready"]) == self.accounts, found["needs_action"]
            return took

    def first_code(self) -> float:
        """Recover, ask for one code, and return how long both took (s)."""
        with self.device() as device:
            begun = perf_counter()
            device.recover()
            device.command("code", "Beispiel 1:")
            return perf_counter() - begun


@dataclass(frozen=True, slots=True)
class Restic:
    """A repository that holds a folder."""

    place: Path
    env: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path, place: Path) -> Restic:
        """Make one in `place`, with restic's own defaults."""
        env = {**bare_environment(), "RESTIC_PASSWORD": "correct horse battery staple", "HOME": str(place)}
        made = cls(place, {**env, "RESTIC_REPOSITORY": str(place / "restic"), "XDG_CACHE_HOME": str(place / "cache")})
        run(["restic", "init", "--quiet"], made.env)
        run(["restic", "backup", "--quiet", str(folder)], made.env)
        return made

    def restore(self) -> Cost:
        """Restore the folder."""
        with tempfile.TemporaryDirectory(dir=self.place) as target:
            return cost_of_process(["restic", "restore", "latest", "--quiet", "--target", target], self.env)


@dataclass(frozen=True, slots=True)
class Pass:
    """A store of pass, from which others are cloned."""

    store: PassStore
    place: Path
    entries: int

    def restore(self) -> Cost:
        """Clone it and decrypt all entries."""
        with tempfile.TemporaryDirectory(dir=self.place) as made:
            words = ["sh", "-c", _CLONE_AND_DECRYPT, "sh", self.store.env["PASSWORD_STORE_DIR"], f"{made}/store"]
            cost = cost_of_process([*words, str(AT_ONCE), str(os.cpu_count())], self.store.env)
            found = [path for path in Path(made, "store").rglob("*") if path.is_file() and _is_entry(path)]
            assert len(found) == self.entries, len(found)
            return cost

    def first_code(self) -> float:
        """Clone it and ask for one code; return how long both took (s)."""
        with tempfile.TemporaryDirectory(dir=self.place) as made:
            env = {**self.store.env, "PASSWORD_STORE_DIR": f"{made}/store"}
            begun = perf_counter()
            run(["git", "clone", "--quiet", self.store.env["PASSWORD_STORE_DIR"], f"{made}/store"], env)
            run(["pass", "otp", "bench/1"], env)
            return perf_counter() - begun


def _is_entry(path: Path) -> bool:
    return path.suffix == "" and ".git" not in path.parts and not path.name.startswith(".")


def beside(title: str, ours: Sequence[Cost], theirs: Sequence[Cost], against: str) -> None:
    """Print one comparison by wall time, and what both took of the processor."""
    show_pair(title, Pair([cost.wall for cost in ours], [cost.wall for cost in theirs]), 1, against)
    print(f"     by processor: {processor(ours):.2f} s against {processor(theirs):.2f} s", flush=True)


def main(n: int, accounts: int, edits: int) -> None:
    """Print the figures."""
    if shutil.which("restic") is None:
        raise SystemExit("this benchmark needs restic, pass, pass-extension-otp and git")
    with workplace() as place, pass_store(place) as store:
        begin("bench.bench_others", place)
        for number in range(1, accounts + 1):
            store.insert(number)
        made = build(place, edits, accounts)
        ours = Otpkeep(program(place), made.path / "folder", accounts)
        restic, passed = Restic.of(ours.folder, place), Pass(store, place, accounts)
        found = [(ours.recover(), restic.restore(), passed.restore()) for _ in range(n + 1)][1:]
        recovered, restored, cloned = (list(costs) for costs in zip(*found, strict=True))
        title = f"recovery of {accounts:,} accounts with {edits:,} edits"
        beside(title, recovered, restored, "restic restore of the same bytes")
        beside(title, recovered, cloned, f"git clone and decryption of {accounts:,} pass entries")
        shown = [ours.shown() for _ in range(n)]
        print(f"     until the accounts are here: {spread(shown)}; restic as above: {wall(restored):.2f} s", flush=True)
        firsts = Pair([ours.first_code() for _ in range(n)], [passed.first_code() for _ in range(n)])
        show_pair("until the first code", firsts, 1, "git clone and pass otp")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    rounds, owned, made = [*numbers, *(5, 1_000, 100_000)[len(numbers) :]]
    main(rounds, owned, made)
