"""Time travel on a test device: undo and restore as the operations do them, and what is to be seen of a state."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon import travel
from otpkeep_daemon.travel import Writing
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import event_name
from otpkeep_protocol.state import State
from otpkeep_protocol.view import views
from support_vault import Device

Sight = dict[bytes, tuple[dict[str, Any], int | None]]


def name_of(event: Event) -> str:
    """The name that the log shows."""
    return event_name(event.dot.writer, event.dot.seq)


def commit(device: Device, made: Writing) -> list[Event]:
    """Record what an undo or restore writes, and return its events."""
    if not made.drafts:
        return []
    return device.replica.commit(made.drafts, made.secrets)[-len(made.drafts) :]


def undo(device: Device, event: Event | None = None, *, force: bool = False) -> Event | None:
    """Undo an event, or the newest of this device."""
    target = event if event is not None else travel.chosen(device.accounts, None)
    made = commit(device, travel.undoing_one(device.accounts, target, force=force)[1])
    return made[-1] if made else None


def restore(device: Device, account: str, at: travel.At) -> Event | None:
    """Restore one account."""
    made = commit(device, travel.restoring_one(device.accounts, account, at)[1])
    return made[-1] if made else None


def restore_all(device: Device, at: travel.At) -> list[Event]:
    """Restore every account."""
    made = travel.restoring_all(device.accounts, at)
    assert made.left_out == []
    return commit(device, made)


def log_of(device: Device, account: str | None = None) -> list[Event]:
    """The events of an account that have an effect, or of all, newest first."""
    return [e for e in device.replica.archive.log(bytes.fromhex(account) if account else None) if e.problem is None]


def sight(state: State) -> Sight:
    """Return of each living account the values, otp without its counter, and the counter."""
    return {shown.account: (_plain(shown.values), shown.counter) for shown in views(state) if not shown.deleted}


def assert_seen(state: State, expected: Sight) -> None:
    """Fail unless `state` looks like that; counters may be higher."""
    found = sight(state)
    assert {a: values for a, (values, _) in found.items()} == {a: values for a, (values, _) in expected.items()}
    for account, (_, counter) in expected.items():
        assert (found[account][1] is None) == (counter is None)
        assert (found[account][1] or 0) >= (counter or 0)


def _plain(values: Any) -> dict[str, Any]:
    return {n: {k: p for k, p in v.items() if k != "counter"} if n == "otp" else v for n, v in values.items()}
