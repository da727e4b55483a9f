"""`diff`, `undo` and `restore`: what changed, and taking it back. All of it adds events; the log keeps everything."""

from __future__ import annotations

from typing import Any

import click

from otpkeep_cli import ask, params
from otpkeep_cli.commands.accounts import NOT_BACKED_UP
from otpkeep_cli.render.plain import counted, plain, short
from otpkeep_cli.render.travel import diff_text, left_out_text
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import service
from otpkeep_cli.times import Moment
from otpkeep_protocol.errors import Usage

_ALL = "This brings every account back to how it was then; accounts added since are deleted."


@click.command()
@click.argument("old", metavar="A", type=params.moment)
@click.argument("new", metavar="[B]", required=False, type=params.moment)
@click.pass_obj
def diff(screen: Screen, old: Moment | str, new: Moment | str | None) -> None:
    """Show what changed from A to B (each TIME or EVENT), or to now."""
    for moment in (old, new):
        screen.note(params.zone_note(moment))
    with service() as call:
        found = call("diff", {"old": params.as_argument(old), "new": params.as_argument(new)})
    screen.answer(found, lambda: diff_text(found) or "Nothing changed.")


@click.command()
@click.argument("event", required=False, type=params.reference, shell_complete=params.suggest("events"))
@click.option("--force", is_flag=True, help="Although a later event changed the same.")
@click.pass_obj
def undo(screen: Screen, event: str | None, force: bool) -> None:
    """Undo EVENT, else your newest edit; undoing an undo redoes."""
    with service() as call:
        result = call("undo", {"event": event, "force": force})
        row = call("event", {"event": result["event"]}) if result["event"] and not screen.asked.json else {}
    if not result["event"]:
        screen.done(result, lambda: "It is undone already.")
        return
    undone = plain(row.get("undoes", ""))
    text = f"Undid {undone} of {short(result['id'])}. Event {plain(result['event'])}; to redo, undo that."
    screen.done(result, lambda: text)
    _remarks(screen, result)


@click.command()
@click.argument("account", required=False, type=params.reference, shell_complete=params.suggest("accounts"))
@click.option("--to", "moment", required=True, type=params.moment, help="The time, or the event right after which.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--yes", is_flag=True, help="Restore every account without asking.")
@click.pass_obj
def restore(screen: Screen, *, account: str | None, moment: Moment | str, dry_run: bool, yes: bool) -> None:
    """Bring an account, or all, back to how it was, deleted or not."""
    asks = account is None and not dry_run and not yes
    if asks and not ask.can_ask():
        raise Usage(_ALL, "Look with --dry-run, and say --yes if that is what you want.")
    screen.note(params.zone_note(moment))
    asked = {"account": account, "to": params.as_argument(moment), "dry_run": True}
    with service() as call:
        if dry_run or asks:
            found = call("restore", asked)
        if asks:
            screen.note(diff_text(found))
            ask.confirm(_ALL, "--yes")
        if not dry_run:
            found = call("restore", asked | {"dry_run": False})
    if dry_run:
        screen.answer(found, lambda: diff_text(found) or "Nothing would change.")
    else:
        screen.done(found, lambda: _restored(found))
    _remarks(screen, found)


def _restored(result: dict[str, Any]) -> str:
    if "events" in result:
        return f"Restored {counted(len(result['events']), 'account')}." if result["events"] else "Nothing to restore."
    if result["event"] is None:
        return f"{short(result['id'])} is already as it was then."
    return f"Restored {short(result['id'])}. Event {plain(result['event'])}."


def _remarks(screen: Screen, result: dict[str, Any]) -> None:
    """Say what stays as it is, and that the folder does not have it yet."""
    screen.note(left_out_text(result.get("left_out") or []))
    if (result.get("event") or result.get("events")) and not result["backed_up"]:
        screen.note(NOT_BACKED_UP)
