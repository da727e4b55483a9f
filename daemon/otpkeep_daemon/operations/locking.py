"""Keys: who may open, opening, closing, and what the daemon unlocks itself with."""

from __future__ import annotations

from itertools import islice
from typing import Any

from otpkeep_daemon.problem import problem
from otpkeep_daemon.remembering import NONE
from otpkeep_daemon.service import UNLOCK, Args, Service
from otpkeep_daemon.version import VERSION
from otpkeep_protocol.errors import Locked, Refused

MOST_SLOTS = 1024
"""What fits into a reply, whatever somebody put into the folder."""


def slots(service: Service, _args: Args) -> list[bytes]:
    """Return the slots that may open this vault."""
    return list(islice(service.slot_files(), MOST_SLOTS))


def unlock(service: Service, _args: Args) -> dict[str, Any]:
    """Keep the keys that came with this request, or those that are remembered."""
    if service.pid is None:
        raise Refused("no daemon is running here, so there is nothing to unlock", "Start one: otpkeep daemon run.")
    if service.accounts is None:
        raise Locked(f"otpkeep is locked: {service.waits.message}", "Give the passphrase.")
    service.stays_locked = False
    service.unlocked()
    return {"locked": False}


def remember(service: Service, args: Args) -> dict[str, Any]:
    """Have the daemon unlock itself by `method` from now on, or with "none" not at all.

    The answer has `unlocks_by`, and in `left` what could not be cleared of an earlier choice, or "".
    """
    if args["method"] == NONE:
        left = service.remembering.forget()
    else:
        left = service.remembering.choose(service.open.replica.keys, args["method"])
    return {"unlocks_by": service.remembering.method, "left": left}


def lock(service: Service, _args: Args) -> dict[str, Any]:
    """Forget the keys until a person unlocks, or the daemon is started again."""
    if service.pid is None:
        raise Refused("no daemon is running here, so nothing is unlocked", "There is nothing to do.")
    service.lock_because(Locked("`otpkeep lock` was run", UNLOCK))
    return {"locked": True}


def waiting(service: Service) -> dict[str, str]:
    """Return the problem that a locked daemon has."""
    message = (
        f"otpkeep is locked and it waits: {service.waits.message}; "
        "what is saved here is published, and what others wrote is read once it is unlocked"
    )
    return problem("locked", message, service.waits.hint)


def ping(service: Service, _args: Args) -> dict[str, Any]:
    """Tell that somebody serves, of which otpkeep, whether unlocked, and what unlocks it after a restart."""
    return {
        "pid": service.pid,
        "locked": service.accounts is None,
        "unlocks_by": service.remembering.method,
        "version": VERSION,
    }
