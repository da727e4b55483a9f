"""The way from a command to the service: places, passphrases and the connection, imported when needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from otpkeep_daemon.paths import Paths

Call = Callable[[str, dict[str, Any]], Any]
"""(operation, arguments) -> a JSON-able value; raises OtpkeepError."""


def places() -> Paths:
    """Return where this device's files are."""
    from otpkeep_daemon.paths import Paths  # --help and usage errors need no places

    return Paths.from_environment(os.environ)


@contextmanager
def service(*, keys: bool = True, passphrase: Callable[[], str] | None = None) -> Iterator[Call]:
    """Yield the service: the running daemon's, else one of our own that holds the writer lock meanwhile.

    With `keys` the passphrase is asked for (of `passphrase`, else of the usual sources) if the service is locked.
    """
    from otpkeep_daemon import access  # as above

    with access.connect(places(), passphrase or present_passphrase, keys=keys) as call:
        yield call


@contextmanager
def service_reaching(*, writable: Iterable[Path] = (), visible: Iterable[Path] = ()) -> Iterator[Call]:
    """Yield the service, unlocked, once its sandbox lets it reach these places, too; a daemon keeps its keys.

    A daemon that has to be started anew for that may come up locked: then the passphrase is asked for.
    """
    from otpkeep_cli import sandbox  # only what names new places needs it

    had_keys = sandbox.open_for(places(), frozenset(writable), frozenset(visible))
    with service() as call:
        yield call
        if had_keys:
            call("unlock", {})


def present_passphrase() -> str:
    """Return the vault's passphrase from the usual sources; Locked if there are none and nobody to ask."""
    from otpkeep_cli import ask  # only a locked service needs a passphrase
    from otpkeep_daemon.unlock import passphrase_source  # as above

    return passphrase_source(os.environ, ask.hidden if ask.can_ask() else None, "Passphrase: ")


def new_passphrase() -> str:
    """Return a passphrase to be set: a source's, or the one that the person takes or makes up."""
    from otpkeep_cli import ask, passphrases  # only init and recover set one
    from otpkeep_daemon.unlock import new_passphrase_source  # as above

    if ask.can_ask():
        return new_passphrase_source(os.environ, passphrases.offer)
    return new_passphrase_source(os.environ, None)


def password_of_file(path: str | None, words: str) -> Callable[[], str] | None:
    """Return how to get a file's own password: from the file at `path`, else a prompt, else None."""
    from pathlib import Path  # only import and export have such files

    from otpkeep_cli import ask  # as above
    from otpkeep_daemon.unlock import read_secret_file  # as above

    if path is not None:
        return lambda: read_secret_file(Path(path))
    return (lambda: ask.hidden(words)) if ask.can_ask() else None
