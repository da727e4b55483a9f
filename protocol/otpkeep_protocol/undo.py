"""Undo: what to write so that one event of an account has no effect any more (SPEC §6).

Of a delete an edit that gives life; of an add a delete; of an edit the values that stood before it. An undo is an event
like any other, with a link to what it undoes, so undoing it redoes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from otpkeep_protocol import wire
from otpkeep_protocol.context import NO_FORKS, Context, Forks, covers, from_pieces
from otpkeep_protocol.errors import Refused
from otpkeep_protocol.events import Draft, Event
from otpkeep_protocol.ids import Dot, event_name
from otpkeep_protocol.state import LIVE, Subject, comparable, fold
from otpkeep_protocol.undone import undoable, undoes, undone

_QUIET = frozenset({"position", "favourite", "icon"})


def undo(events: Iterable[Event], target: Event, forks: Forks = NO_FORKS, *, force: bool = False) -> Draft | None:
    """Return what undoes `target`, one of one account's `events`, or None if it is undone already.

    Refused, naming the event, if it is none that can be undone, if a later one stands on it (unless `force`), or if
    what stood before is not there to be put back.
    """
    if not undoable(target):
        raise Refused(
            f"{_name(target)} can't be undone: only adds, edits and deletes of accounts can",
            "`otpkeep log` shows the kinds of events.",
        )
    around = _Around(events, target, forks)
    if target.hash in around.undone:
        return None
    if not force and (obstacle := around.obstacle()) is not None:
        raise Refused(
            f"{_name(obstacle)} changed the same after {_name(target)}; nothing was changed",
            f"Undo {_name(obstacle)} first, or say --force to undo {_name(target)} all the same.",
        )
    return around.draft()


def only_arranges(values: Mapping[str, wire.Value]) -> bool:
    """Tell whether an edit only arranges accounts, so that it gives none life (SPEC §6); one of no field does."""
    return bool(values) and values.keys() <= _QUIET


def order(event: Event) -> tuple[int, int, Dot]:
    """Return what sorts events into log order."""
    return event.lamport, event.wall, event.dot


@dataclass(slots=True, init=False)
class _Around:
    """One account's events around a target: those before it and those after it."""

    target: Event
    undone: frozenset[bytes]
    found_life: bool
    earlier: Subject
    now: Subject
    later: Sequence[Event]

    def __init__(self, events: Iterable[Event], target: Event, forks: Forks) -> None:
        others = sorted((e for e in events if e.hash != target.hash and e.problem is None and e.held), key=order)
        seen = from_pieces(target.seen, forks)
        before = [e for e in others if _precedes(e, target, seen, forks)]
        known = {e.hash for e in before}
        self.target = target
        self.undone = undone([*others, target])
        self.found_life = _subject((e for e in others if covers(seen, e.dot, forks)), target, forks).lives
        self.earlier = _subject(before, target, forks)
        self.now = _subject([*others, target], target, forks)
        self.later = [e for e in others if e.hash not in known]

    def obstacle(self) -> Event | None:
        """Return the newest later event that writes what the target changed, and whose effect stands."""
        names = {e.hash for e in self.later}
        for event in reversed(self.later):
            cancelled = event.hash in self.undone or undoes(event) in names
            if not cancelled and self._on_target(event):
                return event
        return None

    def _on_target(self, event: Event) -> bool:
        life = event.alive is not None and self._changed_life()
        return life or not set(event.fields).isdisjoint(self.target.fields)

    def _changed_life(self) -> bool:
        """Tell whether the target gave life or took it: a delete takes it that found it, wherever others did too."""
        if self.target.alive is False:
            return self.found_life
        return self.target.alive is True and not self.earlier.lives

    def draft(self) -> Draft:
        """Return the event that puts back what stood before the target."""
        values = {name: self._before(name) for name in self.target.fields}
        if self.target.fields == ("otp",) and hides_secret(self.target, values) and not self._changed_life():
            raise no_local_history(f"what {_name(self.target)} changed is")
        alive = self._life(values)
        extra = {"undoes": self.target.hash}
        if alive is False and self.earlier.registers.keys() <= {LIVE}:
            return Draft("account.delete", self.target.account, alive=False, extra=extra)
        kind = "account.delete" if alive is False and not values else "account.edit"
        return Draft(kind, self.target.account, alive=alive, values=values, extra=extra)

    def _life(self, values: Mapping[str, wire.Value]) -> bool | None:
        if self._changed_life():
            return self.target.alive is False
        return True if self.now.lives and not only_arranges(values) else None

    def _before(self, name: str) -> wire.Value:
        register = self.earlier.registers.get(name)
        winner = register.winner() if register is not None else None
        if winner is None:
            return None
        if not winner.written.known:
            raise Refused(
                f"the {name} before {_name(self.target)} is not here any more, or not yet; nothing was changed",
                "`otpkeep status` says whether events are still missing.",
            )
        return counted(winner.written.value, self.now) if name == "otp" else winner.written.value


def counted(otp: wire.Value, now: Subject) -> wire.Value:
    """Return an earlier otp with the counter that its key has reached: counters are never lowered."""
    if not isinstance(otp, dict) or "counter_key" not in otp:
        return otp
    return {**otp, "counter": max(otp["counter"], now.counters.get(otp["counter_key"], 0))}


def same_otp(one: wire.Value, other: wire.Value) -> bool:
    """Tell whether two otp values make the same codes, at the same counter."""
    keys = [value.get("counter_key") if isinstance(value, dict) else None for value in (one, other)]
    return comparable("otp", one) == comparable("otp", other) and keys[0] == keys[1]


def hides_secret(target: Event, values: Mapping[str, wire.Value]) -> bool:
    """Tell whether `target` replaced a secret that no event has: a placeholder's, under the marker it had before."""
    marker = values.get("otp")
    hidden = isinstance(marker, dict) and marker.get("placeholder") == "secret"
    return hidden and (target.values or {}).get("otp") == marker


def no_local_history(what: str) -> Refused:
    """Return the refusal to put back a placeholder's secret; `what` begins the sentence."""
    return Refused(
        f"{what} the secret of a placeholder, which is kept on its device alone and without a history; "
        "nothing was changed",
        "Set the account up with `otpkeep edit ACCOUNT --secret-file -`.",
    )


def _precedes(event: Event, target: Event, seen: Context, forks: Forks) -> bool:
    """Tell whether `event` comes before `target`: its author knew it, or neither knew the other and the log says so."""
    if covers(seen, event.dot, forks):
        return True
    knew_target = covers(from_pieces(event.seen, forks), target.dot, forks)
    return not knew_target and order(event) < order(target)


def _subject(events: Iterable[Event], target: Event, forks: Forks) -> Subject:
    assert target.account is not None
    return fold(events, forks).subject(target.account)


def _name(event: Event) -> str:
    return event_name(event.dot.writer, event.dot.seq)
