"""The state: registers with causal contexts, one set of them for each subject (SPEC §6).

Laws, held by tests: any order, repetition or holes of the same events give byte-identical `encode`; `join` is
associative, commutative and idempotent; joining states equals folding the union of their events.

    apply(register, event):  context ∪= event.seen
                             dots    −= what the context covers
                             dots    += the event's own dot, unless covered
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from otpkeep_protocol import wire
from otpkeep_protocol.account_rules import check_field
from otpkeep_protocol.context import NO_FORKS, Context, Forks, covers, pieces_of, unite
from otpkeep_protocol.errors import Malformed
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import Dot, Piece
from otpkeep_protocol.rules import check_pieces, is_bytes

LIVE = "live"
STATE_LIMIT = 67_108_864
STATE_DEPTH = 24
"""Deeper than an event may be, so that every value of an event fits into a state."""


class Written(NamedTuple):
    """What one event wrote into a register; not `known` if its body was dropped."""

    wall: int
    weak: bool
    known: bool
    value: wire.Value


class Candidate(NamedTuple):
    """A surviving value of a register and the event it came from."""

    dot: Dot
    written: Written


@dataclass(slots=True)
class Register:
    """The surviving writes of one field, and all that was seen by anyone who wrote it."""

    dots: dict[Dot, Written] = field(default_factory=dict)
    context: Context = field(default_factory=dict)

    def write(self, event: Event, value: wire.Value, forks: Forks, *, known: bool = True, dead: bool = False) -> None:
        """Apply an event that writes this register; `dead`: it is a delete, which leaves no value."""
        context, dots, dot = self.context, self.dots, event.dot
        if unite(context, event.seen, forks) and dots:
            self._prune(forks)
        if dead or covers(context, dot, forks):
            return
        old = dots.get(dot)
        if old is None or not old.known:
            dots[dot] = Written(event.wall, event.weak, known, value)

    def join(self, other: Register, forks: Forks) -> None:
        """Take in another state of this register."""
        for pieces in other.context.values():
            unite(self.context, pieces, forks)
        for dot, written in other.dots.items():
            old = self.dots.get(dot)
            if old is None or not old.known:
                self.dots[dot] = written
        self._prune(forks)

    def _prune(self, forks: Forks) -> None:
        for dot in [dot for dot in self.dots if covers(self.context, dot, forks)]:
            del self.dots[dot]

    def ranked(self) -> list[Candidate]:
        """Return the survivors, the winner first."""
        order = sorted(self.dots.items(), key=lambda item: _rank(item[1], item[0]), reverse=True)
        return [Candidate(dot, written) for dot, written in order]

    def winner(self) -> Candidate | None:
        """Return the survivor that is shown, None if the register is empty."""
        if not self.dots:
            return None
        dot = max(self.dots, key=lambda dot: _rank(self.dots[dot], dot))
        return Candidate(dot, self.dots[dot])


def _rank(written: Written, dot: Dot) -> tuple[bool, bool, int, Dot]:
    return written.known, not written.weak, written.wall, dot


@dataclass(slots=True)
class Subject:
    """An account or a device: its registers by name, its counters by counter key, its times (ms)."""

    registers: dict[str, Register] = field(default_factory=dict)
    counters: dict[bytes, int] = field(default_factory=dict)
    born: int | None = None
    changed: int | None = None

    @property
    def lives(self) -> bool:
        """Tell whether the account has life."""
        live = self.registers.get(LIVE)
        return live is not None and bool(live.dots)

    def count(self, key: bytes, counter: int) -> None:
        """Raise the counter of `key` to at least `counter`."""
        self.counters[key] = max(counter, self.counters.get(key, 0))

    def dated(self, born: int | None, changed: int | None) -> None:
        """Widen the times so that they include these."""
        if born is not None and (self.born is None or born < self.born):
            self.born = born
        if changed is not None and (self.changed is None or changed > self.changed):
            self.changed = changed


class State:
    """The joined effect of a set of events. `apply` and `join` change it in place; the rest only reads."""

    def __init__(self, forks: Forks = NO_FORKS) -> None:
        self.forks = forks
        self.subjects: dict[bytes, Subject] = {}

    def apply(self, event: Event) -> None:
        """Fold one event in. Events with a problem, or that need an update, change nothing."""
        if event.problem is not None or not event.held or event.account is None:
            return
        subject, forks = self.subject(event.account), self.forks
        values, alive, fields = event.values, event.alive, event.fields
        if event.extra:
            self._count(subject, event)
        if alive is not None:
            _register(subject, LIVE).write(event, True, forks, dead=not alive)
        for name in fields:
            value = values[name] if values is not None else None
            _register(subject, name).write(event, value, forks, known=values is not None)
        if fields or alive is not None:
            subject.dated(event.wall, event.wall)

    def apply_all(self, events: Sequence[Event]) -> None:
        """Fold many events in, given as they were made: the last first, since most of what is older it has covered."""
        for event in reversed(events):
            self.apply(event)

    def _count(self, subject: Subject, event: Event) -> None:
        used = event.extra.get("counter")
        if used is not None:
            subject.count(used[0], used[1])
        otp = event.values.get("otp") if event.values is not None else None
        if otp is not None and "counter" in otp:
            subject.count(otp["counter_key"], otp["counter"])

    def join(self, other: State) -> None:
        """Take in another state, folded under the same knowledge of forks."""
        for subject_id, theirs in other.subjects.items():
            ours = self.subject(subject_id)
            ours.dated(theirs.born, theirs.changed)
            for key, counter in theirs.counters.items():
                ours.count(key, counter)
            for name, register in theirs.registers.items():
                _register(ours, name).join(register, self.forks)

    def subject(self, subject_id: bytes) -> Subject:
        """Return the subject of that id, new and empty if nothing was known of it."""
        subject = self.subjects.get(subject_id)
        if subject is None:
            subject = self.subjects[subject_id] = Subject()
        return subject


def fold(events: Iterable[Event], forks: Forks = NO_FORKS) -> State:
    """Return the state of `events`, in any order."""
    state = State(forks)
    for event in events:
        state.apply(event)
    return state


def _register(subject: Subject, name: str) -> Register:
    register = subject.registers.get(name)
    if register is None:
        register = subject.registers[name] = Register()
    return register


def encode(state: State) -> bytes:
    """Return the canonical bytes of `state`: equal states, and only those, have equal bytes."""
    return wire.encode([_subject_row(key, subject) for key, subject in sorted(state.subjects.items())], STATE_DEPTH)


def _subject_row(subject_id: bytes, subject: Subject) -> list[wire.Value]:
    counters = {key.hex(): counter for key, counter in subject.counters.items()}
    registers = {name: _register_row(register) for name, register in subject.registers.items()}
    return [subject_id, subject.born, subject.changed, counters, registers]


def _register_row(register: Register) -> list[wire.Value]:
    dots = [[*dot, *written] for dot, written in sorted(register.dots.items(), key=lambda d: d[0])]
    return [dots, pieces_of(register.context)]


def decode(data: bytes, forks: Forks = NO_FORKS) -> State:
    """Return the state that `encode` gave these bytes. Malformed for others."""
    state = State(forks)
    try:
        rows = wire.decode(data, STATE_LIMIT, STATE_DEPTH)
        _must(type(rows) is list)
        for subject_id, born, changed, counters, registers in rows:
            _must(is_bytes(subject_id, 16) and all(t is None or _is_count(t) for t in (born, changed)))
            subject = state.subject(subject_id)
            subject.dated(born, changed)
            subject.counters = {_counter_key(key): _count(counter) for key, counter in counters.items()}
            subject.registers = {name: _read_register(name, row, forks) for name, row in registers.items()}
        _must(_ascending([row[0] for row in rows]))
    except (TypeError, ValueError, AttributeError) as error:
        raise Malformed("a snapshot that is not a state") from error
    return state


def _read_register(name: str, row: wire.Value, forks: Forks) -> Register:
    dots, pieces = row
    check_pieces(pieces)
    _must(type(dots) is list)
    register = Register(dict([_read_dot(name, dot) for dot in dots]))
    _must(len(dots) < 2 or (_ascending(list(register.dots)) and len(register.dots) == len(dots)))
    unite(register.context, [Piece(*piece) for piece in pieces], forks)
    # Under forks that its author did not know of pieces may unite otherwise; a state is made only where there are none.
    _must(bool(forks) or len(pieces) == sum(map(len, register.context.values())))
    return register


def _ascending(keys: Sequence[bytes | Dot]) -> bool:
    return all(one < other for one, other in pairwise(keys))  # type: ignore[operator]  # they are all of one type


def _counter_key(text: str) -> bytes:
    key = bytes.fromhex(text)
    _must(len(key) == 16 and key.hex() == text)
    return key


def _read_dot(name: str, row: wire.Value) -> tuple[Dot, Written]:
    writer, seq, digest, wall, weak, known, value = row
    _must(is_bytes(writer, 16) and _is_count(seq) and seq > 0 and is_bytes(digest, 16) and _is_count(wall))
    _must(type(weak) is bool and type(known) is bool)
    if name == LIVE:
        _must(value is True)
    else:
        check_field(name, value)
    return Dot(writer, seq, digest), Written(wall, weak, known, value)


def _is_count(value: wire.Value) -> bool:
    return type(value) is int and value >= 0


def _count(value: wire.Value) -> int:
    _must(_is_count(value))
    return int(value)


def _must(holds: bool) -> None:
    if not holds:
        raise Malformed("a snapshot that is not a state")


def same(values: Mapping[str, wire.Value], name: str, value: wire.Value) -> bool:
    """Tell whether setting field `name` to `value` would change nothing in `values`."""
    return bool(comparable(name, values.get(name)) == comparable(name, value))


def comparable(name: str, value: wire.Value) -> wire.Value:
    """Return `value` as it counts for equality: an otp without its counter (SPEC §5)."""
    if name == "otp" and isinstance(value, dict):
        return {key: part for key, part in value.items() if key not in ("counter", "counter_key")}
    return value
