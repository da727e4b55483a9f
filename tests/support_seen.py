"""What a device holds, seen by the service itself in this process: the next run after whatever happened before."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otpkeep_daemon import setup
from otpkeep_daemon.alone import serve_alone
from otpkeep_daemon.formats.otpauth_uri import parse_uri
from otpkeep_daemon.paths import Paths
from otpkeep_protocol import naming
from otpkeep_protocol.control import Call
from otpkeep_protocol.errors import Refused
from support_cli import Device
from support_system import uri

_OF_THE_RUN = {"id", "created", "changed", "event", "time", "account", "device", "secret"}
"""What two runs of one command don't have in common."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Accounts and their edits, as two runs that did the same show them alike, and the ids, which they don't share."""

    accounts: tuple[str, ...]
    edits: tuple[str, ...]
    ids: frozenset[str]

    def same(self, other: Seen | None) -> bool:
        return other is not None and (self.accounts, self.edits) == (other.accounts, other.edits)


@contextmanager
def served(device: Device) -> Iterator[Call]:
    """Yield the operations of a device without a daemon, as one command has them."""
    with serve_alone(_paths(device), device.passphrase_file.read_text, keys=True, meanwhile=lambda: False) as call:
        assert call is not None
        yield call


def _paths(device: Device) -> Paths:
    return Paths.from_environment({"OTPKEEP_HOME": str(device.home)})


def add_accounts(device: Device, numbers: Iterable[int]) -> None:
    """Add invented accounts, each by an edit of its own, all in one go."""
    with served(device) as call:
        for number in numbers:
            call("add", {"fields": parse_uri(uri(number)).to_fields(), "placeholder": False})


def see(device: Device) -> Seen | None:
    """Have the service run once and return what it shows; None if the device is not set up.

    It is checked on the way that the store is sound and that a rebuild from the folder finds nothing wrong.
    """
    if not _paths(device).store.exists():
        return None
    try:
        with served(device) as call:
            accounts = call("list", {"tag": None, "deleted": False, "secrets": True, "at": None})
            asked = {"account": None, "device": None, "since": None, "until": None, "limit": None}
            log = call("log", asked)
            verified = call("verify", {"depth": "rebuild", "repair": False})
    except Refused as refused:
        if "interrupted" not in refused.message:
            raise
        return None
    assert verified["problems"] == []
    sound(_paths(device).store)
    return _seen(accounts, [row for row in log if row["kind"].startswith("account.")])


def _seen(accounts: list[dict[str, Any]], edits: list[dict[str, Any]]) -> Seen:
    ids = frozenset([*(row["id"] for row in accounts), *(row["event"] for row in edits)])
    secrets = [hashlib.sha256(row["secret"].encode()).hexdigest() for row in accounts]
    shown = [_text({**row, "digest": digest}) for row, digest in zip(accounts, secrets, strict=True)]
    return Seen(tuple(sorted(shown)), tuple(sorted(map(_text, edits))), ids)


def _text(row: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in row.items() if key not in _OF_THE_RUN}, sort_keys=True)


def folder_in_use(device: Device) -> Path:
    """Return the folder that the store of a device names; its first one if there is no such store yet."""
    try:
        with closing(sqlite3.connect(f"file:{_paths(device).store}?mode=ro", uri=True)) as store:
            row = store.execute("SELECT value FROM meta WHERE key = 'folder'").fetchone()
    except sqlite3.OperationalError:
        return device.folder
    return Path(os.fsdecode(row[0])) if row is not None else device.folder


def recovered(home: Path, folder: Path, passphrase: str) -> Seen | None:
    """Recover a fresh device in `home` from `folder` and return what it shows."""
    fresh = Device(home, folder, passphrase)
    setup.recover(
        _paths(fresh),
        folder=folder,
        device=home.name,
        vault=None,
        passphrase=lambda: passphrase,
        code=None,
        new_passphrase=lambda: passphrase,
        reading=lambda _done, _of: None,
        loading=lambda _done, _of: None,
        early=lambda _accounts: None,
        show=lambda _found: None,
    )
    return see(fresh)


def sound(path: Path) -> None:
    """Check that SQLite finds nothing wrong with a store that nobody has open."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.execute("PRAGMA foreign_key_check").fetchall() == []


def whole(folder: Path) -> None:
    """Check that every name in the folder stands for exactly its bytes, and that nothing else lies there."""
    for path in folder.iterdir():
        if path.name != naming.README_NAME:
            assert path.name == hashlib.sha256(path.read_bytes()).hexdigest()[:32] + ".otpk"
