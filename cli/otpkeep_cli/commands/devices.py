"""`devices`: the devices of the vault."""

from __future__ import annotations

from typing import Any

import click

from otpkeep_cli import params
from otpkeep_cli.commands.accounts import NOT_BACKED_UP
from otpkeep_cli.render.health import devices_text
from otpkeep_cli.render.plain import plain, short
from otpkeep_cli.screen import Screen, width
from otpkeep_cli.session import service

_RETIRED = (
    "It holds nothing up any more, nobody is told that it is silent, and the other devices look after its files. "
    "It keeps its keys: for a lost device, change your accounts' secrets. An edit on it makes it active again."
)


@click.group(invoke_without_command=True)
@click.pass_context
def devices(ctx: click.Context) -> None:
    """List the devices of the vault, retire or rename one."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_devices)


@devices.command("list")
@click.pass_obj
def list_devices(screen: Screen) -> None:
    """List the devices, and when each was last seen."""
    with service() as call:
        found = call("devices", {})
    screen.answer(found, lambda: devices_text(found, width()))


@devices.command("retire")
@click.argument("device", type=params.reference, shell_complete=params.suggest("devices"))
@click.option("--undo", is_flag=True, help="Make a retired device active again.")
@click.option("--yes", is_flag=True, help="Retire even this very device.")
@click.pass_obj
def retire(screen: Screen, *, device: str, undo: bool, yes: bool) -> None:
    """Say that a device is no longer used; its edits stay."""
    with service() as call:
        done = call("retire", {"device": device, "undo": undo, "own": yes})
    changed = done["event"] is not None
    _tell(screen, done, f"{'now' if changed else 'already'} {plain(done['state'])}")
    if changed and not undo:
        screen.note(_RETIRED)


@devices.command("rename")
@click.argument("device", type=params.reference, shell_complete=params.suggest("devices"))
@click.argument("name", type=params.text)
@click.pass_obj
def rename(screen: Screen, *, device: str, name: str) -> None:
    """Give a device another name."""
    with service() as call:
        done = call("rename", {"device": device, "label": name})
    _tell(screen, done, "called so" if done["event"] is not None else "called so already")


def _tell(screen: Screen, done: dict[str, Any], what: str) -> None:
    screen.done(done, lambda: f"{plain(done['name'])} ({short(done['id'])}) is {what}.")
    if done["event"] and not done["backed_up"]:
        screen.note(NOT_BACKED_UP)
