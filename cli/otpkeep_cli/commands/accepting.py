"""`accept-rollback`: go on from here, whatever has happened to the folder or to a device."""

from __future__ import annotations

import click

from otpkeep_cli.render.comparing import accepted_text
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import service


@click.command("accept-rollback")
@click.pass_obj
def accept_rollback(screen: Screen) -> None:
    """End notices of rollbacks, forks, copies and gaps; heal at once.

    Nothing is thrown away: what the folder has is taken in, and what is gone from it is put back from this device. Each
    notice comes back if there is more of it."""
    with service() as call:
        done = call("accept-rollback", {})
    screen.done(done, lambda: accepted_text(done))
