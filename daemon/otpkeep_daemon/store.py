"""The store: what this device knows for certain, in one SQLite file.

It holds the sealed files themselves, so that the outbox can be published and the folder healed without any key, and an
index of their events in clear ids and numbers. Opening it takes the writer lock: whoever holds a Store is the only one.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otpkeep_daemon.packs import Packs
from otpkeep_protocol.errors import Refused
from otpkeep_protocol.events import NEEDS_UPDATE, Event
from otpkeep_protocol.ids import Dot

CAUGHT_UP = "caught_up"
"""Set once this device has held everything that it knew of."""
FOLDED = "snapshot.folded"
"""Hash of the snapshot that this device folded itself, and the digest of the events in it."""
SUPERSEDED = "slots.superseded"
"""Where the hashes of replaced slots are kept, 32 bytes each, readable without keys."""
_ADD_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET_EVENT = "DELETE FROM events WHERE writer = ? AND seq = ? AND hash = ?"
_LOG_ORDER = ("lamport", "wall", "writer", "seq", "events.hash")
_EVENT_AND_FILE = "SELECT events.hash, files.hash FROM events JOIN files ON files.id = file"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A sealed file of this vault: its SHA-256, its owning device (None for slots), whether it was in the folder."""

    hash: bytes
    name: str
    kind: str
    owner: bytes | None
    published: bool
    size: int


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look made of a name in the folder.

    `since` is when (s) that verdict was first given; `content` the name that its bytes stand for, or "".
    """

    name: str
    size: int
    mtime_ns: int
    verdict: str
    since: int
    content: str = ""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be stored, with its events; `writer` is who made them."""

    hash: bytes
    name: str
    kind: str
    owner: bytes | None
    published: bool
    data: bytes = field(repr=False)
    writer: bytes | None = None
    events: tuple[Event, ...] = ()


