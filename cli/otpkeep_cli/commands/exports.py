"""`export`: the accounts in a file that other applications read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otpkeep_cli import ask
from otpkeep_cli.outfile import check_target, write_export
from otpkeep_cli.params import FILE
from otpkeep_cli.passphrases import typed_twice
from otpkeep_cli.render.transfer import export_text, reasons
from otpkeep_cli.screen import Screen, is_terminal
from otpkeep_cli.session import service
from otpkeep_cli.sources import STDIN
from otpkeep_protocol.account import Account
from otpkeep_protocol.errors import Locked, Usage

if TYPE_CHECKING:
    from otpkeep_daemon.formats.entry import Written

_ENCRYPTED = "aegis-encrypted"
_FORMATS = (_ENCRYPTED, "aegis", "otpauth")
_CLEAR = "This writes every secret in clear, readable for whoever gets the file."


@click.command("export")
@click.argument("file", type=FILE)
@click.option("--format", "wanted", type=click.Choice(_FORMATS), default=_ENCRYPTED, help="What to write.")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option("--yes", is_flag=True, help="Write secrets in clear without asking.")
@click.option("--passphrase-file", type=FILE, help="File that holds the password for an encrypted export.")
@click.pass_obj
def export_file(screen: Screen, *, file: str, wanted: str, force: bool, yes: bool, passphrase_file: str | None) -> None:
    """Write all accounts to a file or - (usual: encrypted)."""
    if file == STDIN and screen.asked.json:
        raise Usage("The export and its report can't both go to standard output.", "Leave out --json.")
    check_target(file, force=force)
    if wanted != _ENCRYPTED and not yes:
        ask.confirm(_CLEAR, "--yes")
    password = _password(passphrase_file) if wanted == _ENCRYPTED else None
    with service() as call:
        found = call("export", {})
    written = _write(wanted, found["accounts"], password)
    left_out = [*found["left_out"], *({"entry": left.entry, "reason": left.reason} for left in written.left_out)]
    if left_out:
        screen.note("\n".join(["Left out, since this format can't hold it:", *reasons(left_out)]))
    write_export(file, written.data, force=force)
    result = {"file": file, "format": wanted, "accounts": written.accounts, "left_out": left_out}
    _report(screen, result, lambda: export_text(result))


def _report(screen: Screen, result: Mapping[str, Any], text: Callable[[], str]) -> None:
    """Say what was written; on standard error if the export itself went to standard output."""
    if result["file"] == STDIN:
        screen.note(text() if is_terminal(sys.stderr) else "")
        return
    screen.done(result, text)


def _write(wanted: str, accounts: Iterable[tuple[bytes, Mapping[str, object]]], password: str | None) -> Written:
    from otpkeep_daemon.formats import registry  # brings cryptography

    pairs = [(account_id, Account.from_fields(fields)) for account_id, fields in accounts]
    return registry.write(wanted, pairs, passphrase=password, random=os.urandom)


def _password(path: str | None) -> str:
    from otpkeep_daemon.unlock import read_secret_file  # only encrypted exports have one

    if path is not None:
        return read_secret_file(Path(path))
    if not ask.can_ask():
        raise Locked(
            "An encrypted export needs a password, and there is nobody to ask for it. Nothing was written.",
            "Give it with --passphrase-file FILE.",
        )
    return typed_twice("Password for the export: ")
