"""The vault as it was: the events of a moment, and the state that they make.

As of a time: the events with a wall time up to it, and all that their authors had seen. As of an event: it, and all
that its author had seen. Both follow from held events and nothing else, so every device that holds the same ones gets
the same bytes, whatever it was told in which order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from otpkeep_protocol.context import NO_FORKS, Context, Forks, covers, from_pieces, unite
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import Piece
from otpkeep_protocol.state import State


@dataclass(frozen=True, slots=True)
class Moment:
    """What had happened: `state` is its effect; `wall` (ms, None as of an event) and `seen` tell what belongs to it."""

    wall: int | None
    seen: Context = field(repr=False)
    state: State = field(repr=False)

    def has(self, event: Event) -> bool:
        """Tell whether `event` had happened by then."""
        by_then = self.wall is not None and event.wall <= self.wall
        return by_then or covers(self.seen, event.dot, self.state.forks)


def as_of_time(events: Iterable[Event], wall: int, forks: Forks = NO_FORKS) -> Moment:
    """Return the vault as it was at `wall` (ms since 1970), out of all held events, which are read once.

    The order of folding does not matter, so what the clock admits is folded at once, and only the rest is kept until
    all that was seen is known.
    """
    moment = Moment(wall, {}, State(forks))
    later: list[Event] = []
    for event in events:
        if event.problem is not None or not event.held:
            continue
        if event.wall <= wall:
            unite(moment.seen, event.seen, forks)
            moment.state.apply(event)
        else:
            later.append(event)
    for event in later:
        if covers(moment.seen, event.dot, forks):
            moment.state.apply(event)
    return moment


def as_of_event(events: Iterable[Event], event: Event, forks: Forks = NO_FORKS) -> Moment:
    """Return the vault as the author of `event` had it right after writing it, out of all held events."""
    own = Piece(event.dot.writer, event.dot.seq, event.dot.seq, event.dot.hash)
    moment = Moment(None, from_pieces((*event.seen, own), forks), State(forks))
    for other in events:
        if covers(moment.seen, other.dot, forks):
            moment.state.apply(other)
    return moment
