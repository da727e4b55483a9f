"""`daemon run`: the daemon in the foreground."""

from __future__ import annotations

import os
from collections.abc import Callable

import click

from otpkeep_cli import ask


@click.group()
def daemon() -> None:
    """The daemon, which publishes and takes in edits by itself."""


@daemon.command("run")
@click.pass_context
def run_daemon(ctx: click.Context) -> None:
    """Run it here until Ctrl-C; it starts locked if it gets no key."""
    from otpkeep_cli.session import places  # --help needs none of it
    from otpkeep_daemon import main  # as above

    ctx.exit(main.run(places(), given=_given(), typed=_typed()))


def _given() -> Callable[[], str] | None:
    """Return how to get the passphrase from what the environment names, None if it names nothing."""
    from otpkeep_daemon.unlock import COMMAND_VARIABLE, FILE_VARIABLE, passphrase_source  # as above

    if not any(os.environ.get(name) for name in (FILE_VARIABLE, COMMAND_VARIABLE)):
        return None
    return lambda: passphrase_source(os.environ, None)


def _typed() -> Callable[[], str] | None:
    """Return how to ask for the passphrase, None if nobody is there."""
    return (lambda: ask.hidden("Passphrase: ")) if ask.can_ask() else None
