"""Keys: who may open, opening, closing."""

from __future__ import annotations

from itertools import islice
from typing import Any

from otpkeep_daemon.service import Args, Service
from otpkeep_daemon.version import VERSION
from otpkeep_protocol.errors import Locked, Refused

MOST_SLOTS = 1024
"""What fits into a reply, whatever somebody put into the folder."""


def slots(service: Service, _args: Args) -> list[bytes]:
    """Return the slots that may open this vault."""
    return list(islice(service.slot_files(), MOST_SLOTS))


def unlock(service: Service, _args: Args) -> dict[str, Any]:
    """Keep the keys that came with this request."""
    if service.accounts is None:
        raise Locked("otpkeep is locked", "Give the passphrase.")
    if service.pid is None:
        raise Refused("no daemon is running here, so there is nothing to unlock", "Start one: otpkeep daemon run.")
    service.unlocked()
    return {"locked": False}


def lock(service: Service, _args: Args) -> dict[str, Any]:
    """Forget the keys."""
    if service.pid is None:
        raise Refused("no daemon is running here, so nothing is unlocked", "There is nothing to do.")
    service.lock_keys()
    return {"locked": True}


def ping(service: Service, _args: Args) -> dict[str, Any]:
    """Tell that somebody serves, of which otpkeep, and whether unlocked."""
    return {"pid": service.pid, "locked": service.accounts is None, "version": VERSION}
