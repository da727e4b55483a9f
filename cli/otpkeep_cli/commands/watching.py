"""`watch`, `unwatch` and `review`: other programs' files whose changes become events."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from otpkeep_cli import params
from otpkeep_cli.params import FILE
from otpkeep_cli.render.watching import review_text, watch_text
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import password_of_file, service, service_reaching
from otpkeep_cli.sources import STDIN, read_source
from otpkeep_protocol.errors import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

_PROMPT = "Password of the file: "


@click.command()
@click.argument("file", type=FILE, required=False)
@click.option("--format", "wanted", type=params.text, help="Format of the file (default: seen from its content).")
@click.option("--two-way", is_flag=True, help="Also write every account and edit back into the file.")
@click.option("--passphrase-file", type=FILE, help="File that holds the password of the watched file.")
@click.pass_obj
def watch(screen: Screen, *, file: str | None, wanted: str | None, two_way: bool, passphrase_file: str | None) -> None:
    """Import FILE and follow its changes; without FILE list."""
    if file is None:
        if wanted or two_way or passphrase_file:
            raise Usage("These options go with a FILE only.", "See: otpkeep watch --help")
        with service(keys=False) as call:
            found = call("watch", {"path": None})
    else:
        password = _password(file, wanted, passphrase_file)
        path = os.path.abspath(file)  # noqa: PTH100  # Path.absolute keeps ".."
        asked = {"path": path, "format": wanted, "two_way": two_way, "password": password}
        directories = [Path(path).parent] if two_way else []
        with service_reaching(writable=directories, visible=[Path(path)]) as call:
            found = call("watch", asked)
    screen.answer(found["watched"], lambda: watch_text(found["watched"], found["added"], found["held"]))


def _password(file: str, wanted: str | None, passphrase_file: str | None) -> str | None:
    """Return the password of a file that has one, tried here before it is stored; None for any other."""
    from otpkeep_daemon.formats import entry, registry  # brings cryptography

    if file == STDIN:
        raise Usage("Standard input can't be watched.", "Name a file.")
    given: list[str] = []
    ask = password_of_file(passphrase_file, _PROMPT)

    def once(ask: Callable[[], str]) -> str:
        given.append(ask())
        return given[-1]

    data = read_source(file, entry.MAX_INPUT)
    registry.read(data, format=wanted, passphrase=None if ask is None else lambda: once(ask))
    return given[-1] if given else None


@click.command()
@click.argument("file", type=FILE)
@click.pass_obj
def unwatch(screen: Screen, *, file: str) -> None:
    """Watch FILE no longer; it and its accounts stay."""
    with service(keys=False) as call:
        found = call("unwatch", {"path": os.path.abspath(file)})  # noqa: PTH100  # as above
    screen.done(found, lambda: watch_text(found, 0, 0))


@click.command()
@click.argument("ident", metavar="[ID]", type=params.reference, required=False)
@click.option("--accept/--reject", "accept", default=None, help="Do what was held back, or keep the accounts as is.")
@click.option("--passphrase-file", type=FILE, help="File that holds the new password of the watched file.")
@click.pass_obj
def review(screen: Screen, *, ident: str | None, accept: bool | None, passphrase_file: str | None) -> None:
    """Show the changes of watched files that wait, or decide one."""
    if ident is None and (accept is not None or passphrase_file):
        raise Usage("Name the change that you decide about.", "`otpkeep review` lists what waits.")
    password = None
    if passphrase_file is not None:
        ask = password_of_file(passphrase_file, _PROMPT)
        password = ask() if ask is not None else None
    with service() as call:  # what waits is known only once the files have been looked at
        found = call("review", {"id": ident, "accept": accept, "password": password})
    screen.answer(found, lambda: review_text(found, accept))
