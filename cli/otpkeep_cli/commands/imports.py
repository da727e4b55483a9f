"""`import`: the accounts of another application's file."""

from __future__ import annotations

from typing import Any

import click

from otpkeep_cli import params
from otpkeep_cli.params import FILE
from otpkeep_cli.render.plain import plain
from otpkeep_cli.render.transfer import import_text
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import password_of_file, service
from otpkeep_cli.sources import read_source

_PROMPT = "Password of the file: "


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--format", "wanted", type=params.text, help="Format of the file (default: seen from its content).")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--placeholder", is_flag=True, help="Keep the secrets on this device only, out of the backup.")
@click.option("--passphrase-file", type=FILE, help="File that holds the password of the imported file.")
@click.pass_obj
def import_file(
    screen: Screen,
    *,
    file: str,
    wanted: str | None,
    dry_run: bool,
    placeholder: bool,
    passphrase_file: str | None,
) -> None:
    """Add the accounts of an otpauth list or Aegis file (- reads)."""
    from otpkeep_daemon.formats import entry, registry  # brings cryptography

    data = read_source(file, entry.MAX_INPUT)
    parsed = registry.read(data, format=wanted, passphrase=password_of_file(passphrase_file, _PROMPT))
    for unmapped in parsed.unmapped:
        screen.note(f"Not carried over, since accounts have no place for it: {plain(unmapped)}")
    entries = [
        {
            "fields": found.account.to_fields(),
            "identity": None if found.identity is None else list(found.identity),
            "label": found.label,
        }
        for found in parsed.entries
    ]
    skipped = [{"entry": left.entry, "reason": left.reason} for left in parsed.skipped]
    asked = {"entries": entries, "skipped": skipped, "placeholder": placeholder, "dry_run": dry_run}
    with service() as call:
        result = call("import", asked)
    screen.answer(result, lambda: import_text(result, dry_run=dry_run))
    _note_waiting(screen, result, dry_run)


def _note_waiting(screen: Screen, result: dict[str, Any], dry_run: bool) -> None:
    from otpkeep_cli.commands.accounts import NOT_BACKED_UP  # as above

    if not dry_run and (result["added"] or result["changed"]) and not result["backed_up"]:
        screen.note(NOT_BACKED_UP)
