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
from otpkeep_protocol.state import LIVE, State, fold
from otpkeep_protocol.undone import undoes, undone


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, what its author saw before, and what became of it.

    `before` has the values of its fields, `lived` whether the account did (None: nothing told). `concurrent`: it and
    another that touches the same did not know of each other. `undone`: an undo of it stands. `undoes`: the held event
    that it undoes.
    """

    event: Event
    before: Mapping[str, wire.Value] = field(repr=False)
    concurrent: bool
    lived: bool | None = None
    undone: bool = False
    undoes: Dot | None = None


def annotate(events: Iterable[Event], forks: Forks = NO_FORKS) -> list[Entry]:
    """Return the entries of one account's events, given in log order.

    In the common case an event knew all the earlier ones and none of the later, so one running state tells what its
    author saw; otherwise what it knew is folded for it alone.
    """
    log = list(events)
    plain = _in_order(log, forks)
    running = State(forks)
    entries: list[tuple[Event, dict[str, wire.Value], bool | None]] = []
    concurrent: set[Dot] = set()
    for event, known_past in zip(log, plain, strict=True):
        known = running
        if not known_past:
            seen = from_pieces(event.seen, forks)
            known = fold((e for e in log if covers(seen, e.dot, forks)), forks)
            concurrent |= _strangers(event, log, seen, forks)
        entries.append((event, _values(known, event), _lives(known, event)))
        running.apply(event)
    gone, dots = undone(log), {event.hash: event.dot for event in log}
    return [
        Entry(event, before, event.dot in concurrent, lived, event.hash in gone, dots.get(undoes(event) or b""))
        for event, before, lived in entries
    ]


class _Spans:
    """The least and greatest seq of some events, by writer."""

    def __init__(self) -> None:
        self._spans: dict[bytes, tuple[int, int]] = {}

    def add(self, dot: Dot) -> None:
        first, last = self._spans.get(dot.writer, (dot.seq, dot.seq))
        self._spans[dot.writer] = (min(first, dot.seq), max(last, dot.seq))

    def all_in(self, seen: Context, forks: Forks) -> bool:
        """Tell whether `seen` surely covers all of the events."""
        return all(
            writer not in forks and any(p.first <= first and last <= p.last for p in seen.get(writer, ()))
            for writer, (first, last) in self._spans.items()
        )

    def none_in(self, seen: Context) -> bool:
        """Tell whether `seen` surely covers none of the events."""
        return not any(
            p.first <= last and first <= p.last
            for writer, (first, last) in self._spans.items()
            for p in seen.get(writer, ())
        )


def _in_order(log: list[Event], forks: Forks) -> list[bool]:
    """Return for each event whether it surely knew all the earlier ones of the log, and none of the later."""
    seen = [from_pieces(event.seen, forks) for event in log]
    earlier, later = _Spans(), _Spans()
    plain = []
    for event, context in zip(log, seen, strict=True):
        plain.append(earlier.all_in(context, forks))
        earlier.add(event.dot)
    for index in range(len(log) - 1, -1, -1):
        plain[index] = plain[index] and later.none_in(seen[index])
        later.add(log[index].dot)
    return plain


def _strangers(event: Event, log: list[Event], seen: Context, forks: Forks) -> set[Dot]:
    """Return the dots of `event` and of those that touch what it touches, where neither knew of the other."""
    others = {
        other.dot
        for other in log
        if other.dot != event.dot
        and _touch_alike(other, event)
        and not covers(seen, other.dot, forks)
        and not covers(from_pieces(other.seen, forks), event.dot, forks)
    }
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


def _lives(state: State, event: Event) -> bool | None:
    """Tell whether the event's account has life in `state`; None if nothing there says."""
    subject = state.subjects.get(event.account) if event.account is not None else None
    return subject.lives if subject is not None and LIVE in subject.registers else None
