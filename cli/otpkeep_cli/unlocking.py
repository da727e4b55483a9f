"""How the daemon shall unlock itself: the option, the question, and what a key file means."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from otpkeep_cli import ask
from otpkeep_cli.render.unlocking import left_text, offers_text
from otpkeep_cli.screen import Screen, write

if TYPE_CHECKING:
    from otpkeep_daemon.keys import Keys
    from otpkeep_daemon.store import Store

METHODS = ("keychain", "credential", "file", "none")
"""As in `otpkeep_daemon.remembering`, which --help must not import."""
FILE_WARNING = (
    "A key file lies beside the store: whoever can read your files, or a backup of your home directory, can then open"
    " every account without the passphrase."
)

remember_option = click.option(
    "--remember",
    "method",
    metavar="METHOD",
    type=click.Choice(METHODS),
    help="How the daemon unlocks itself after a restart: keychain, credential (systemd), file, or none.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask whether a key file is really wanted.")


def confirm(method: str | None, *, yes: bool) -> None:
    """Return if a key file is really wanted, or another method; raises Usage if not, or if nobody can be asked."""
    if method == "file" and not yes:
        ask.confirm(FILE_WARNING, "--yes")


class Remember:
    """Has a device that is being set up remember its keys by the method that was named, or that the person takes."""

    def __init__(self, screen: Screen, method: str | None, data: Path, *, yes: bool) -> None:
        """`data` is the directory of the store. Usage if a key file is not confirmed."""
        confirm(method, yes=yes)
        self._screen, self._method, self._data = screen, method, data

    def ask(self) -> None:
        """Have the person choose, if nothing was named and somebody is there."""
        while self._method is None and ask.can_ask() and not self._screen.asked.json:
            taken = _take(self._data)
            if taken != "file" or ask.agrees(FILE_WARNING):
                self._method = taken

    def __call__(self, store: Store, keys: Keys) -> None:
        """Remember the keys, and tell how that went: the device is set up by now, and nothing may fail."""
        self.ask()
        if self._method is None or self._method == "none":
            return
        from contextlib import nullcontext

        from otpkeep_daemon.home import AROUND
        from otpkeep_daemon.remembering import Remembering
        from otpkeep_protocol.errors import OtpkeepError

        try:
            left = Remembering(store, self._data, AROUND, nullcontext()).choose(keys, self._method)
        except OtpkeepError as trouble:
            self._screen.note(f"The daemon will start locked: {trouble.message}. {trouble.hint}")
            return
        self._screen.note(left_text(self._method, left))


def _take(data: Path) -> str:
    from otpkeep_daemon.remembering import best, offers  # only those who are asked

    offered = offers(data)
    possible, default = [offer.method for offer in offered if not offer.why_not], best(offered)
    write(sys.stderr, offers_text([(offer.words, offer.why_not) for offer in offered]))
    while answer := ask.line(f"Number [{possible.index(default) + 1}]: ").strip():
        number = int(answer) if answer.isascii() and answer.isdigit() else 0
        if 1 <= number <= len(possible):
            return possible[number - 1]
        write(sys.stderr, f"Type a number from 1 to {len(possible)}.")
    return default
