"""What a person sees of a state: one View for each account, with its conflicts (SPEC §6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from otpkeep_protocol import wire
from otpkeep_protocol.state import LIVE, Candidate, State, Subject, comparable


@dataclass(frozen=True, slots=True)
class View:
    """One account: winning values by field, and for each field in conflict the survivors that lost.

    `unknown` names fields whose value is missing because a body is; `counter` is the next HOTP counter.
    """

    account: bytes
    deleted: bool
    born: int
    changed: int
    counter: int | None
    values: Mapping[str, wire.Value] = field(repr=False)
    conflicts: Mapping[str, tuple[Candidate, ...]] = field(repr=False)
    unknown: tuple[str, ...] = ()


def exists(subject: Subject) -> bool:
    """Tell whether the account has life."""
    return subject.lives


def is_account(subject: Subject) -> bool:
    """Tell an account, living or deleted, from a device or from uses that arrived alone."""
    return LIVE in subject.registers


def is_retired(state: State, device: bytes) -> bool:
    """Tell whether a person has retired the device, and nobody has made it active again since."""
    subject = state.subjects.get(device)
    register = subject.registers.get("retired") if subject is not None else None
    winner = register.winner() if register is not None else None
    return winner is not None and winner.written.value is True


def view(account: bytes, subject: Subject) -> View:
    """Return what is shown of one account."""
    values, conflicts, unknown = {}, {}, []
    for name, register in subject.registers.items():
        winner = register.winner()
        if name == LIVE or winner is None:
            continue
        if not winner.written.known:
            unknown.append(name)
        elif winner.written.value is not None:
            values[name] = winner.written.value
        losers = _losers(name, register.ranked()) if len(register.dots) > 1 else ()
        if losers:
            conflicts[name] = losers
    return View(
        account,
        not exists(subject),
        subject.born or 0,
        subject.changed or 0,
        _counter(subject, values.get("otp")),
        values,
        conflicts,
        tuple(sorted(unknown)),
    )


def views(state: State) -> list[View]:
    """Return every account of `state`, living and deleted, in the order that people see."""
    shown = [view(key, subject) for key, subject in state.subjects.items() if is_account(subject)]
    return sorted(shown, key=_order)


def _losers(name: str, ranked: list[Candidate]) -> tuple[Candidate, ...]:
    strong = [c for c in ranked if not c.written.weak] or ranked
    shown = comparable(name, ranked[0].written.value)
    return tuple(c for c in strong if c.written.known and comparable(name, c.written.value) != shown)


def _counter(subject: Subject, otp: wire.Value) -> int | None:
    if not isinstance(otp, dict) or "counter_key" not in otp:
        return None
    return subject.counters.get(otp["counter_key"], otp["counter"])


def _order(shown: View) -> tuple[int, str, str, bytes]:
    position = shown.values.get("position", wire.MAX_INT)
    issuer, name = shown.values.get("issuer") or "", shown.values.get("name") or ""
    return position, issuer.casefold(), name.casefold(), shown.account
