"""What a device does with events that it has read: everything that people see of them must be there, whatever they say.

Laws that must hold for any events are checked on the way: states are byte-identical in any order, survive their
encoding, and join to themselves.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence

from otpkeep_daemon import rows
from otpkeep_daemon.formats import registry
from otpkeep_protocol import comparing, history, moments, otp, state, undo, view
from otpkeep_protocol.account import Account
from otpkeep_protocol.chains import Chains
from otpkeep_protocol.context import Forks
from otpkeep_protocol.errors import OtpkeepError, Refused
from otpkeep_protocol.events import Event
from otpkeep_protocol.state import State
from otpkeep_protocol.view import View

MOMENT = 1_700_000_000


def tell(events: Sequence[Event]) -> None:
    """Fold and show these events as a device that holds them does."""
    chains = Chains(events)
    chains.missing()
    folded = state.fold(events, chains.forks)
    check_state(folded)
    assert state.encode(state.fold(reversed(events), chains.forks)) == state.encode(folded), "order matters"
    names = rows.Names(folded, {})
    for shown in view.views(folded):
        _show(shown, names)
    _history(events, chains.forks, names)
    _travel(events, chains.forks, folded)


def check_state(folded: State) -> None:
    """Assert that a state survives encoding and that joining it to itself changes nothing."""
    encoded = state.encode(folded)
    again = state.decode(encoded, folded.forks)
    assert state.encode(again) == encoded, "a state that its encoding does not carry"
    again.join(folded)
    assert state.encode(again) == encoded, "a state that changes when it is joined to itself"


def _show(shown: View, names: rows.Names) -> None:
    values = shown.values.get("otp")
    json.dumps(rows.account_row(shown, names, ready=True, secret=values if isinstance(values, dict) else None))
    try:
        account = Account.from_fields(shown.values)
        otp.code(account.otp, MOMENT)
        for kind in registry.FORMATS:
            registry.as_held(kind.name, shown.account, account)
    except OtpkeepError:
        pass  # it has no otp, or is a placeholder


def _history(events: Iterable[Event], forks: Forks, names: rows.Names) -> None:
    by_account: dict[bytes | None, list[Event]] = {}
    for event in events:
        by_account.setdefault(event.account, []).append(event)
    for told in by_account.values():
        valid = sorted((event for event in told if event.problem is None), key=undo.order)
        for entry in history.annotate(valid, forks):
            json.dumps(rows.log_row(entry, None, names))


def _travel(events: Sequence[Event], forks: Forks, now: State) -> None:
    for event in events:
        if event.problem is not None or event.account is None:
            continue
        then = moments.as_of_event(events, event, forks).state
        moments.as_of_time(events, event.wall, forks)
        for pair in comparing.compare(then, now):
            with contextlib.suppress(Refused):
                comparing.restoring(pair, now)
            if pair.changed:
                json.dumps(rows.differences(pair))
        with contextlib.suppress(Refused):
            undo.undo([e for e in events if e.account == event.account], event, forks, force=True)
