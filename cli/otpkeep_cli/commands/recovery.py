"""`recover`: this machine becomes a device of a vault that a folder holds."""

from __future__ import annotations

import os
from pathlib import Path

import click

from otpkeep_cli import ask, params
from otpkeep_cli.commands.vaults import device_name
from otpkeep_cli.failure import INTEGRITY
from otpkeep_cli.params import FILE
from otpkeep_cli.passphrases import check_own
from otpkeep_cli.progress import progress_bar
from otpkeep_cli.render.recovery import early_text, found_text, recover_text
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import new_passphrase, places
from otpkeep_cli.sources import STDIN, read_text
from otpkeep_cli.unlocking import Remember, remember_option, yes_option
from otpkeep_protocol.errors import Locked


@click.command()
@click.argument("directory", metavar="DIR", type=FILE)
@click.option("--device", metavar="NAME", type=params.reference, help="Name of this device (default: the host name).")
@click.option("--vault", type=params.reference, help="Id of the vault, if the folder holds several.")
@click.option("--code-file", type=FILE, help="Use the recovery code in this file; asks for a new passphrase.")
@click.option("--digest", metavar="DIGEST", type=params.digest, help="Compare with another device's; 4 on doubt.")
@remember_option
@yes_option
@click.pass_context
def recover(
    ctx: click.Context,
    *,
    directory: str,
    device: str | None,
    vault: str | None,
    code_file: str | None,
    digest: str | None,
    method: str | None,
    yes: bool,
) -> None:
    """Rebuild all accounts from a folder, on a new device."""
    from otpkeep_daemon import setup  # --help and usage errors need none of it

    screen: Screen = ctx.obj
    paths = places()
    remember = Remember(screen, method, paths.data, yes=yes)
    code = None if code_file is None else _code(code_file)
    quiet = screen.asked.quiet
    with progress_bar("Reading files", quiet=quiet) as reading, progress_bar("Rebuilding", quiet=quiet) as loading:
        result = setup.recover(
            paths,
            folder=Path(directory).expanduser().absolute(),
            device=device or device_name(),
            vault=vault,
            passphrase=_passphrase,
            code=code,
            new_passphrase=lambda: check_own(new_passphrase()),
            reading=reading,
            loading=loading,
            early=lambda count: screen.note(early_text(count)),
            also=remember,
            digest=digest,
            show=lambda found: None if screen.asked.json else screen.done(found, lambda: found_text(found)),
        )
    screen.answer(result, lambda: recover_text(result))
    if digest is not None and result["comparison"]["doubt"]:
        ctx.exit(INTEGRITY)


def _passphrase() -> str:
    from otpkeep_daemon.unlock import passphrase_source  # as in recover

    return passphrase_source(os.environ, ask.hidden if ask.can_ask() else None, "Passphrase of the vault: ")


def _code(place: str) -> str:
    """Return the recovery code in a file that only its owner may read, or from standard input."""
    from otpkeep_daemon.unlock import read_secret_file  # as in recover

    code = read_text(STDIN, "The recovery code") if place == STDIN else read_secret_file(Path(place)).strip()
    if not code:
        raise Locked("There is no recovery code in what was given.", "It has eight groups such as 4XK2P.")
    return code
