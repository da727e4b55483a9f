"""What happened: the log, and one event of it."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon.lines import Lines
from otpkeep_daemon.pointing import find_event
from otpkeep_daemon.service import Args, Service
from otpkeep_protocol.events import Event


def log(service: Service, args: Args) -> list[dict[str, Any]]:
    """Return log rows, newest first."""
    accounts = service.open
    wanted = accounts.find(args["account"], deleted=True).account if args["account"] is not None else None
    found: list[dict[str, Any]] = []
    lines = Lines(accounts)
    writers = lines.writers_of(args["device"]) if args["device"] is not None else None
    for event in accounts.replica.archive.log(wanted):
        if args["limit"] is not None and len(found) >= args["limit"]:
            break
        if _within(event, args) and (writers is None or event.dot.writer in writers):
            found.append(lines.row(event))
    return found


def event(service: Service, args: Args) -> dict[str, Any]:
    """Return the log row of one event."""
    return Lines(service.open).row(find_event(service.open.replica.archive, args["event"]))


def _within(event: Event, args: Args) -> bool:
    since, until = args["since"], args["until"]
    return (since is None or event.wall >= since) and (until is None or event.wall <= until)
