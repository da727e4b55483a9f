"""The SQLite file under the store: opening, schema, transactions.

WAL with full syncs: what COMMIT has returned for is on the disk (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from otpkeep_daemon.lock import WriterLock
from otpkeep_protocol.errors import IntegrityProblem, OtpkeepError, UnknownVersion

SCHEMA_VERSION = 1
SET_ASIDE = (
    "Keep a copy of the store: edits that were not in the folder yet, and placeholders' secrets, are only there. "
    "Then move it aside and run `otpkeep recover` on your folder."
)
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    owner BLOB,
    published INTEGER NOT NULL,
    size INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE INDEX outbox ON files (id) WHERE published = 0;
CREATE TABLE events (
    writer BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    file INTEGER NOT NULL REFERENCES files (id),
    lamport INTEGER NOT NULL,
    wall INTEGER NOT NULL,
    account BLOB,
    problem TEXT,
    bodied INTEGER NOT NULL,
    kind TEXT NOT NULL,
    PRIMARY KEY (writer, seq, hash)
) WITHOUT ROWID;
CREATE INDEX log_order ON events (lamport, wall, writer, seq);
CREATE INDEX account_order ON events (account, lamport, wall, writer, seq);
CREATE INDEX file_events ON events (file);
CREATE INDEX slot_statements ON events (kind) WHERE kind = 'slot.set';
CREATE TABLE replaced (
    hash BLOB NOT NULL,
    file BLOB NOT NULL,
    writer BLOB NOT NULL,
    seq INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (hash, writer)
) WITHOUT ROWID;
CREATE INDEX replacing ON replaced (file);
CREATE TABLE writers (writer BLOB PRIMARY KEY, device BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE looked (
    name BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    since INTEGER NOT NULL,
    content TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE locals (account BLOB PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE watches (
    path BLOB PRIMARY KEY,
    format TEXT NOT NULL,
    two_way INTEGER NOT NULL,
    password BLOB,
    content BLOB,
    held BLOB NOT NULL,
    version INTEGER,
    last_read INTEGER,
    pending BLOB,
    pending_held BLOB,
    temporary TEXT
) WITHOUT ROWID;
CREATE TABLE holds (
    id TEXT PRIMARY KEY,
    path BLOB NOT NULL,
    reason TEXT NOT NULL,
    content BLOB NOT NULL,
    accounts TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE copies (path BLOB PRIMARY KEY, watched BLOB NOT NULL, content BLOB NOT NULL, base BLOB) WITHOUT ROWID;
"""


@contextmanager
def translated(message: str) -> Iterator[None]:
    """Say in our words what SQLite says: IntegrityProblem of damage, OtpkeepError with `message` of the rest."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OtpkeepError(f"{message} ({error})", "Free some space or check the disk, and try again.") from error
    except sqlite3.DatabaseError as error:
        raise IntegrityProblem(f"the store is damaged: {error}; the folder is not affected", SET_ASIDE) from error


class Database:
    """One connection on one file, under a lock that one process holds. Threads take turns by a lock of their own."""

    def __init__(self, path: Path, lock: WriterLock) -> None:
        """Open the file at `path`, new if there is none, under a lock that the caller took and this closes.

        The lock is let go of at once if the file can't be opened.
        """
        self._lock = lock
        with ExitStack() as undo:
            undo.callback(lock.release)
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            undo.callback(self._db.close)
            with translated("the store can't be opened now; nothing was changed and nothing is lost"):
                self._prepare()
            undo.pop_all()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA fullfsync = ON")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA secure_delete = ON")
        with self.transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise UnknownVersion("this store was written by a newer otpkeep", "Update otpkeep on this device.")
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file and let go of the writer lock."""
        self._db.close()
        self._lock.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when the block has ended. OtpkeepError if the disk refuses: nothing was saved."""
        with translated("the store could not be written; this was not saved, and everything before it is"):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query, for rooms that keep tables of their own."""
        return self._db.execute(query, values).fetchall()

    def change(self, statement: str, *values: Any) -> None:
        """Change a table of such a room, inside a transaction."""
        self._db.execute(statement, values)

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
