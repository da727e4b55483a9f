"""A long life of a vault, as its folder shows it: the runs of three devices, the slots, and a snapshot of the end.

Runs are cut as compaction leaves them: eight of a length become one of eight times that length, up to full ones.

    100,000 edits of each device:   8192 · 12   512 · 3   64 · 2   8 · 4
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench.bench_fold import AROUND, DEVICES, TURN, Made, Writer, author_of, drafts
from otpkeep_daemon.engine import Engine
from otpkeep_daemon.folder import RealFolder
from otpkeep_daemon.formats import aegis_crypto
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.lock import try_lock
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.store import CAUGHT_UP, NewFile, Store
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import content, slots
from otpkeep_protocol.compaction import FANOUT
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.keyring import Keyring, new_keyring
from otpkeep_protocol.naming import file_name
from otpkeep_protocol.state import State, encode
from otpkeep_protocol.statements import make_statement
from support_bench import PASSPHRASE

LEVELS = (2 * FANOUT**4, *(FANOUT**level for level in range(4, -1, -1)))
"""Events of the runs: two of 4,096 are as much as a run may grow to (compaction.RUN_LIMIT), at 430 bytes an event."""
LABELS = ("laptop", "phone", "desktop")
Stream: TypeAlias = Iterator[tuple[Writer, Draft]]


@dataclass(frozen=True, slots=True)
class Life:
    """A vault: its keyring with the admin seed, its devices, the keys of the first of them, and its two slots."""

    ring: Keyring
    writers: Sequence[Writer]
    keys: Keys
    slots: Sequence[bytes]


def new_life() -> Life:
    """Return a vault that three devices are about to fill."""
    ring = new_keyring(AROUND.random(112))
    writers = [Writer(author_of(ring)) for _ in range(DEVICES)]
    keys = Keys(ring.without_seed(), writers[0].author, AROUND.random(32), AROUND.random(32))
    return Life(ring, writers, keys, [slots.passphrase_slot(ring, PASSPHRASE, AROUND.random(32)) for _ in range(2)])


def files(life: Life, number: int, accounts: int, *, young: int = 0, longest: int = LEVELS[0]) -> Iterator[NewFile]:
    """Yield the files of a life of `number` edits: slots, runs as they become full, and the snapshot.

    The `young` newest events of each device are in files of their own, as edits that wait for compaction are; no run
    has more than `longest`, as if compaction had not gone on.
    """
    for data in life.slots:
        yield NewFile(sha256(data), file_name(data), "slot", None, True, data)
    opening = [(writer, draft) for at, writer in enumerate(life.writers) for draft in _opening(life, writer, at)]
    turns = [life.writers[at // TURN % DEVICES] for at in range(number)]
    every = [writer for writer, _ in opening] + turns
    sizes = {writer.id: run_sizes(every.count(writer), young, longest) for writer in life.writers}
    state, waiting = State(), {writer.id: list[Made]() for writer in life.writers}
    edits = zip(turns, drafts(number, accounts), strict=True)
    for at, (writer, draft) in enumerate([*opening, *edits], start=1):
        seen = sorted(each.head for each in life.writers if each.head is not None)
        made = waiting[writer.id]
        made.append(writer.write(draft, life.ring.vault, at, seen))
        state.apply(made[-1][2])
        if len(made) == sizes[writer.id][0]:
            yield _run(life, writer, made)
            sizes[writer.id].pop(0)
            made.clear()
    yield _snapshot(life, state)


def run_sizes(events: int, young: int, longest: int) -> list[int]:
    """Return how many events each run has, the oldest first."""
    sizes, rest = [], max(0, events - young)
    for size in (level for level in LEVELS if level <= longest):
        sizes += [size] * (rest // size)
        rest %= size
    return [*sizes, *[1] * min(events, young)]


def _opening(life: Life, writer: Writer, at: int) -> Iterator[Draft]:
    author = writer.author
    yield Draft("writer.open", extra={"device": author.public_key, "nonce": author.nonce})
    extra = {"certificate": author.certificate}
    yield Draft("device.add", author.device, values={"label": LABELS[at]}, extra=extra)
    if at == 0:
        own = aegis_crypto.password_slot(life.ring.own_master_key(), PASSPHRASE, AROUND.random)
        values = {"slots": sorted(sha256(data) for data in life.slots), "own": own}
        yield Draft("slot.set", extra={"statement": make_statement(life.ring, "slot.set", values, [])})


def _run(life: Life, writer: Writer, made: Sequence[Made]) -> NewFile:
    sealed = content.make_run(writer.author, life.ring.vault, [(envelope, body) for envelope, body, _ in made])
    return _new_file(life, "run", writer, sealed, made)


def _snapshot(life: Life, state: State) -> NewFile:
    seen = sorted(writer.head for writer in life.writers if writer.head is not None)
    first = life.writers[0]
    return _new_file(life, "snapshot", first, content.make_snapshot(first.author, life.ring.vault, encode(state), seen))


def _new_file(life: Life, kind: str, writer: Writer, made: bytes, events: Sequence[Made] = ()) -> NewFile:
    data, author = life.keys.seal(made, AROUND.random(32)), writer.author
    held = tuple(event for _, _, event in events)
    return NewFile(sha256(data), file_name(data), kind, author.device, True, data, writer.id, held)


# devices


@dataclass(frozen=True, slots=True)
class Device:
    """A device with its store beside a folder on a disk."""

    store: Store
    replica: Replica
    engine: Engine
    folder: RealFolder


def write(made: Iterable[NewFile], folder: Path, store: Store) -> str:
    """Put the files of a life into a folder, and all but the snapshot into a store. Return the snapshot's name."""
    folder.mkdir()
    snapshot = ""
    for file in made:
        (folder / file.name).write_bytes(file.data)
        if file.kind == "snapshot":
            snapshot = file.name
        else:
            with store.transaction():
                store.add(file)
    return snapshot


def open_store(path: Path) -> Store:
    """Return the store in this file."""
    lock = try_lock(path.with_suffix(".lock"), "bench")
    assert lock is not None
    return Store(path, lock)


def furnish(store: Store, life: Life, path: Path) -> None:
    """Tell a store whose it is and which folder it mirrors."""
    known = {
        "vault": life.ring.vault,
        "device": life.keys.author.device,
        "folder.device": str(RealFolder(path, "bench").look().device).encode(),
        CAUGHT_UP: b"yes",
    }
    with store.transaction():
        for key, value in known.items():
            store.put(key, value)


def device(store: Store, life: Life, path: Path) -> Device:
    """Return the first device of a life, unlocked, once it has looked at its folder."""
    replica, folder = Replica(store, life.keys, AROUND), RealFolder(path, "bench")
    engine = Engine(store, folder, AROUND, Turns())
    engine.replica, engine.beats = replica, False
    outcome = engine.run()
    assert outcome.trouble is None, outcome
    return Device(store, replica, engine, folder)
