"""Time travel: what changed between two moments, undo, restore. A moment is a time in ms or the name of an event."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon import travel
from otpkeep_daemon.service import Args, Service
from otpkeep_daemon.travel import Writing
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import event_name


def diff(service: Service, args: Args) -> dict[str, Any]:
    """Return what lies between the moment `old` and the moment `new`, None for now."""
    return travel.diff(service.open, args["old"], args["new"])


def undo(service: Service, args: Args) -> dict[str, Any]:
    """Undo `event`, or this device's newest; with `force` although a later event stands on it."""
    target = travel.chosen(service.open, args["event"])
    account, made = travel.undoing_one(service.open, target, force=args["force"])
    return _written(service, account, made)


def restore(service: Service, args: Args) -> dict[str, Any]:
    """Bring `account`, or every one, back to the moment `to`; with `dry_run` only tell what would change."""
    accounts = service.open
    if args["account"] is None:
        account, made = None, travel.restoring_all(accounts, args["to"])
    else:
        account, made = travel.restoring_one(accounts, args["account"], args["to"])
    if args["dry_run"]:
        return travel.preview(accounts, made) | _left_out(made)
    return _written(service, account, made)


def _written(service: Service, account: bytes | None, made: Writing) -> dict[str, Any]:
    """Commit all at once, and return the answer about one account or about all."""
    events: list[Event] = []
    if made.drafts:
        events = service.open.replica.commit(made.drafts, made.secrets)[-len(made.drafts) :]
    if account is not None:
        return service.edited(account, events[-1] if events else None) | _left_out(made)
    names = [event_name(event.dot.writer, event.dot.seq) for event in events]
    return {"events": names, "backed_up": service.back_up(), **_left_out(made)}


def _left_out(made: Writing) -> dict[str, Any]:
    return {"left_out": made.left_out} if made.left_out else {}
