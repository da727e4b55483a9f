"""The history of one account as people read it: what each event changed, and what it did not know of.

Pure, and computed from the events alone, so it is the same on every device that holds the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from otpkeep_protocol import wire
from otpkeep_protocol.context import NO_FORKS, Context, Forks, covers, from_pieces
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import Dot
from otpkeep_protocol.state import State, fold


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, the values that its author saw before, and whether it and another did not know of each other."""

    event: Event
    before: Mapping[str, wire.Value] = field(repr=False)
    concurrent: bool


def annotate(events: Iterable[Event], forks: Forks = NO_FORKS) -> list[Entry]:
    """Return the entries of one account's events, given in log order."""
    past: list[Event] = []
    running = State(forks)
    entries: list[Entry] = []
    concurrent: set[Dot] = set()
    latest: dict[bytes, Dot] = {}
    for event in events:
        seen = from_pieces(event.seen, forks)
        if all(covers(seen, dot, forks) for dot in latest.values()):
            known = running
        else:
            known = fold((e for e in past if covers(seen, e.dot, forks)), forks)
            concurrent |= _strangers(event, past, seen, forks)
        entries.append(Entry(event, _values(known, event), concurrent=False))
        past.append(event)
        running.apply(event)
        latest[event.dot.writer] = event.dot
    return [Entry(e.event, e.before, e.event.dot in concurrent) for e in entries]


def _strangers(event: Event, past: list[Event], seen: Context, forks: Forks) -> set[Dot]:
    """Return the dots of `event` and of the earlier ones that it did not know of and that touch what it touches."""
    others = {e.dot for e in past if not covers(seen, e.dot, forks) and _touch_alike(e, event)}
    return others | {event.dot} if others else set()


def _touch_alike(one: Event, other: Event) -> bool:
    lives = one.alive is not None and other.alive is not None and one.alive != other.alive
    return lives or bool(set(one.fields) & set(other.fields))


def _values(state: State, event: Event) -> dict[str, wire.Value]:
    """Return what the event's fields were in `state`."""
    if event.account is None or event.account not in state.subjects:
        return {}
    registers = state.subjects[event.account].registers
    winners = {name: registers[name].winner() for name in event.fields if name in registers}
    return {name: winner.written.value for name, winner in winners.items() if winner is not None}
