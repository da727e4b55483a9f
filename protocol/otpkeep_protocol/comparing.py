"""What lies between two states, as people see them, and what to write to get from one to the other.

Only living accounts are compared: what the fields of a deleted one are is nobody's sight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from otpkeep_protocol.errors import Refused
from otpkeep_protocol.events import Draft
from otpkeep_protocol.state import State, same
from otpkeep_protocol.undo import counted, only_arranges, same_otp
from otpkeep_protocol.view import View, is_account, view


@dataclass(frozen=True, slots=True)
class Pair:
    """One account in two states; None where nothing was known of it. `fields` are those whose values differ."""

    account: bytes
    old: View | None
    new: View | None
    fields: tuple[str, ...] = field(default=())

    @property
    def added(self) -> bool:
        """Tell whether it lives in the new state only."""
        return _lives(self.new) and not _lives(self.old)

    @property
    def removed(self) -> bool:
        """Tell whether it lives in the old state only."""
        return _lives(self.old) and not _lives(self.new)

    @property
    def changed(self) -> bool:
        """Tell whether it lives in both, with other values."""
        return _lives(self.old) and _lives(self.new) and (bool(self.fields) or self.counted)

    @property
    def counted(self) -> bool:
        """Tell whether the HOTP counter differs."""
        return self.old is not None and self.new is not None and self.old.counter != self.new.counter


def compare(old: State, new: State) -> Iterator[Pair]:
    """Yield every account that lives in one of two states, or in both."""
    for account in sorted(old.subjects.keys() | new.subjects.keys()):
        pair = between(account, old, new)
        if _lives(pair.old) or _lives(pair.new):
            yield pair


def between(account: bytes, old: State, new: State) -> Pair:
    """Return one account in two states."""
    one, other = _view(account, old), _view(account, new)
    return Pair(account, one, other, _differing(one, other) if one is not None and other is not None else ())


def restoring(pair: Pair, now: State) -> Draft | None:
    """Return what brings an account from how it is (`new`) to how it was (`old`), None if it is so.

    Fields in conflict are settled. Refused if a value is not there to be put back.
    """
    if not _lives(pair.old):
        return Draft("account.delete", pair.account, alive=False) if _lives(pair.new) else None
    assert pair.old is not None
    conflicts = pair.new.conflicts.keys() if pair.new is not None else frozenset()
    names = sorted({*pair.fields, *conflicts, *(pair.old.values if pair.new is None else ())})
    if not names and not pair.removed:
        return None
    if missing := [name for name in names if name in pair.old.unknown]:
        raise Refused(
            f"the {missing[0]} that account {pair.account.hex()[:6]} had is not here any more, or not yet",
            "`otpkeep status` says whether events are still missing.",
        )
    values = {name: pair.old.values.get(name) for name in names}
    if "otp" in values:
        values["otp"] = counted(values["otp"], now.subject(pair.account))
    alive = None if not pair.removed and only_arranges(values) else True
    return Draft("account.edit", pair.account, alive=alive, values=values)


def _view(account: bytes, state: State) -> View | None:
    subject = state.subjects.get(account)
    return view(account, subject) if subject is not None and is_account(subject) else None


def _lives(shown: View | None) -> bool:
    return shown is not None and not shown.deleted


def _differing(old: View, new: View) -> tuple[str, ...]:
    names = {*old.values, *new.values, *old.unknown, *new.unknown}
    return tuple(sorted(name for name in names if _differs(name, old, new)))


def _differs(name: str, old: View, new: View) -> bool:
    if (name in old.unknown) != (name in new.unknown):
        return True
    if name == "otp":
        return not same_otp(old.values.get(name), new.values.get(name))
    return not same(new.values, name, old.values.get(name))
