"""`unlock` and `lock`: the daemon's key."""

from __future__ import annotations

import click

from otpkeep_cli.screen import Screen
from otpkeep_cli.session import service


@click.command()
@click.pass_obj
def unlock(screen: Screen) -> None:
    """Give the running daemon its key."""
    with service() as call:
        result = call("unlock", {})
    screen.done(result, lambda: "Unlocked.")


@click.command()
@click.pass_obj
def lock(screen: Screen) -> None:
    """Make the running daemon forget its key."""
    with service(keys=False) as call:
        result = call("lock", {})
    screen.done(result, lambda: "Locked.")
