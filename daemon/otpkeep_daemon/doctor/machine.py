"""What every check may start from: the places, the daemon's own word, and what the store says without a key."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otpkeep_daemon.access import daemon
from otpkeep_daemon.config import Config, read_text, salvaged
from otpkeep_daemon.doctor.outcome import NotHereError
from otpkeep_daemon.home import READY
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.watches import OWN
from otpkeep_protocol.errors import OtpkeepError

_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Daemon:
    """What the running daemon says. `version` is None if it is too old to say."""

    pid: int
    version: str | None
    locked: bool
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class File:
    """A file of another program that is watched."""

    path: Path
    two_way: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store says. `newest_ms` is the time of its newest event (ms since 1970), None if it has none."""

    ready: bool
    folder: Path | None
    tag: str
    local_only: bool
    publishes: bool
    newest_ms: int | None
    watched: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """One device on its machine. `daemon` is None if none answers; an error in the place of facts is why."""

    paths: Paths
    env: Mapping[str, str]
    platform: str
    home: Path | None
    uid: int
    now_s: float
    config: Config
    daemon: Daemon | OtpkeepError | None
    stored: Stored | OtpkeepError | None

    @property
    def store(self) -> Stored:
        """The store's facts, once set up. NotHereError before; the error if they can't be read."""
        if isinstance(self.stored, OtpkeepError):
            raise self.stored
        if self.stored is None or not self.stored.ready:
            raise NotHereError
        return self.stored

    @property
    def folder(self) -> Path:
        """The folder, of which the daemon knows as well if the store can't be read. Errors as for `store`."""
        if isinstance(self.stored, OtpkeepError) and isinstance(self.daemon, Daemon):
            return Path(self.daemon.status["folder"]["path"])
        place = self.store.folder
        if place is None:
            raise NotHereError
        return place

    @property
    def pid(self) -> int | None:
        """The daemon's process, None if none answers."""
        return self.daemon.pid if isinstance(self.daemon, Daemon) else None


def this_machine(paths: Paths, env: Mapping[str, str]) -> Machine:
    """Gather what all checks share; whatever goes wrong with that is kept for them."""
    try:
        home: Path | None = Path.home()
    except RuntimeError:
        home = None
    return Machine(
        paths=paths,
        env=env,
        platform=sys.platform,
        home=home,
        uid=os.geteuid() if hasattr(os, "geteuid") else 0,
        now_s=time.time(),
        config=_config(paths),
        daemon=_daemon(paths),
        stored=_stored(paths),
    )


def _config(paths: Paths) -> Config:
    try:
        return salvaged(read_text(paths.config) or "")
    except OtpkeepError:
        return Config()  # what is wrong with the file is told by its own check


def _daemon(paths: Paths) -> Daemon | OtpkeepError | None:
    try:
        with daemon(paths) as call:
            if call is None:
                return None
            said, status = call("ping", {}), call("status", {})
            return Daemon(said["pid"], said.get("version"), said["locked"], status)
    except OtpkeepError as error:
        return error
    except OSError as error:
        return OtpkeepError(f"the socket {paths.socket} can't be used: {error.strerror}", "Check its directory.")


@contextlib.contextmanager
def store_opened(paths: Paths) -> Iterator[sqlite3.Connection]:
    """Yield the store for reading, beside whoever writes it. sqlite3.Error as SQLite has it.

    Where a writer left its log behind, it stays: only the next writer may fold it in. Else the connection may write
    nothing, and takes its own traces away, which one that is opened read-only can't.
    """
    left = Path(f"{paths.store}-wal").exists()
    place = f"{paths.store.absolute().as_uri()}?mode={'ro' if left else 'rw'}"
    with contextlib.closing(sqlite3.connect(place, uri=True, timeout=_WAIT_S)) as store:
        store.execute("PRAGMA query_only = ON")
        yield store


def _stored(paths: Paths) -> Stored | OtpkeepError | None:
    try:
        if not paths.store.exists():
            return None
        with store_opened(paths) as store:
            return _read(store)
    except (sqlite3.Error, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        return OtpkeepError(f"the store can't be read: {said}", "See the check of the store.")


def _read(store: sqlite3.Connection) -> Stored | None:
    if not store.execute("PRAGMA user_version").fetchone()[0]:
        return None
    meta = dict(store.execute("SELECT key, value FROM meta WHERE length(value) < 65536"))
    watches = store.execute("SELECT path, two_way FROM watches WHERE format != ? ORDER BY path", (OWN,))
    folder = meta.get("folder")
    return Stored(
        ready=READY in meta,
        folder=Path(os.fsdecode(folder)) if folder is not None else None,
        tag=meta.get("tag", b"").decode("ascii", "replace"),
        local_only=meta.get("folder.local") == b"yes",
        publishes=meta.get("backup") != b"off",
        newest_ms=store.execute("SELECT max(wall) FROM events").fetchone()[0],
        watched=tuple(File(Path(os.fsdecode(path)), bool(two_way)) for path, two_way in watches),
    )
