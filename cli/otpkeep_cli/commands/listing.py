"""`list` and `show`: the accounts as they are now."""

from __future__ import annotations

import click

from otpkeep_cli import params
from otpkeep_cli.render.accounts import list_text, show_text
from otpkeep_cli.screen import Screen, width
from otpkeep_cli.session import service


@click.command("list")
@click.option("--tag", type=params.text, help="Only accounts with this tag.")
@click.option("--deleted", is_flag=True, help="The deleted accounts instead.")
@click.option("--show-secrets", is_flag=True, help="Show secrets and PINs too.")
@click.pass_obj
def list_accounts(screen: Screen, tag: str | None, deleted: bool, show_secrets: bool) -> None:
    """List the accounts, and where devices disagree about one."""
    with service() as call:
        items = call("list", {"tag": tag, "deleted": deleted, "secrets": show_secrets})
    screen.answer(items, lambda: list_text(items, width()) or "There are no such accounts.")


@click.command()
@click.argument("account", type=params.reference)
@click.option("--show-secrets", is_flag=True, help="Show the secret and PIN too.")
@click.pass_obj
def show(screen: Screen, account: str, show_secrets: bool) -> None:
    """Show everything about an account, and its history."""
    with service() as call:
        item = call("show", {"account": account, "secrets": show_secrets})
    screen.answer(item, lambda: show_text(item))
