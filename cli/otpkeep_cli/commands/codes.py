"""`code`: the command that has to be fast; it imports nothing that a running daemon does for it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from otpkeep_cli import params
from otpkeep_cli.params import zone_note
from otpkeep_cli.render.code import code_text
from otpkeep_cli.screen import Screen, is_terminal
from otpkeep_cli.session import service

if TYPE_CHECKING:
    from otpkeep_cli.times import Moment


@click.command()
@click.argument("account", type=params.reference, shell_complete=params.suggest("accounts"))
@click.option("--at", type=params.time, help="The moment of the code, with the present secret (default: now).")
@click.option("--peek", is_flag=True, help="Show a counter-based (hotp) code without using it up.")
@click.pass_obj
def code(screen: Screen, account: str, at: Moment | None, peek: bool) -> None:
    """Show the present code of an account."""
    screen.note(zone_note(at))
    moment = None if at is None else at.at.timestamp()
    with service() as call:
        found = call("code", {"account": account, "at": moment, "peek": peek})
    shown = time.time() if is_terminal(sys.stdout) else None
    screen.answer(found, lambda: code_text(found, shown, at_given=at is not None))
