"""`devices`: the devices of the vault."""

from __future__ import annotations

import click

from otpkeep_cli.render.health import devices_text
from otpkeep_cli.screen import Screen, width
from otpkeep_cli.session import service


@click.group(invoke_without_command=True)
@click.pass_context
def devices(ctx: click.Context) -> None:
    """List the devices of the vault."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_devices)


@devices.command("list")
@click.pass_obj
def list_devices(screen: Screen) -> None:
    """List the devices, and when each was last seen."""
    with service() as call:
        found = call("devices", {})
    screen.answer(found, lambda: devices_text(found, width()))
