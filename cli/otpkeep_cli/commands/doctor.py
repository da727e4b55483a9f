"""`doctor`: what is wrong on this machine, and how to repair it."""

from __future__ import annotations

import os

import click

from otpkeep_cli.render.doctor import report_text
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import places


@click.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Find what is wrong on this machine; ends with 1 if so."""
    from otpkeep_daemon.doctor.registry import examine  # --help needs none of it

    screen: Screen = ctx.obj
    found = examine(places(), os.environ)
    screen.answer(found, lambda: report_text(found))
    if not found["ok"]:
        ctx.exit(1)
