"""What the store knows of watched files: which, what they last held (sealed), what waits for a person, copies seen.

content   hash of the bytes that were dealt with last
held      what they held, sealed: it has secrets
pending   hash of the bytes about to be written, committed before the write
temporary the name that writes of this file go through
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from otpkeep_daemon.database import Database

OWN = "own"
"""The format of otpkeep's own vault file, whose keys are the vault's."""
_COLUMNS = "path, format, two_way, password, content, held, version, last_read, pending, pending_held, temporary"


@dataclass(frozen=True, slots=True)
class Watch:
    """A watched file. `version` is the number of events that it was last written with, or found to need nothing."""

    path: Path
    format: str
    two_way: bool
    password: bytes | None = field(repr=False)
    content: bytes | None
    held: bytes = field(repr=False)
    version: int | None = None
    last_read: int | None = None
    pending: bytes | None = None
    pending_held: bytes | None = field(default=None, repr=False)
    temporary: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A change of a file that waits for a person: of which content (hash), why, and about which accounts (hex)."""

    id: str
    path: Path
    reason: str
    content: bytes
    adds: tuple[str, ...] = ()
    edits: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """A conflict copy that was taken in: its content, and what the watched file held then (hashes)."""

    path: Path
    watched: Path
    content: bytes
    base: bytes | None


class Watches:
    """The tables of watched files. Changes belong into a transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> list[Watch]:
        """Return every watched file, the own vault file included, by path."""
        return [_watch(*row) for row in self._db.rows(f"SELECT {_COLUMNS} FROM watches ORDER BY path")]  # noqa: S608

    def get(self, path: Path) -> Watch | None:
        """Return the watched file of that path."""
        found = self._db.rows(f"SELECT {_COLUMNS} FROM watches WHERE path = ?", os.fsencode(path))  # noqa: S608
        return _watch(*found[0]) if found else None

    def put(self, watch: Watch) -> None:
        """Keep what is known of a file."""
        self._db.change(
            f"INSERT OR REPLACE INTO watches ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            os.fsencode(watch.path),
            watch.format,
            watch.two_way,
            watch.password,
            watch.content,
            watch.held,
            watch.version,
            watch.last_read,
            watch.pending,
            watch.pending_held,
            watch.temporary,
        )

    def forget(self, path: Path) -> None:
        """Drop all that is known of a file."""
        name = os.fsencode(path)
        self._db.change("DELETE FROM watches WHERE path = ?", name)
        self._db.change("DELETE FROM holds WHERE path = ?", name)
        self._db.change("DELETE FROM copies WHERE watched = ?", name)

    def holds(self, path: Path | None = None) -> list[Hold]:
        """Return what waits for a person, of one file or of all."""
        rows = self._db.rows("SELECT id, path, reason, content, accounts FROM holds ORDER BY id")
        found = [Hold(i, Path(os.fsdecode(p)), r, c, *map(tuple, json.loads(a))) for i, p, r, c, a in rows]
        return [hold for hold in found if path in (None, hold.path)]

    def hold(self, hold: Hold) -> None:
        """Keep a change back, in the place of what was kept back of this file before."""
        self.release(hold.path)
        accounts = json.dumps([hold.adds, hold.edits, hold.deletes])
        row = (hold.id, os.fsencode(hold.path), hold.reason, hold.content, accounts)
        self._db.change("INSERT OR REPLACE INTO holds VALUES (?, ?, ?, ?, ?)", *row)

    def release(self, path: Path) -> None:
        """Drop what is kept back of a file."""
        self._db.change("DELETE FROM holds WHERE path = ?", os.fsencode(path))

    def copies(self, watched: Path) -> dict[Path, Copy]:
        """Return the conflict copies of a file that were taken in."""
        rows = self._db.rows("SELECT path, content, base FROM copies WHERE watched = ?", os.fsencode(watched))
        return {copy.path: copy for path, *rest in rows for copy in [Copy(Path(os.fsdecode(path)), watched, *rest)]}

    def note_copy(self, copy: Copy) -> None:
        """Record that a conflict copy was taken in."""
        row = (os.fsencode(copy.path), os.fsencode(copy.watched), copy.content, copy.base)
        self._db.change("INSERT OR REPLACE INTO copies VALUES (?, ?, ?, ?)", *row)

    def forget_copies(self, paths: Sequence[Path]) -> None:
        """Drop copies that are no longer there."""
        for path in paths:
            self._db.change("DELETE FROM copies WHERE path = ?", os.fsencode(path))


def _watch(
    path: bytes,
    format: str,  # noqa: A002  # the column's name
    two_way: int,
    *rest: object,
) -> Watch:
    return Watch(Path(os.fsdecode(path)), format, bool(two_way), *rest)  # type: ignore[arg-type]  # as they were put
