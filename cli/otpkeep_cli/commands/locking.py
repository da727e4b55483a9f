"""`unlock` and `lock`: the daemon's key."""

from __future__ import annotations

import click

from otpkeep_cli.screen import Screen
from otpkeep_cli.session import places, service
from otpkeep_protocol.errors import Refused


@click.command()
@click.pass_obj
def unlock(screen: Screen) -> None:
    """Give the running daemon its key."""
    from otpkeep_daemon.access import is_served, is_set_up  # --help needs none of it

    if is_set_up(places()) and not is_served(places()):
        raise Refused("No daemon is running here, so there is nothing to unlock.", "Start one: otpkeep daemon run")
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
