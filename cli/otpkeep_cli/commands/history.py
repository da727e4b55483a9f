"""`log` and `event`: what was changed, when and by which device."""

from __future__ import annotations

import click

from otpkeep_cli import params
from otpkeep_cli.params import zone_note
from otpkeep_cli.render.history import event_text, log_text
from otpkeep_cli.render.masks import masked
from otpkeep_cli.screen import Screen, on_terminal
from otpkeep_cli.session import service
from otpkeep_cli.times import Moment


@click.command()
@click.argument("account", required=False, type=params.reference, shell_complete=params.suggest("accounts"))
@click.option("--since", type=params.time, help="Only events from this time on.")
@click.option("--until", type=params.time, help="Only events up to this time.")
@click.option(
    "--device",
    type=params.reference,
    shell_complete=params.suggest("devices"),
    help="Only events of this device, by name or id.",
)
@click.option("--limit", type=click.IntRange(min=1), help="At most this many, the newest.")
@click.pass_obj
def log(
    screen: Screen,
    *,
    account: str | None,
    since: Moment | None,
    until: Moment | None,
    device: str | None,
    limit: int | None,
) -> None:
    """Show the events of all accounts or of one, newest first."""
    for moment in (since, until):
        screen.note(zone_note(moment))
    asked = {
        "account": account,
        "since": None if since is None else since.ms,
        "until": None if until is None else until.ms,
        "device": device,
        "limit": limit,
    }
    with service() as call:
        rows = masked(call("log", asked))
    screen.answer(rows, lambda: log_text(rows, strike=on_terminal()) or "There are no such events.")


@click.command()
@click.argument("event", type=params.reference, shell_complete=params.suggest("events"))
@click.pass_obj
def event(screen: Screen, event: str) -> None:
    """Show one event, named as in the log."""
    with service() as call:
        row = masked(call("event", {"event": event}))
    screen.answer(row, lambda: event_text(row, strike=on_terminal()))
