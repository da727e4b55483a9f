"""The SQLite file under the store: opening, schema, transactions.

WAL with full syncs: what COMMIT has returned for is on the disk (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import os
import sqlite3
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from otpkeep_daemon import disks, store_faults
from otpkeep_daemon.lock import WriterLock
from otpkeep_protocol.errors import IntegrityProblem, OtpkeepError, StoreUnwritable, UnknownVersion

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
    kind TEXT NOT NULL
);
CREATE UNIQUE INDEX chain_order ON events (writer, seq, hash);
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
_ORDERS = {"log_order": "events (lamport)", "account_order": "events (account, lamport)"}
"""The indexes that only a log needs. They may be missing for a while, which makes that slower and no more."""


UNREAD = "the store can't be read now; nothing is lost"


@contextmanager
def translated(message: str = UNREAD, directory: Path | None = None) -> Iterator[None]:
    """Say in our words what SQLite says: IntegrityProblem of damage, OtpkeepError with `message` of the rest.

    `directory` is where was to be written, if anywhere: then the rest is StoreUnwritable, by cause where one is found.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if directory is not None:
            raise store_faults.unwritable(error, directory, message) from error
        raise OtpkeepError(f"{message} ({error})", "Free some space or check the disk, and try again.") from error
    except sqlite3.DatabaseError as error:
        raise IntegrityProblem(f"the store is damaged: {error}; the folder is not affected", SET_ASIDE) from error


class Database:
    """One connection on one file, under a lock that one process holds. Threads take turns by a lock of their own.

    Where the disk takes no writes, the file is opened for reading alone, and for writing as soon as that works.
    """

    def __init__(self, path: Path, lock: WriterLock) -> None:
        """Open the file at `path`, new if there is none, under a lock that the caller took and this closes.

        The lock is let go of at once if the file can't be opened.
        """
        self._lock = lock
        self._path = path
        self._trouble: StoreUnwritable | None = None
        self._only_read = False
        with ExitStack() as undo:
            undo.callback(lock.release)
            try:
                self._db = _open(path)
            except StoreUnwritable as trouble:
                self._db = _open_to_read(path, trouble)
                self._trouble, self._only_read = trouble, True
            undo.pop_all()

    @property
    def trouble(self) -> StoreUnwritable | None:
        """Why nothing can be written, as far as is known: from the last attempt, and from what the disk says."""
        directory = self._path.parent
        return self._trouble or store_faults.by_number(disks.told(directory), directory)

    def mend(self) -> None:
        """After an attempt to write that failed, learn whether it would go well now. Under the lock of the threads."""
        if self._only_read:
            try:
                db = _open(self._path)
            except StoreUnwritable as trouble:
                self._trouble = trouble
                return
            self._db.close()
            self._db, self._trouble, self._only_read = db, None, False
        elif self._trouble is not None and disks.tried(self._path.parent) is None:
            self._trouble = None

    def close(self) -> None:
        """Close the file and let go of the writer lock."""
        self._db.close()
        self._lock.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when the block has ended. OtpkeepError if the disk refuses: nothing was saved."""
        self.mend()
        if self._only_read and self._trouble is not None:
            raise self._trouble
        try:
            with translated(_NOT_SAVED, self._path.parent), _all_or_nothing(self._db):
                yield
        except StoreUnwritable as trouble:
            self._trouble = trouble
            raise
        self._trouble = None

    @contextmanager
    def ordered_later(self) -> Iterator[None]:
        """Take in many events into a store that has none: their log order is made at the end, all at once.

        Should that end not come, opening the store makes it.
        """
        if self._db.execute("SELECT 1 FROM events LIMIT 1").fetchone() is not None:
            yield
            return
        with self.transaction():
            for name in _ORDERS:
                self._db.execute(f"DROP INDEX IF EXISTS {name}")
        yield
        with self.transaction():
            _make_orders(self._db)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query, for rooms that keep tables of their own."""
        return self._db.execute(query, values).fetchall()

    def change(self, statement: str, *values: Any) -> None:
        """Change a table of such a room, inside a transaction."""
        self._db.execute(statement, values)


_NOT_SAVED = "the store could not be written; this was not saved, and everything before it is"


@contextmanager
def _all_or_nothing(db: sqlite3.Connection) -> Iterator[None]:
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _open(path: Path) -> sqlite3.Connection:
    """Return a connection that may write, with the schema there. StoreUnwritable if the disk takes no writes."""
    message = "the store can't be opened now; nothing was changed and nothing is lost"
    with ExitStack() as undo, translated(message, path.parent):
        _make_file(path, message)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        undo.callback(db.close)
        for setting in ("journal_mode = WAL", "synchronous = FULL", "fullfsync = ON", "foreign_keys = ON"):
            db.execute(f"PRAGMA {setting}")
        db.execute("PRAGMA secure_delete = ON")
        with _all_or_nothing(db):
            if _version_of(db) == 0:
                for statement in _SCHEMA.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            _make_orders(db)
        undo.pop_all()
    return db


def _make_orders(db: sqlite3.Connection) -> None:
    for name, of in _ORDERS.items():
        db.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {of}")


def _make_file(path: Path, message: str) -> None:
    try:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise store_faults.refused(error, path.parent, message) from error


def _open_to_read(path: Path, trouble: StoreUnwritable) -> sqlite3.Connection:
    """Return a connection that only reads and makes no file beside; `trouble` again if there is nothing to be read.

    Without a write-ahead log to be heeded the file is the whole, and SQLite need not look for one; nobody changes it,
    since the writer lock is held.
    """
    log = path.with_name(f"{path.name}-wal")
    whole = not log.exists() or log.stat().st_size == 0
    address = f"file:{urllib.parse.quote(str(path))}?mode=ro{'&immutable=1' if whole else ''}"
    with ExitStack() as undo:
        try:
            db = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
            undo.callback(db.close)
            readable = _version_of(db) > 0
        except sqlite3.OperationalError as error:
            raise trouble from error
        if not readable:
            raise trouble
        undo.pop_all()
    return db


def _version_of(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise UnknownVersion("this store was written by a newer otpkeep", "Update otpkeep on this device.")
    return version
