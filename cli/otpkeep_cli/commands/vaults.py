"""`init`: a new vault on its first device."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from otpkeep_cli import ask, params
from otpkeep_cli.params import FILE
from otpkeep_cli.passphrases import check_own
from otpkeep_cli.render.folders import found_text, offers_text
from otpkeep_cli.render.plain import plain
from otpkeep_cli.render.table import pairs
from otpkeep_cli.screen import Screen, write
from otpkeep_cli.session import new_passphrase, places
from otpkeep_cli.unlocking import Remember, remember_option, yes_option
from otpkeep_protocol.errors import Usage

if TYPE_CHECKING:
    from otpkeep_daemon.clouds import Cloud

NOT_A_BACKUP = (
    "This folder is on this machine only: not a backup. Move it into a folder that a cloud client carries to have"
    " one: otpkeep folder DIR"
)
_CODE_ADVICE = (
    "Write the recovery code down and keep it away from this machine. It opens the backup when the passphrase is\n"
    "forgotten; it is shown only now, and whoever has it and the folder has every account."
)


@click.command()
@click.option("--folder", type=FILE, help="Folder that a cloud client carries (default: asks, or a plain local one).")
@click.option("--device", metavar="NAME", type=params.reference, help="Name of this device (default: the host name).")
@remember_option
@yes_option
@click.pass_obj
def init(screen: Screen, folder: str | None, device: str | None, method: str | None, yes: bool) -> None:
    """Make a new vault in a folder; this is its first device."""
    from otpkeep_daemon import setup  # --help and usage errors need none of it
    from otpkeep_daemon.home import check_fresh  # as above

    paths, clouds = places(), _clouds() if folder is None else []
    local = paths.data / "folder"
    place, asked = Path(folder).expanduser().absolute() if folder is not None else local, False
    remember = Remember(screen, method, paths.data, yes=yes)
    if folder is None and ask.can_ask() and not screen.asked.json:
        check_fresh(paths)
        place, asked = _choose(clouds, local), True
    result = setup.init(
        paths,
        folder=place,
        device=device or device_name(),
        passphrase=lambda: _secrets(remember),
        also=remember,
    )
    screen.answer(result, lambda: _text(result))
    if place == local:
        screen.note(NOT_A_BACKUP)
    if not asked:
        screen.note(found_text(clouds))


def _secrets(remember: Remember) -> str:
    """Return the new passphrase. How to unlock is asked before: later, nothing may come before the code is shown."""
    remember.ask()
    return check_own(new_passphrase())


def _clouds() -> list[Cloud]:
    from otpkeep_daemon.clouds import find_clouds  # --folder needs none of it

    try:
        home = Path.home()
    except RuntimeError:
        return []  # a user without a home has no cloud client
    return find_clouds(home, sys.platform, os.environ)


def _choose(clouds: Sequence[Cloud], local: Path) -> Path:
    """Return the folder that the person takes; Usage if none is taken."""
    fit = [cloud.target for cloud in clouds if not cloud.trouble]
    write(sys.stderr, offers_text(clouds, local))
    while answer := ask.line("Number: ").strip():
        number = int(answer) if answer.isascii() and answer.isdigit() else 0
        if 1 <= number <= len(fit) + 1:
            return [*fit, local][number - 1]
        if number == len(fit) + 2 and (typed := ask.line("Path of the folder: ").strip()):
            return Path(typed).expanduser().absolute()
        write(sys.stderr, f"Type a number from 1 to {len(fit) + 2}.")
    raise Usage("No folder was chosen. Nothing was changed.", "Run it again, or name one with --folder.")


def device_name() -> str:
    """Return the name that this machine gives itself, without its domain."""
    return socket.gethostname().partition(".")[0] or "this device"


def _text(result: Mapping[str, object]) -> str:
    labels = {"vault": "Vault", "device": "Device", "folder": "Folder"}
    facts = pairs([(label, plain(result[key])) for key, label in labels.items()])
    return f"{facts}\n\nRecovery code:\n\n    {plain(result['recovery_code'])}\n\n{_CODE_ADVICE}"
