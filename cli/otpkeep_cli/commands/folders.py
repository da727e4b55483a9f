"""`folder`: where the mirror is, and moving it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from otpkeep_cli.params import FILE
from otpkeep_cli.render.folders import folder_text, moved_text
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import service, service_reaching


@click.command()
@click.argument("directory", metavar="[DIR]", type=FILE, required=False)
@click.pass_obj
def folder(screen: Screen, directory: str | None) -> None:
    """Show the folder, or move the mirror to another one."""
    if directory is None:
        with service(keys=False) as call:
            shown: Mapping[str, Any] = call("folder", {})
        screen.answer(shown, lambda: folder_text(shown))
        return
    place = Path(directory).expanduser().absolute()
    with service_reaching(writable=[place]) as call:
        moved: Mapping[str, Any] = call("move", {"path": os.fsencode(place)})
    screen.done(moved, lambda: moved_text(moved))
