"""`list` and `show`: the accounts as they are now, or as they were."""

from __future__ import annotations

import click

from otpkeep_cli import params
from otpkeep_cli.render.accounts import list_text, show_text
from otpkeep_cli.screen import Screen, on_terminal, width
from otpkeep_cli.session import service
from otpkeep_cli.times import Moment


@click.command("list")
@click.option("--tag", type=params.text, shell_complete=params.suggest("tags"), help="Only accounts with this tag.")
@click.option("--deleted", is_flag=True, help="The deleted accounts instead.")
@click.option("--at", type=params.moment, help="As they were at this time, or right after this event.")
@click.option("--show-secrets", is_flag=True, help="Show secrets and PINs too.")
@click.pass_obj
def list_accounts(
    screen: Screen, *, tag: str | None, deleted: bool, at: Moment | str | None, show_secrets: bool
) -> None:
    """List the accounts, and where devices disagree about one."""
    screen.note(params.zone_note(at))
    asked = {"tag": tag, "deleted": deleted, "secrets": show_secrets, "at": params.as_argument(at)}
    with service() as call:
        items = call("list", asked)
    screen.answer(items, lambda: list_text(items, width()) or "There are no such accounts.")


@click.command()
@click.argument("account", type=params.reference, shell_complete=params.suggest("accounts"))
@click.option("--at", type=params.moment, help="As it was at this time, or right after this event.")
@click.option("--show-secrets", is_flag=True, help="Show the secret and PIN too.")
@click.pass_obj
def show(screen: Screen, *, account: str, at: Moment | str | None, show_secrets: bool) -> None:
    """Show everything about an account, and its history."""
    screen.note(params.zone_note(at))
    with service() as call:
        item = call("show", {"account": account, "secrets": show_secrets, "at": params.as_argument(at)})
    screen.answer(item, lambda: show_text(item, strike=on_terminal()))
