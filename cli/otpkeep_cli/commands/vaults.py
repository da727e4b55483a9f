"""`init`: a new vault on its first device."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

import click

from otpkeep_cli import params
from otpkeep_cli.params import FILE
from otpkeep_cli.passphrases import check_own
from otpkeep_cli.render.plain import plain
from otpkeep_cli.render.table import pairs
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import new_passphrase, places

NOT_A_BACKUP = (
    "This folder is on this machine only: not a backup. Give a folder that a cloud client carries"
    " with --folder to have one."
)
_CODE_ADVICE = (
    "Write the recovery code down and keep it away from this machine. It opens the backup when the passphrase is\n"
    "forgotten; it is shown only now, and whoever has it and the folder has every account."
)


@click.command()
@click.option("--folder", type=FILE, help="Folder that a cloud client carries (default: a plain local one).")
@click.option("--device", metavar="NAME", type=params.reference, help="Name of this device (default: the host name).")
@click.pass_obj
def init(screen: Screen, folder: str | None, device: str | None) -> None:
    """Make a new vault in a folder; this is its first device."""
    from otpkeep_daemon import setup  # --help and usage errors need none of it

    paths = places()
    place = paths.data / "folder" if folder is None else Path(folder).expanduser().absolute()
    result = setup.init(
        paths, folder=place, device=device or device_name(), passphrase=lambda: check_own(new_passphrase())
    )
    screen.answer(result, lambda: _text(result))
    if folder is None:
        screen.note(NOT_A_BACKUP)


def device_name() -> str:
    """Return the name that this machine gives itself, without its domain."""
    return socket.gethostname().partition(".")[0] or "this device"


def _text(result: Mapping[str, object]) -> str:
    labels = {"vault": "Vault", "device": "Device", "folder": "Folder"}
    facts = pairs([(label, plain(result[key])) for key, label in labels.items()])
    return f"{facts}\n\nRecovery code:\n\n    {plain(result['recovery_code'])}\n\n{_CODE_ADVICE}"
