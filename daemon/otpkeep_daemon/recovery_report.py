"""What `recover` tells: first what the folder holds, then what this device can do with it and what it can't.

Both only ask; how the events came into the store is none of their business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.report import devices, waiting_for
from otpkeep_daemon.rows import timestamp
from otpkeep_daemon.store import Store
from otpkeep_protocol.digests import digest
from otpkeep_protocol.view import View

SET_UP_AGAIN = "set up again: its secret never left another device"
NOT_HERE = "its secret has not arrived: let the folder sync"
PUSH = "push approval must be enabled anew on this device"


def found(store: Store, accounts: Accounts, unreadable: int) -> dict[str, Any]:
    """Return {vault, devices, accounts, events, waiting_for, complete, unreadable, digest} before this device joins.

    Each of the devices has {name, events, last_event}; `unreadable` is a number of files.
    """
    return {
        "vault": store.need("vault").hex(),
        "devices": _histories(store, accounts),
        "accounts": len(alive(accounts)),
        "events": store.event_count(),
        "waiting_for": waiting_for(accounts),
        "complete": not accounts.replica.chains.missing() and not unreadable,
        "unreadable": unreadable,
        "digest": digest(accounts.replica.chains),
    }


def _histories(store: Store, accounts: Accounts) -> list[dict[str, Any]]:
    """Return the devices whose events were found, the one heard of last first."""
    names = accounts.names()
    held = sorted(store.events_of_devices().items(), key=lambda row: -row[1][2])
    return [
        {"name": names.label(device), "events": count, "last_event": timestamp(last)}
        for device, (count, _first, last) in held
    ]


def recovered(store: Store, accounts: Accounts, waiting: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what gives codes now and what needs a person, in the keys of an import."""
    living = alive(accounts)
    ready = [shown.account.hex() for shown in living if accounts.otp(shown) is not None]
    return {
        "vault": store.need("vault").hex(),
        "device": store.need("device").hex(),
        "added": [shown.account.hex() for shown in living],
        "changed": [],
        "unchanged": [],
        "skipped": [],
        "ready": ready,
        "needs_action": [row for shown in living for row in _actions(accounts, shown)],
        "devices": devices(store, accounts),
        "waiting_for": list(waiting),
        "complete": not waiting,
        "digest": digest(accounts.replica.chains),
    }


def alive(accounts: Accounts) -> list[View]:
    """Return the accounts that are not deleted."""
    return [shown for shown in accounts.views() if not shown.deleted]


def _actions(accounts: Accounts, shown: View) -> list[dict[str, Any]]:
    """Return a row for each thing that only a person can do for this account; a key gives codes, a push does not."""
    otp = shown.values.get("otp") or {}
    reasons = []
    if accounts.otp(shown) is None and otp.get("placeholder") != "push":
        reasons.append(SET_UP_AGAIN if accounts.is_placeholder(shown) else NOT_HERE)
    if otp.get("placeholder") == "push" or shown.values.get("push") is not None:
        reasons.append(PUSH)
    row = {"id": shown.account.hex(), "issuer": shown.values.get("issuer", ""), "name": shown.values.get("name", "")}
    return [row | {"reason": reason} for reason in reasons]
