"""The one way in: an operation by its name, under the service's lock; in-process or over the socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from otpkeep_daemon import device
from otpkeep_daemon.database import translated
from otpkeep_daemon.operations import (
    acceptance,
    accounts,
    compaction,
    configuration,
    devices,
    folders,
    history,
    locking,
    transfer,
    travel,
    upkeep,
    verifying,
    watching,
)
from otpkeep_daemon.service import Args, Service
from otpkeep_protocol.control import RESTART
from otpkeep_protocol.errors import UnknownVersion
from otpkeep_protocol.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Operation:
    """A use case, whether it needs the keys, and whether it takes the lock by itself, in small steps."""

    run: Callable[[Service, Args], Any]
    needs_key: bool = True
    locks_itself: bool = False


OPERATIONS: Mapping[str, Operation] = {
    "add": Operation(accounts.add),
    "edit": Operation(accounts.edit),
    "rm": Operation(accounts.rm),
    "show": Operation(accounts.show),
    "list": Operation(accounts.list_accounts),
    "code": Operation(accounts.code),
    "log": Operation(history.log),
    "event": Operation(history.event),
    "diff": Operation(travel.diff),
    "undo": Operation(travel.undo),
    "restore": Operation(travel.restore),
    "import": Operation(transfer.import_entries),
    "export": Operation(transfer.export),
    "watch": Operation(watching.watch, needs_key=False, locks_itself=True),
    "unwatch": Operation(watching.unwatch, needs_key=False, locks_itself=True),
    "review": Operation(watching.review, needs_key=False, locks_itself=True),
    "devices": Operation(devices.devices),
    "retire": Operation(devices.retire),
    "rename": Operation(devices.rename),
    "verify": Operation(verifying.verify, needs_key=False, locks_itself=True),
    "backup": Operation(upkeep.backup, needs_key=False),
    "accept-rollback": Operation(acceptance.accept_rollback),
    "digest": Operation(acceptance.compare_digest),
    "compact": Operation(compaction.compact),
    "folder": Operation(folders.show, needs_key=False),
    "move": Operation(folders.move, locks_itself=True),
    "status": Operation(upkeep.status, needs_key=False),
    "reload": Operation(configuration.reload, needs_key=False),
    "problems": Operation(upkeep.problems, needs_key=False),
    "slots": Operation(locking.slots, needs_key=False),
    "unlock": Operation(locking.unlock, needs_key=False),
    "remember": Operation(locking.remember, needs_key=False, locks_itself=True),
    "lock": Operation(locking.lock, needs_key=False, locks_itself=True),
    "ping": Operation(locking.ping, needs_key=False),
}


def ask(service: Service, op: str, args: Args, ring: Keyring | None = None) -> Any:
    """Do what a command asks the daemon for: as `call`, but it counts as use, and what nobody used is locked before."""
    service.expire()
    operation = OPERATIONS.get(op)
    if operation is None or not (operation.needs_key or operation.locks_itself):
        return call(service, op, args, ring)
    with service.idle.use():
        return call(service, op, args, ring)


def call(service: Service, op: str, args: Args, ring: Keyring | None = None) -> Any:
    """Return the answer of one operation. `ring` unlocks a locked service for this call alone, or for `unlock`.

    Safe from any thread.
    """
    operation = OPERATIONS.get(op)
    if operation is None:
        raise UnknownVersion(
            f"The running daemon is of another otpkeep than this command: it can't {op[:40]!r}. Nothing was changed.",
            RESTART,
        )
    with translated("the store can't be read now; nothing was changed and nothing is lost"):
        if op == "unlock" and ring is None and service.pid is not None:
            service.unlock_by_itself()
        if operation.locks_itself and (service.accounts is not None or ring is None):
            return operation.run(service, args)
        # What locks by itself may work with files: their turn comes before the lock, as everywhere, or each of two
        # threads would wait for what the other has.
        with service.watched.turn() if operation.locks_itself else nullcontext():
            return _call(service, operation, op, args, ring)


def _call(service: Service, operation: Operation, op: str, args: Args, ring: Keyring | None) -> Any:
    with service.lock:
        was_locked, stays = service.accounts is None, False
        try:
            if was_locked and ring is not None:
                service.unlock(device.unlock(service.store, ring))
                service.engine.run()
            if operation.needs_key:
                _ = service.open
            answer = operation.run(service, args)
            stays = op == "unlock"
            return answer
        finally:
            if was_locked and not stays and service.accounts is not None:
                service.lock_keys()
