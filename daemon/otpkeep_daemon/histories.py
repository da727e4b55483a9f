"""What is wrong with what devices have written: gaps, forks, copies, and a folder that has gone back in time.

Each can be accepted by a person, and is then a problem again only if there is more of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otpkeep_daemon import regressions, twins
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.problem import counted, problem
from otpkeep_daemon.rows import Names, timestamp
from otpkeep_daemon.store import Store
from otpkeep_protocol import branches, wire
from otpkeep_protocol.branches import Fork
from otpkeep_protocol.ids import event_name
from otpkeep_protocol.regression import SLOTS, Noted
from otpkeep_protocol.view import is_retired

_KEY = "accepted"
_LIMIT = 1_048_576


def folder_problems(store: Store, names: Names) -> list[dict[str, str]]:
    """Return that the folder has gone back in time, and that this device was copied; no key is needed."""
    return _rollbacks(regressions.noted(store), names) + _copies(store, names)


def vault_problems(store: Store, accounts: Accounts, names: Names) -> list[dict[str, str]]:
    """Return the gaps and forks that nobody has accepted."""
    gaps, marks = _accepted(store)
    own = store.need("device")
    found = []
    for device, count in missing_of(accounts).items():
        if count > gaps.get(device, 0):
            message = f"waiting for {counted(count, 'event')} of {_who(names, store, device)}"
            found.append(problem("gap", message, _OWN_GAP if device == own else _GAP, device.hex()))
    for fork in forks(store, accounts):
        if marks.get(fork.writer) != fork.mark:
            hint = _OWN_FORK if store.writers().get(fork.writer) == own else _FORK
            found.append(problem("fork", _forked(fork, names.of_writer(fork.writer)), hint, fork.writer.hex()))
    return found


def forks(store: Store, accounts: Accounts) -> list[Fork]:
    """Return the forks that their device has not settled; a retired device has nothing more to settle."""
    replica, writers = accounts.replica, store.writers()
    found = branches.unsettled(replica.chains, writers) if replica.chains.forks else []
    return [fork for fork in found if not is_retired(replica.state, writers.get(fork.writer, b""))]


def accept_all(store: Store, accounts: Accounts) -> dict[str, Any]:
    """Accept everything that this module finds, inside a transaction. Return what that was, in keys of a command."""
    names, own = accounts.names(), store.need("device")
    news = vault_problems(store, accounts, names)
    kinds = {(found["kind"], found["subject"]) for found in news}
    missing, open_forks = missing_of(accounts), forks(store, accounts)
    gaps: list[wire.Value] = [[device, count] for device, count in missing.items()]
    marks: list[wire.Value] = [[fork.writer, fork.mark] for fork in open_forks]
    store.put(_KEY, wire.encode([gaps, marks]))
    lost = regressions.accept_all(store).lost
    return {
        "rollbacks": [{"device": names.label(d), "events": count} for d, count in sorted(lost.items()) if d != SLOTS],
        "slots": lost.get(SLOTS, 0),
        "gaps": [
            {"device": names.label(device), "events": count}
            for device, count in missing.items()
            if ("gap", device.hex()) in kinds
        ],
        "forks": [names.of_writer(f.writer) for f in open_forks if ("fork", f.writer.hex()) in kinds],
        "copies": [names.label(own) for _ in twins.accept_all(store)],
    }


def missing_of(accounts: Accounts) -> dict[bytes, int]:
    """Return how many events of each device have not arrived; a device that is not known goes by its writer."""
    devices = accounts.replica.store.writers()
    found: dict[bytes, int] = {}
    for writer, count in sorted(accounts.replica.chains.missing().items()):
        device = devices.get(writer, writer)
        found[device] = found.get(device, 0) + count
    return found


def _who(names: Names, store: Store, device: bytes) -> str:
    """Return how people call a device, of which perhaps nothing has arrived but that somebody has seen it."""
    if device in store.writers().values():
        return names.label(device)
    return f"a device that is not known here yet ({device.hex()[:8]})"


def _accepted(store: Store) -> tuple[Mapping[bytes, int], Mapping[bytes, bytes]]:
    kept = store.get(_KEY)
    if kept is None:
        return {}, {}
    gaps, marks = wire.decode(kept, _LIMIT)
    return dict(gaps), dict(marks)


def _forked(fork: Fork, name: str) -> str:
    at = event_name(fork.writer, fork.parted)
    if len(fork.heads) < 2:
        return f"{name} wrote another history from event {at} on, which has not arrived; no edit is lost here"
    if len(fork.heads) > 2:
        return f"{name} has {len(fork.heads)} histories from event {at} on; all are kept, and no edit is lost"
    return f"{name} has two histories from event {at} on; both are kept, and no edit is lost"


def _rollbacks(noted: Noted, names: Names) -> list[dict[str, str]]:
    found = []
    for device, count in sorted(noted.lost.items()):
        what = regressions.lost_text(device, count, names.label(device))
        if noted.gone:
            message, hint = (
                f"the folder has gone back: {what} that it held are gone from it; this device has them",
                _GONE,
            )
        else:
            when = timestamp(noted.raised * 1000)
            message, hint = f"the folder had gone back on {when}: {what} were gone from it, and are there again", _BACK
        subject = "slots" if device == SLOTS else device.hex()
        found.append(problem("rollback", message, hint, f"{subject} {noted.raised}"))
    return found


def _copies(store: Store, names: Names) -> list[dict[str, str]]:
    alive = twins.alive(store)
    if not alive:
        return []
    own, last = store.need("device"), max(twin.proven for twin in alive)
    message = (
        f"another machine writes as this device, {names.label(own)}, and was heard of on {timestamp(last)}: its files "
        "were copied there; no edit is lost"
    )
    return [problem("copied", message, _COPIED, f"{own.hex()} {min(twin.accepted for twin in alive)}")]


_GAP = (
    "Let that device and this one sync. If what is missing is gone for good, `otpkeep accept-rollback` ends this "
    "notice."
)
_OWN_GAP = (
    "This device wrote them before it was restored from a backup, or a copy of it did. A device that has them puts "
    "them back; if none has, `otpkeep accept-rollback` ends this notice."
)
_FORK = (
    "It was restored from an older state, or its files were copied to another machine. Let it sync: otpkeep settles "
    "this there by itself. If that device is gone for good, `otpkeep accept-rollback` ends this notice."
)
_OWN_FORK = (
    "This device was restored from an older state, or its files were copied to another machine. Nothing is to be "
    "done: with the next look at the folder it goes on under a new writer, which settles this."
)
_GONE = (
    "What is gone is put back by itself; `otpkeep accept-rollback` has it put back at once, and ends this notice. "
    "If nobody restored the folder from a backup, find out who has changed it."
)
_BACK = (
    "`otpkeep accept-rollback` ends this notice. If nobody restored the folder from a backup, find out who has "
    "changed it."
)
_COPIED = (
    "On the machine that is the copy: `otpkeep backup now`, then stop otpkeep there, move its OTPKEEP_HOME (or the "
    "store) aside, and run `otpkeep recover FOLDER`: it becomes a device of its own. Then `otpkeep accept-rollback` "
    "ends this notice."
)
