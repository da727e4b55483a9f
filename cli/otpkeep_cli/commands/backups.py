"""`backup`: publishing into the folder, for this device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from otpkeep_cli.render.plain import counted
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import service
from otpkeep_protocol.errors import Usage


@click.command()
@click.argument("mode", metavar="MODE", type=click.Choice(("on", "off", "now")))
@click.option("--here", is_flag=True, help="With now: take the folder as it is, though it looks like another.")
@click.pass_obj
def backup(screen: Screen, mode: str, here: bool) -> None:
    """Publish this device's edits: on, off (only record), or now."""
    if here and mode != "now":
        raise Usage("--here goes with now only.", "See: otpkeep backup --help")
    with service(keys=mode == "now") as call:
        result = call("backup", {"mode": mode, "here": here})
    screen.done(result, lambda: _text(result))


def _text(result: Mapping[str, Any]) -> str:
    if not result["backup"]:
        waiting = counted(result["pending"], "file")
        return f"Backup is off on this device: edits are recorded, and not published. {waiting} waiting."
    sent = f"{counted(result['published'], 'file')} published"
    return f"Backup is on. {sent}, {result['pending']} waiting."
