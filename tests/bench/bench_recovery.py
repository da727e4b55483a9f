"""Recovering a long history from a folder, from the moment the keys are there; the key derivation is not in it.

With a snapshot: until every account is there and has given a code. Without: until every event is checked, stored and
folded, beside the least that any reader must do with the same files (bench_fold). And one edit more in that history,
beside one more in a history of 1,000 events.

    python -m bench.bench_recovery [events] [accounts] [rounds]
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.bench_fold import AROUND, Writer, author_of, drafts, floor
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.loading import take_in, take_in_snapshots
from otpkeep_daemon.lock import try_lock
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.store import Store
from otpkeep_protocol import content, keyring
from otpkeep_protocol.events import Draft
from otpkeep_protocol.otp import code
from otpkeep_protocol.state import encode, fold
from support_bench import begin, in_turns, show, show_pair, spread, timed, workplace

RUN = 4096
GOAL_S = 1.0
SHORT = 1000


class Folder:
    """The sealed runs of one long life, and a snapshot of its end."""

    def __init__(self, ring: keyring.Keyring, keys: Keys, number: int, accounts: int) -> None:
        writer = Writer(keys.author)
        opening = {"device": keys.author.public_key, "nonce": keys.author.nonce}
        every = itertools.chain([Draft("writer.open", extra=opening)], drafts(number - 1, accounts))
        made = [writer.write(d, ring.vault, at + 1, [writer.head] if writer.head else []) for at, d in enumerate(every)]
        runs = [made[at : at + RUN] for at in range(0, len(made), RUN)]
        contents = [content.make_run(keys.author, ring.vault, [(e, b) for e, b, _ in run]) for run in runs]
        self.runs = [keys.seal(run, AROUND.random(32)) for run in contents]
        assert writer.head is not None
        whole = encode(fold(event for _, _, event in made))
        snapshot = content.make_snapshot(keys.author, ring.vault, whole, [writer.head])
        self.snapshot = keys.seal(snapshot, AROUND.random(32))


class Fresh:
    """Gives new devices with empty stores, one after the other."""

    def __init__(self, place: Path, ring: keyring.Keyring) -> None:
        self._place, self._ring = place, ring
        self._numbers: Iterator[int] = itertools.count()

    def replica(self) -> Replica:
        """Return an empty replica."""
        number = next(self._numbers)
        lock = try_lock(self._place / f"{number}.lock", "bench")
        assert lock is not None
        store = Store(self._place / f"{number}.sqlite3", lock)
        author = author_of(self._ring)
        with store.transaction():
            store.put("device", author.device)
        return Replica(store, Keys(self._ring.without_seed(), author, bytes(32), bytes(32)), AROUND)


def all_codes(replica: Replica, accounts: int) -> None:
    """Have every account give its code."""
    shown = Accounts(replica)
    given = [code(otp, 1_700_000_000, otp.counter) for v in shown.views() if (otp := shown.otp(v)) is not None]
    assert len(given) == accounts


def with_snapshot(folder: Folder, fresh: Fresh, accounts: int) -> Callable[[], None]:
    """Return what shows every account out of the snapshot."""

    def run() -> None:
        replica = fresh.replica()
        assert take_in_snapshots(replica, [*folder.runs, folder.snapshot]) == 1
        all_codes(replica, accounts)

    return run


def without(folder: Folder, fresh: Fresh, accounts: int) -> Callable[[], None]:
    """Return what takes in the whole history."""

    def run() -> None:
        replica = fresh.replica()
        take_in(replica, folder.runs, lambda _done, _total: None)
        all_codes(replica, accounts)

    return run


def append(replica: Replica) -> Callable[[], None]:
    """Return what makes one edit in a replica."""
    account = Accounts(replica).views()[0].account
    count = itertools.count()
    return lambda: _edit(replica, account, next(count))


def _edit(replica: Replica, account: bytes, number: int) -> None:
    replica.commit([Draft("account.edit", account, alive=True, values={"note": f"once more {number}"})])


def filled(runs: Sequence[bytes], fresh: Fresh) -> Replica:
    """Return a replica that holds these runs."""
    replica = fresh.replica()
    take_in(replica, runs, lambda _done, _total: None)
    return replica


def main(number: int, accounts: int, n: int) -> None:
    """Print the figures."""
    with workplace() as place:
        begin("bench.bench_recovery", place)
        ring = keyring.new_keyring(AROUND.random(112))
        keys = Keys(ring.without_seed(), author_of(ring), AROUND.random(32), AROUND.random(32))
        folder, fresh = Folder(ring, keys, number, accounts), Fresh(place, ring)
        times = [timed(with_snapshot(folder, fresh, accounts))() for _ in range(n)]
        middle = sorted(times)[n // 2]
        title = f"{accounts} accounts of {number} events out of a snapshot, all codes"
        show(title, f"{middle:.2f} s, goal {GOAL_S:g}", middle < GOAL_S, spread(times), n)
        whole, least = timed(without(folder, fresh, accounts)), timed(lambda: floor(folder.runs, ring.newest.key))
        show_pair("the whole history, checked and stored", in_turns(whole, least, n, warm=0), 3, "the floor")
        short = Folder(ring, keys, SHORT, min(accounts, SHORT // 2))
        pair = in_turns(timed(append(filled(folder.runs, fresh))), timed(append(filled(short.runs, fresh))), 200)
        show_pair(f"an edit with {number} events behind it", pair, 1.2, f"one with {SHORT}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:4] or ("100000", "1000", "3")))
