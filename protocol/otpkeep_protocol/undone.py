"""Which events are undone: the links that undo events carry, followed to their end (SPEC §6).

    E ◄── U ◄── R        U undoes E, R undoes U: E counts again

Nothing here is stored: it is computed from the events of one account, so it is the same on every device.
"""

from __future__ import annotations

from collections.abc import Iterable

from otpkeep_protocol.events import Event
from otpkeep_protocol.rules import UNDOABLE


def undoable(event: Event) -> bool:
    """Tell whether `event` is of a kind that can be undone, and has an effect."""
    return event.kind in UNDOABLE and event.problem is None and event.held


def undoes(event: Event) -> bytes | None:
    """Return the hash of the event that this one undoes, None if it undoes none."""
    return event.extra.get("undoes") if undoable(event) else None


def undone(events: Iterable[Event]) -> frozenset[bytes]:
    """Return the hashes of those of one account's events that an undo undoes which is not undone itself.

    A link names a hash that existed before it, so links never turn in a circle; whoever nobody undoes is judged first.
    """
    links = {event.hash: undoes(event) for event in events if undoable(event)}
    targets = {undo: target for undo, target in links.items() if target is not None and target in links}
    waiting = dict.fromkeys(links, 0)
    for named in targets.values():
        waiting[named] += 1
    found: set[bytes] = set()
    ready = [digest for digest, count in waiting.items() if count == 0]
    while ready:
        digest = ready.pop()
        if digest not in targets:
            continue
        target = targets[digest]
        if digest not in found:
            found.add(target)
        waiting[target] -= 1
        if waiting[target] == 0:
            ready.append(target)
    return frozenset(found)
