"""What a person is told of the whole: status, devices, problems."""

from __future__ import annotations

import os
from typing import Any

from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.engine import Engine
from otpkeep_daemon.histories import missing_of
from otpkeep_daemon.lines import Lines
from otpkeep_daemon.own_vault import OwnVault
from otpkeep_daemon.problems import device_problems, problems, watched_problems
from otpkeep_daemon.rows import Names, timestamp
from otpkeep_daemon.store import Store
from otpkeep_daemon.verified import last_drill, last_verified, verify_problems
from otpkeep_daemon.version import VERSION
from otpkeep_daemon.watched import Watched
from otpkeep_daemon.watches import OWN
from otpkeep_protocol import digests
from otpkeep_protocol.chains import Chains
from otpkeep_protocol.context import Context, covers
from otpkeep_protocol.errors import FolderUnwritable, Unreachable
from otpkeep_protocol.ids import Dot
from otpkeep_protocol.state import State
from otpkeep_protocol.view import is_retired

QUIET_MS = 90 * 24 * 3600 * 1000
"""A device not heard of for so long holds up nothing."""


class Status:
    """All that `otpkeep status` shows; without keys, null where they are needed."""

    def __init__(
        self, store: Store, engine: Engine, own_vault: OwnVault, accounts: Accounts | None, watched: Watched
    ) -> None:
        self._watched = watched
        self._store = store
        self._engine = engine
        self._own_vault = own_vault
        self._accounts = accounts

    def problems(self, now_ms: int, silent_s: int, *, labels: bool = True) -> list[dict[str, str]]:
        """Return what is wrong, each with what to do; devices not heard of for `silent_s` are.

        Without `labels` devices are named by their ids: a label is nothing for a log.
        """
        found = problems(self._store, self._engine, self._accounts, now_ms, labels=labels)
        found += device_problems(self._store, self._accounts, now_ms, silent_s)
        return found + verify_problems(self._store) + watched_problems(self._watched)

    def row(self, *, pid: int | None, now_ms: int, silent_s: int, jobs: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the whole; `pid` and `jobs` are the daemon's."""
        store, accounts = self._store, self._accounts
        alive = [v for v in accounts.views() if not v.deleted] if accounts is not None else None
        newest = next(accounts.replica.archive.log(), None) if accounts is not None else None
        return {
            "vault": store.need("vault").hex(),
            "device": self._device(),
            "backup": self._engine.publishing,
            "accounts": len(alive) if alive is not None else None,
            "events": store.event_count(),
            "digest": digests.digest(accounts.replica.chains) if accounts is not None else None,
            "complete": not accounts.replica.chains.missing() if accounts is not None else None,
            "last_event": Lines(accounts).row(newest) if accounts is not None and newest is not None else None,
            "folder": self._folder(),
            "own_vault": self._own(),
            "devices": devices(store, accounts) if accounts is not None else None,
            "daemon": _daemon(pid, accounts),
            "watched": watched_rows(self._watched),
            "jobs": jobs,
            "verified": last_verified(store),
            "drill": last_drill(store),
            "problems": self.problems(now_ms, silent_s),
        }

    def _device(self) -> dict[str, Any]:
        own = self._store.need("device")
        return {"id": own.hex(), "name": self._accounts.names().label(own) if self._accounts is not None else None}

    def _folder(self) -> dict[str, Any]:
        store, accounts, waiting = self._store, self._accounts, len(self._engine.waiting())
        return {
            "path": os.fsdecode(store.need("folder")),
            "local_only": store.get("folder.local") == b"yes",
            "reachable": is_reachable(self._engine),
            "published": len(store.files()) - waiting,
            "pending": waiting,
            "waiting_for": waiting_for(accounts) if accounts is not None else None,
            "seen_by": seen_by(store, accounts) if accounts is not None else None,
        }

    def _own(self) -> dict[str, Any]:
        left_out = self._own_vault.left_out_of(self._accounts) if self._accounts is not None else None
        shown = [{"entry": s.entry, "reason": s.reason} for s in left_out] if left_out is not None else None
        return {"path": str(self._own_vault.path), "left_out": shown}


def _daemon(pid: int | None, accounts: Accounts | None) -> dict[str, Any]:
    if pid is None:
        return {"running": False, "pid": None, "locked": None, "version": None}
    return {"running": True, "pid": pid, "locked": accounts is None, "version": VERSION}


def is_reachable(engine: Engine) -> bool:
    """Tell whether the folder could be read at the last pass; one that is full or read-only can."""
    trouble = engine.last.trouble
    return isinstance(trouble, FolderUnwritable) or not isinstance(trouble, Unreachable)


def watched_rows(watched: Watched) -> list[dict[str, Any]]:
    """Return the watched files of other programs."""
    return [
        {
            "path": str(watch.path),
            "format": watch.format,
            "two_way": watch.two_way,
            "last_read": timestamp(watch.last_read) if watch.last_read is not None else None,
            "held": [hold.id for hold in watched.watches.holds(watch.path)],
        }
        for watch in watched.watches.all()
        if watch.format != OWN
    ]


def devices(store: Store, accounts: Accounts) -> list[dict[str, Any]]:
    """Return the vault's devices, this one first, then by the time they joined."""
    names, own = accounts.names(), store.need("device")
    rows = []
    for device, (count, first, last) in store.events_of_devices().items():
        rows.append(
            {
                "id": device.hex(),
                "name": names.label(device),
                "this": device == own,
                "joined": timestamp(first),
                "last_seen": timestamp(max(last, _last_word(accounts, device))),
                "events": count,
                "state": "retired" if is_retired(accounts.replica.state, device) else "active",
            }
        )
    return sorted(rows, key=lambda row: (not row["this"], row["joined"]))


def _writers_of(accounts: Accounts, device: bytes) -> list[bytes]:
    return [writer for writer, owner in accounts.replica.store.writers().items() if owner == device]


def _last_word(accounts: Accounts, device: bytes) -> int:
    return max(accounts.replica.chains.last_seen_by(w)[1] for w in _writers_of(accounts, device))


def active_devices(store: Store, chains: Chains, state: State, now_ms: int) -> dict[str, Context]:
    """Return what each other device has seen by its newest writer: those not retired, heard of within QUIET_MS."""
    newest: dict[bytes, tuple[int, bytes]] = {}
    for writer, device in store.writers().items():
        newest[device] = max(newest.get(device, (0, b"")), (chains.last_seen_by(writer)[1], writer))
    names = Names(state, store.writers())
    return {
        f"{names.label(device)} ({device.hex()[:8]})": chains.last_seen_by(writer)[0]
        for device, (wall, writer) in newest.items()
        if device != store.need("device") and (not wall or now_ms - wall <= QUIET_MS) and not is_retired(state, device)
    }


def retired_devices(store: Store, state: State) -> list[bytes]:
    """Return the other devices that a person has retired, ascending."""
    own = store.need("device")
    return [device for device in sorted(set(store.writers().values())) if device != own and is_retired(state, device)]


def seen_by(store: Store, accounts: Accounts) -> list[dict[str, str]]:
    """Return the other devices that are known to have seen this device's newest event, and since when."""
    chains, names, own = accounts.replica.chains, accounts.names(), store.need("device")
    head = store.head(accounts.replica.keys.author.writer)
    if head is None:
        return []
    dot = Dot(accounts.replica.keys.author.writer, head[0], head[1][:16])
    rows = []
    for writer, device in store.writers().items():
        seen, wall = chains.last_seen_by(writer)
        if device != own and covers(seen, dot, chains.forks):
            rows.append({"device": names.label(device), "time": timestamp(wall)})
    return rows


def waiting_for(accounts: Accounts) -> list[dict[str, Any]]:
    """Return whose events are known to exist and have not arrived, and how many."""
    names = accounts.names()
    return [{"device": names.label(device), "events": count} for device, count in missing_of(accounts).items()]
