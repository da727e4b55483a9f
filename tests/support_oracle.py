"""What a state must be, computed another way: from exact sets of what each author held, all pairs compared.

It knows nothing of pieces, contexts, forks or order; it is slow, and short enough to be seen right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from otpkeep_protocol.context import covers
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import Dot
from otpkeep_protocol.state import State
from otpkeep_protocol.view import View, view

Registers: TypeAlias = dict[tuple[bytes, str], dict[Dot, Any]]


@dataclass(frozen=True, slots=True)
class Fact:
    """An event, and the hashes of all events that its author held when writing it."""

    event: Event
    held: frozenset[bytes]


def writes(fact: Fact) -> list[tuple[str, bool, Any]]:
    """Return (register, leaves a value, value) of what an event does to the registers of its account."""
    event = fact.event
    live = [("live", event.alive, True)] if event.alive is not None else []
    values = event.values or {}
    return [*live, *[(name, True, values.get(name)) for name in event.fields]]


def registers(facts: Collection[Fact]) -> Registers:
    """Return what survives: each write that no other write to the same register had seen."""
    by_register: dict[tuple[bytes, str], list[tuple[Fact, bool, Any]]] = {}
    for fact in facts:
        for name, leaves, value in writes(fact):
            assert fact.event.account is not None
            by_register.setdefault((fact.event.account, name), []).append((fact, leaves, value))
    return {
        key: {
            fact.event.dot: value
            for fact, leaves, value in rows
            if leaves and not any(fact.event.hash in other.held for other, _, _ in rows)
        }
        for key, rows in by_register.items()
    }


def counters(facts: Iterable[Fact]) -> dict[tuple[bytes, bytes], int]:
    """Return the greatest counter ever written, by account and counter key."""
    found: dict[tuple[bytes, bytes], int] = {}
    for fact in facts:
        event = fact.event
        otp = (event.values or {}).get("otp") or {}
        pairs = [tuple(event.extra["counter"])] if "counter" in event.extra else []
        pairs += [(otp["counter_key"], otp["counter"])] if "counter" in otp else []
        for key, counter in pairs:
            assert event.account is not None
            found[event.account, key] = max(counter, found.get((event.account, key), 0))
    return found


def assert_state(state: State, facts: Collection[Fact]) -> None:
    """Fail unless `state` is what the facts make of it: survivors, coverage, counters, life, winners, conflicts."""
    expected = registers(facts)
    actual = {
        (account, name): {dot: written.value for dot, written in register.dots.items()}
        for account, subject in state.subjects.items()
        for name, register in subject.registers.items()
    }
    assert actual == expected
    found = {(a, k): n for a, subject in state.subjects.items() for k, n in subject.counters.items()}
    assert found == counters(facts)
    _assert_coverage(state, facts)
    for account, subject in state.subjects.items():
        _assert_view(view(account, subject), expected, facts)


def _assert_coverage(state: State, facts: Collection[Fact]) -> None:
    """A context must have seen exactly what the writers of its register had."""
    for account, subject in state.subjects.items():
        for name, register in subject.registers.items():
            mine = [f for f in facts if f.event.account == account and name in [w[0] for w in writes(f)]]
            seen = frozenset[bytes]().union(*(f.held for f in mine))
            for fact in facts:
                assert covers(register.context, fact.event.dot, state.forks) == (fact.event.hash in seen)


def _assert_view(shown: View, expected: Registers, facts: Iterable[Fact]) -> None:
    events = {fact.event.dot: fact.event for fact in facts}
    assert shown.deleted != bool(expected.get((shown.account, "live")))
    for (account, name), dots in expected.items():
        if account != shown.account or name == "live" or not dots:
            continue
        best = max(dots, key=lambda dot: (not events[dot].weak, events[dot].wall, dot))
        assert shown.values.get(name) == dots[best]
        strong = [dot for dot in dots if not events[dot].weak] or list(dots)
        losers = {dot for dot in strong if _plain(dots[dot]) != _plain(dots[best])}
        assert {candidate.dot for candidate in shown.conflicts.get(name, ())} == losers


def _plain(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: part for key, part in value.items() if key not in ("counter", "counter_key")}
