"""`config`: the settings, to see, to get and to set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from otpkeep_cli.params import text
from otpkeep_cli.render.settings import set_text, settings_text, value_text
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import places
from otpkeep_protocol.errors import OtpkeepError, Refused, Usage

if TYPE_CHECKING:
    from otpkeep_daemon.paths import Paths

_ONE_AT_A_TIME = "See: otpkeep config --help"


def _keys(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Complete the name of a setting in a shell."""
    from otpkeep_daemon.config import SETTINGS  # only a shell that completes needs them

    return [key for key in SETTINGS if key.startswith(begun)]


@click.command()
@click.argument("key", metavar="[KEY]", type=text, required=False, shell_complete=_keys)
@click.argument("value", metavar="[VALUE]", type=text, required=False)
@click.option("--unset", is_flag=True, help="Go back to the default of KEY.")
@click.option("--edit", is_flag=True, help="Open the file in your editor, and check it afterwards.")
@click.option("--path", is_flag=True, help="Print where the file is.")
@click.pass_obj
def config(screen: Screen, *, key: str | None, value: str | None, unset: bool, edit: bool, path: bool) -> None:
    """Show all settings, or one; with a value, set it."""
    _check_words(key, value, unset=unset, edit=edit, path=path)
    where = places()
    if path:
        screen.answer({"path": str(where.config)}, lambda: str(where.config))
    elif edit:
        _edit(screen, where)
    elif unset or value is not None:
        _set(screen, where, key or "", value)
    else:
        _show(screen, where, key)


def _check_words(key: str | None, value: str | None, *, unset: bool, edit: bool, path: bool) -> None:
    if unset and (key is None or value is not None):
        raise Usage("--unset takes the name of one setting.", _ONE_AT_A_TIME)
    if (edit or path) and (key is not None or (edit and path)):
        raise Usage("--edit and --path stand alone.", _ONE_AT_A_TIME)


def _show(screen: Screen, where: Paths, key: str | None) -> None:
    from otpkeep_daemon import configuring  # --help and --path need none of it

    if key is not None:
        row = configuring.row(where, key)
        screen.answer(row, lambda: value_text(row))
        return
    try:
        rows = configuring.rows(where)
    except OtpkeepError as error:
        if not screen.asked.json:
            found = error.data["settings"]
            screen.answer(None, lambda: settings_text(found))
            screen.note(f"Until {where.config} is corrected, this is what a daemon that starts goes by:\n")
        raise
    screen.answer(rows, lambda: settings_text(rows))


def _set(screen: Screen, where: Paths, key: str, value: str | None) -> None:
    from otpkeep_daemon import configuring  # as above

    done: Mapping[str, Any] = configuring.put(where, key, value) if value is not None else configuring.unset(where, key)
    screen.done(done, lambda: set_text(done))


def _edit(screen: Screen, where: Paths) -> None:
    from otpkeep_daemon import config_file, configuring  # as above

    where.prepare_config()
    config_file.create_template(where.config)
    try:
        click.edit(filename=str(where.config))
    except click.ClickException as error:
        message = f"The editor did not end well ({error.message}). The settings are as it left them: {where.config}"
        raise Refused(message, "Set EDITOR to an editor that works here, or: otpkeep config KEY VALUE") from error
    rows = configuring.rows(where)
    applied = configuring.taken_up(where)
    screen.done(rows, lambda: "The running daemon goes by it now." if applied else "The file is fine.")