class Store(Packs):
    """What is in the file, as values. Changes belong into a `transaction`."""

    def clear(self) -> None:
        """Empty the store of a setting-up that was interrupted, before anything was acknowledged."""
        with self.transaction():
            for table in ("events", "files", "replaced", "meta", "writers", "looked", "locals"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - constants

    def get(self, key: str) -> bytes | None:
        """Return a value of this device, None if it was never set."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def need(self, key: str) -> bytes:
        """Return a value that `init` and `recover` always set. Refused if the store is not set up."""
        value = self.get(key)
        if value is None:
            raise Refused("otpkeep is not set up here", "Run `otpkeep init` or `otpkeep recover FOLDER` first.")
        return value

    def put(self, key: str, value: bytes) -> None:
        """Set a value of this device."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def add(self, new: NewFile) -> list[Event]:
        """Store a file. Return those of its events that the store did not hold, or held without their body."""
        row = (new.hash, new.name, new.kind, new.owner, new.published, len(new.data), new.data)
        cursor = self._db.execute("INSERT OR IGNORE INTO files VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row)
        if cursor.rowcount == 0:
            return []
        if new.writer is not None:
            self._db.execute("INSERT OR IGNORE INTO writers VALUES (?, ?)", (new.writer, new.owner))
        held = self._held(new.events)
        fresh = [event for event in new.events if _is_news(event, held)]
        if held:
            again = [(*event.dot[:2], event.hash) for event in fresh if event.hash in held]
            self._db.executemany(_FORGET_EVENT, again)
        self._db.executemany(_ADD_EVENT, [_event_row(event, cursor.lastrowid) for event in fresh])
        return fresh

    def fresh(self, events: Sequence[Event]) -> list[Event]:
        """Return those events of one run that are not held, or held without the body that they have."""
        held = self._held(events)
        return [event for event in events if _is_news(event, held)]

    def _held(self, events: Sequence[Event]) -> dict[bytes, bool]:
        """Return whether the body is known, by hash, of what is held at the places of a run."""
        if not events:
            return {}
        query = "SELECT hash, bodied FROM events WHERE writer = ? AND seq BETWEEN ? AND ?"
        return dict(self._db.execute(query, (events[0].dot.writer, events[0].dot.seq, events[-1].dot.seq)))

    def events_that_need_update(self) -> list[tuple[bytes, bytes]]:
        """Return (event hash, file hash) of the events that an older otpkeep could not understand."""
        return self._db.execute(f"{_EVENT_AND_FILE} WHERE problem = ?", (NEEDS_UPDATE,)).fetchall()

    def understand(self, events: Iterable[Event]) -> None:
        """Take in what is known of such events now."""
        query = "UPDATE events SET lamport = ?, wall = ?, account = ?, problem = ?, bodied = ?, kind = ? WHERE hash = ?"
        rows = [(*_event_row(event, None)[4:], event.hash) for event in events]
        self._db.executemany(query, rows)

    def drop(self, hashes: Iterable[bytes]) -> None:
        """Forget files that hold no events, such as older beats."""
        self._db.executemany("DELETE FROM files WHERE hash = ?", [(digest,) for digest in hashes])

    def outbox_events(self) -> set[bytes]:
        """Return the hashes of the events whose file waits to be published."""
        query = "SELECT events.hash FROM events JOIN files ON files.id = file WHERE published = 0"
        return {row[0] for row in self._db.execute(query)}

    def mark_published(self, hashes: Iterable[bytes]) -> None:
        """Record that files were written to the folder and read back."""
        self._db.executemany("UPDATE files SET published = 1 WHERE hash = ?", [(digest,) for digest in hashes])

    def mark_unpublished(self, hashes: Iterable[bytes]) -> None:
        """Record that files are to be written to the folder again."""
        self._db.executemany("UPDATE files SET published = 0 WHERE hash = ?", [(digest,) for digest in hashes])

    def published_sample(self) -> list[str]:
        """Return the names of a few files that were in the folder, old ones and new ones."""
        query = "SELECT name FROM files WHERE published = 1 ORDER BY id {} LIMIT 4"
        return [row[0] for order in ("ASC", "DESC") for row in self._db.execute(query.format(order))]

    def files(self) -> list[StoredFile]:
        """Return all files, oldest first, without their bytes."""
        return self._files("")

    def files_of(self, kind: str) -> list[StoredFile]:
        """Return the files of one kind, oldest first."""
        return self._files("WHERE kind = ?", kind)

    def outbox(self) -> list[StoredFile]:
        """Return the files that wait to be published, oldest first."""
        return self._files("WHERE published = 0")

    def _files(self, where: str, *values: str) -> list[StoredFile]:
        query = f"SELECT hash, name, kind, owner, published, size FROM files {where} ORDER BY id"  # noqa: S608 - constants
        return [StoredFile(h, n, k, o, bool(p), s) for h, n, k, o, p, s in self._db.execute(query, values)]

    def file_named(self, name: str) -> StoredFile | None:
        """Return the file of that name, None if the store has none, or it is a name that no file of ours has."""
        if not name.isascii():
            return None
        query = "SELECT hash, name, kind, owner, published, size FROM files WHERE name = ?"
        row = self._db.execute(query, (name,)).fetchone()
        return None if row is None else StoredFile(row[0], row[1], row[2], row[3], bool(row[4]), row[5])

    def data(self, digest: bytes) -> bytes:
        """Return the bytes of a stored file. KeyError if there is none of that hash."""
        row = self._db.execute("SELECT data FROM files WHERE hash = ?", (digest,)).fetchone()
        if row is None:
            raise KeyError(digest.hex())
        data: bytes = row[0]
        return data

    def has(self, digest: bytes) -> bool:
        """Tell whether a file of that hash is stored."""
        return self._db.execute("SELECT 1 FROM files WHERE hash = ?", (digest,)).fetchone() is not None

    def index(self) -> list[tuple[bytes, int, bytes, int, int]]:
        """Return writer, seq, 16-byte hash, lamport and file number of each held event, ascending."""
        query = "SELECT writer, seq, substr(hash, 1, 16), lamport, file FROM events ORDER BY writer, seq, hash"
        return self._db.execute(query).fetchall()

    def all_bodied(self) -> bool:
        """Tell whether every held event has its body."""
        return self._db.execute("SELECT 1 FROM events WHERE NOT bodied LIMIT 1").fetchone() is None

    def contents_of(self, numbers: Iterable[int]) -> Iterator[tuple[bytes, bytes]]:
        """Yield hash and bytes of those files of these numbers that are there, oldest first."""
        for number in sorted(numbers):
            yield from self._db.execute("SELECT hash, data FROM files WHERE id = ?", (number,)).fetchall()

    def run_numbers(self) -> list[int]:
        """Return the numbers of the files with events, oldest first."""
        return [row[0] for row in self._db.execute("SELECT id FROM files WHERE kind = 'run' ORDER BY id")]

    def statement_events(self) -> list[tuple[bytes, bytes]]:
        """Return (event hash, file hash) of the events that name slots."""
        return self._db.execute(f"{_EVENT_AND_FILE} WHERE events.kind = 'slot.set'").fetchall()

    def contents(self, kinds: tuple[str, ...]) -> Iterator[tuple[bytes, bytes]]:
        """Yield hash and bytes of the files of these kinds, oldest first."""
        marks = ", ".join("?" * len(kinds))
        query = f"SELECT hash, data FROM files WHERE kind IN ({marks}) ORDER BY id"  # noqa: S608 - question marks
        yield from self._db.execute(query, kinds)

    def log(self, account: bytes | None, *, newest: bool = True) -> Iterator[tuple[bytes, bytes]]:
        """Yield (event hash, file hash) in log order, of one account or of all."""
        order = ", ".join(f"{column} {'DESC' if newest else 'ASC'}" for column in _LOG_ORDER)
        where = "WHERE events.account = ?" if account is not None else ""
        query = f"{_EVENT_AND_FILE} {where} ORDER BY {order}"
        yield from self._db.execute(query, () if account is None else (account,))

    def find_event(self, writer_prefix: str, seq: int) -> list[tuple[bytes, bytes]]:
        """Return (event hash, file hash) of the events with this seq whose writer begins so in lower-case hex."""
        query = f"{_EVENT_AND_FILE} WHERE seq = ? AND substr(lower(hex(writer)), 1, ?) = ?"
        return self._db.execute(query, (seq, len(writer_prefix), writer_prefix)).fetchall()

    def head(self, writer: bytes) -> tuple[int, bytes] | None:
        """Return seq and 32-byte hash of the last held event of a writer, None if none is held."""
        query = "SELECT seq, hash FROM events WHERE writer = ? ORDER BY seq DESC LIMIT 1"
        found: tuple[int, bytes] | None = self._db.execute(query, (writer,)).fetchone()
        return found

    def invalid_events(self) -> set[bytes]:
        """Return the hashes of the events that have a problem."""
        return {row[0] for row in self._db.execute("SELECT hash FROM events WHERE problem IS NOT NULL")}

    def places_of(self, writer: bytes) -> set[tuple[int, bytes]]:
        """Return seq and 16-byte hash of each held event of a writer."""
        return set(self._db.execute("SELECT seq, substr(hash, 1, 16) FROM events WHERE writer = ?", (writer,)))

    def holds(self, writer: bytes, seq: int, digest: bytes) -> bool:
        """Tell whether the event of that 16-byte hash is held."""
        query = "SELECT 1 FROM events WHERE writer = ? AND seq = ? AND substr(hash, 1, 16) = ?"
        return self._db.execute(query, (writer, seq, digest)).fetchone() is not None

    def marks(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the hash of each held event, and whether its body is here."""
        for digest, bodied in self._db.execute("SELECT hash, bodied FROM events"):
            yield digest, bool(bodied)

    def has_body(self, dot: Dot) -> bool:
        """Tell whether the event at this place is held with its body."""
        query = "SELECT 1 FROM events WHERE writer = ? AND seq = ? AND substr(hash, 1, 16) = ? AND bodied"
        return self._db.execute(query, tuple(dot)).fetchone() is not None

    def files_with(self, events: Collection[bytes]) -> list[bytes]:
        """Return the hashes of the files from which these events are read, oldest first."""
        query = "SELECT events.hash, files.hash FROM events JOIN files ON files.id = file ORDER BY files.id"
        return list(dict.fromkeys(file for event, file in self._db.execute(query) if event in events))

    def event_count(self) -> int:
        """Return how many events are held."""
        count: int = self._db.execute("SELECT COUNT(*) FROM events").fetchone()[0]
        return count

    def events_of_devices(self) -> dict[bytes, tuple[int, int, int]]:
        """Return, for each device id, its number of events, and its first and last wall time (ms)."""
        query = (
            "SELECT device, COUNT(*), MIN(NULLIF(wall, 0)), MAX(wall)"
            " FROM events JOIN writers USING (writer) GROUP BY device"
        )
        return {device: (count, first or 0, last) for device, count, first, last in self._db.execute(query)}

    def last_wall_of(self, device: bytes) -> int:
        """Return the wall time (ms) of the newest event of a device, 0 if it has none."""
        query = (
            "SELECT wall FROM events JOIN writers USING (writer) WHERE device = ?"
            " ORDER BY lamport DESC, seq DESC LIMIT 1"
        )
        row = self._db.execute(query, (device,)).fetchone()
        return 0 if row is None else row[0]

    def first_published_after(self, writer: bytes, seq: int) -> int | None:
        """Return the wall time (ms) of a writer's first event after `seq` that was in the folder, None if none was."""
        query = (
            "SELECT wall FROM events JOIN files ON files.id = file"
            " WHERE writer = ? AND seq > ? AND published = 1 ORDER BY seq LIMIT 1"
        )
        row = self._db.execute(query, (writer, seq)).fetchone()
        return None if row is None else row[0]

    def writers(self) -> dict[bytes, bytes]:
        """Return the device id of each writer that is known."""
        return dict(self._db.execute("SELECT writer, device FROM writers").fetchall())

    def problems(self) -> list[tuple[bytes, int, str]]:
        """Return (writer, seq, problem) of the held events that have no effect."""
        return self._db.execute("SELECT writer, seq, problem FROM events WHERE problem IS NOT NULL").fetchall()

    def looked(self, *, but: Sequence[str] = ()) -> dict[str, Looked]:
        """Return the verdicts of earlier looks by name, without those named by `but`."""
        marks = ", ".join("?" * len(but))
        query = "SELECT name, size, mtime_ns, verdict, since, content FROM looked"
        rows = self._db.execute(f"{query} WHERE verdict NOT IN ({marks})", tuple(but))
        return {looked.name: looked for name, *rest in rows for looked in [Looked(os.fsdecode(name), *rest)]}

    def count_looked(self, verdict: str) -> int:
        """Return how many names have that verdict."""
        count: int = self._db.execute("SELECT COUNT(*) FROM looked WHERE verdict = ?", (verdict,)).fetchone()[0]
        return count

    def set_looked(self, verdicts: Iterable[Looked]) -> None:
        """Record verdicts."""
        rows: list[tuple[Any, ...]] = [
            (os.fsencode(v.name), v.size, v.mtime_ns, v.verdict, v.since, v.content) for v in verdicts
        ]
        self._db.executemany("INSERT OR REPLACE INTO looked VALUES (?, ?, ?, ?, ?, ?)", rows)

    def forget_looked(self, names: Iterable[str]) -> None:
        """Drop the verdicts of names that are no longer in the folder."""
        self._db.executemany("DELETE FROM looked WHERE name = ?", [(os.fsencode(name),) for name in names])

    def local(self, account: bytes) -> bytes | None:
        """Return the sealed secret of a placeholder account of this device, None if it has none."""
        row = self._db.execute("SELECT sealed FROM locals WHERE account = ?", (account,)).fetchone()
        return None if row is None else row[0]

    def locals(self) -> dict[bytes, bytes]:
        """Return the sealed secrets of all placeholder accounts of this device."""
        return dict(self._db.execute("SELECT account, sealed FROM locals").fetchall())

    def set_local(self, account: bytes, sealed: bytes | None) -> None:
        """Keep, or with None forget, the sealed secret of a placeholder account."""
        self._db.execute("DELETE FROM locals WHERE account = ?", (account,))
        if sealed is not None:
            self._db.execute("INSERT INTO locals VALUES (?, ?)", (account, sealed))


def _is_news(event: Event, held: Mapping[bytes, bool]) -> bool:
    return event.hash not in held or (_is_bodied(event) and not held[event.hash])


def _is_bodied(event: Event) -> bool:
    return event.values is not None or event.problem is not None


def _event_row(event: Event, file: int | None) -> tuple[Any, ...]:
    place = (*event.dot[:2], event.hash, file, event.lamport, event.wall)
    return (*place, event.account, event.problem, _is_bodied(event), event.kind)
