"""Which files others have replaced, and which runs could be: the part of the store that compaction needs.

    replaced   old file ──▶ file that has its events ──▶ … ──▶ a file that the store holds

A replaced file leaves the store as soon as its events have moved to the one that replaces it; in the folder it stays
until its owner removes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from otpkeep_daemon.database import Database
from otpkeep_protocol.compaction import Segment
from otpkeep_protocol.events import Event

_LATEST = """
WITH RECURSIVE chain (hash, file) AS (
    SELECT hash, file FROM replaced {where}
    UNION SELECT chain.hash, replaced.file FROM chain JOIN replaced ON replaced.hash = chain.file
)
SELECT chain.hash, files.hash FROM chain JOIN files ON files.hash = chain.file
WHERE files.kind = 'run' AND files.hash != chain.hash
"""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A file that a pack event of `writer` replaced; `since` (s) is when this device learned of it."""

    hash: bytes
    file: bytes
    writer: bytes
    seq: int
    since: int


class Packs(Database):
    """The tables `replaced`, and what compaction asks of `files` and `events`. Changes belong into a `transaction`."""

    def note_pack(self, event: Event, since: int) -> None:
        """Take in a valid pack event at `since` (s)."""
        file = event.extra["file"]
        rows = [(old, file, event.dot.writer, event.dot.seq, since) for old in event.extra["replaced"] if old != file]
        self._db.executemany("INSERT OR IGNORE INTO replaced VALUES (?, ?, ?, ?, ?)", rows)

    def replaces(self, digest: bytes) -> bool:
        """Tell whether a pack event names this file as one that replaces others."""
        return self._db.execute("SELECT 1 FROM replaced WHERE file = ?", (digest,)).fetchone() is not None

    def claimed(self) -> set[bytes]:
        """Return the files in the store that a pack event names as replaced, though what replaces them is not here."""
        query = "SELECT hash FROM files WHERE EXISTS (SELECT 1 FROM replaced WHERE replaced.hash = files.hash)"
        return {row[0] for row in self._db.execute(query)}

    def replaceable(self) -> list[tuple[bytes, bytes]]:
        """Return (old file, new file) where the store still holds both."""
        query = _LATEST.format(where="WHERE hash IN (SELECT hash FROM files)")
        return self._db.execute(query).fetchall()

    def replaced_among(self, names: Iterable[str], devices: Sequence[bytes]) -> list[Replaced]:
        """Return those of the files with these names that a pack event of these devices replaced, once each."""
        marks = ", ".join("?" * len(devices))
        query = (
            "SELECT hash, file, replaced.writer, seq, since FROM replaced JOIN writers USING (writer)"  # noqa: S608 - question marks
            f" WHERE hash BETWEEN ? AND ? AND device IN ({marks}) ORDER BY since LIMIT 1"
        )
        prefixes = [bytes.fromhex(name[:32]) for name in names]
        spans = [(prefix + bytes(16), prefix + b"\xff" * 16, *devices) for prefix in prefixes]
        return [Replaced(*row) for span in spans for row in self._db.execute(query, span)]

    def latest(self, digest: bytes) -> bytes | None:
        """Return the file in the store that has the place of a replaced one, None if there is none."""
        row = self._db.execute(_LATEST.format(where="WHERE hash = ?"), (digest,)).fetchone()
        return None if row is None else row[1]

    def events_in(self, file: bytes) -> list[tuple[bytes, bool]]:
        """Return event hash, and whether its body is known, of the events that are read from this file."""
        query = "SELECT hash, bodied FROM events WHERE file = (SELECT id FROM files WHERE hash = ?)"
        return [(digest, bool(bodied)) for digest, bodied in self._db.execute(query, (file,))]

    def is_replaced(self, digest: bytes) -> bool:
        """Tell whether a pack event says that this file was replaced, be what takes its place here or not."""
        return self._db.execute("SELECT 1 FROM replaced WHERE hash = ?", (digest,)).fetchone() is not None

    def replacement_of(self, name: str) -> bytes | None:
        """Return the file in the store that has the place of a replaced one of that name, None if there is none."""
        prefix = bytes.fromhex(name[:32])
        query = "SELECT hash FROM replaced WHERE hash BETWEEN ? AND ? LIMIT 1"
        row = self._db.execute(query, (prefix + bytes(16), prefix + b"\xff" * 16)).fetchone()
        return self.latest(row[0]) if row is not None else None

    def pieces_in(self, file: bytes) -> list[tuple[bytes, int, int, int]]:
        """Return writer, first seq, last seq and number of the events that are read from a file."""
        query = (
            "SELECT writer, MIN(seq), MAX(seq), COUNT(*) FROM events"
            " WHERE file = (SELECT id FROM files WHERE hash = ?) GROUP BY writer ORDER BY writer"
        )
        return self._db.execute(query, (file,)).fetchall()

    def move_events(self, old: bytes, new: bytes) -> None:
        """Have the events of one file read from another that holds them all, and forget the first."""
        ids = "(SELECT id FROM files WHERE hash = ?)"
        self._db.execute(f"UPDATE events SET file = {ids} WHERE file = {ids}", (new, old))  # noqa: S608 - constants
        self._db.execute("DELETE FROM files WHERE hash = ?", (old,))

    def segments(self, owner: bytes) -> list[Segment]:
        """Return the runs of a device that could be merged: those whose events are all in order."""
        query = (
            "SELECT files.hash, events.writer, MIN(seq), MAX(seq), files.size FROM events"
            " JOIN files ON files.id = events.file WHERE files.kind = 'run' AND files.owner = ? GROUP BY files.id"
            " HAVING COUNT(*) = MAX(seq) - MIN(seq) + 1 AND MAX(problem) IS NULL AND COUNT(DISTINCT writer) = 1"
        )
        return [Segment(*row) for row in self._db.execute(query, (owner,))]

    def idle_runs(self, owner: bytes) -> list[bytes]:
        """Return the runs of a device from which no event is read: other files have all of them, bodies included."""
        query = (
            "SELECT hash FROM files WHERE kind = 'run' AND owner = ?"
            " AND NOT EXISTS (SELECT 1 FROM events WHERE events.file = files.id) ORDER BY hash"
        )
        return [row[0] for row in self._db.execute(query, (owner,))]

    def files_of_events(self, writer: bytes, first: int, last: int) -> list[bytes]:
        """Return the files from which a writer's events first … last are read, ascending."""
        query = (
            "SELECT DISTINCT files.hash FROM events JOIN files ON files.id = events.file"
            " WHERE events.writer = ? AND seq BETWEEN ? AND ? ORDER BY files.hash"
        )
        return [row[0] for row in self._db.execute(query, (writer, first, last))]

    def span(self, file: bytes) -> tuple[bytes, int, int] | None:
        """Return writer, first and last seq of the events that are read from a file, None if there are none."""
        query = (
            "SELECT writer, MIN(seq), MAX(seq) FROM events"
            " WHERE file = (SELECT id FROM files WHERE hash = ?) GROUP BY writer"
        )
        found: tuple[bytes, int, int] | None = self._db.execute(query, (file,)).fetchone()
        return found

    def replaced_by(self, file: bytes) -> list[bytes]:
        """Return the files that this one replaced."""
        return [row[0] for row in self._db.execute("SELECT hash FROM replaced WHERE file = ?", (file,))]

    def spans(self, file: bytes) -> list[tuple[bytes, bytes, int, int]]:
        """Return device, writer, number of events and last seq of what is read from a file."""
        query = (
            "SELECT device, writer, COUNT(*), MAX(seq) FROM events JOIN writers USING (writer)"
            " WHERE file = (SELECT id FROM files WHERE hash = ?) GROUP BY writer"
        )
        return self._db.execute(query, (file,)).fetchall()

    def newest_published(self, but: Collection[str], writers: Iterable[bytes]) -> dict[bytes, int]:
        """Return the last seq of these writers that was published in a file of another name than those of `but`."""
        query = (
            "SELECT seq, name FROM events JOIN files ON files.id = file"
            " WHERE writer = ? AND published = 1 ORDER BY seq DESC"
        )
        found = {w: next((seq for seq, name in self._db.execute(query, (w,)) if name not in but), 0) for w in writers}
        return {writer: seq for writer, seq in found.items() if seq}
