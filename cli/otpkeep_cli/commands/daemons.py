"""`daemon run`: the daemon in the foreground."""

from __future__ import annotations

import os

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

    ctx.exit(main.run(places(), passphrase=_passphrase()))


def _passphrase() -> str | None:
    """Return the passphrase of a source that is set, or of a prompt; None if there is no source nor terminal."""
    from otpkeep_daemon.unlock import COMMAND_VARIABLE, FILE_VARIABLE, passphrase_source  # as above

    if not ask.can_ask() and not any(os.environ.get(name) for name in (FILE_VARIABLE, COMMAND_VARIABLE)):
        return None
    return passphrase_source(os.environ, ask.hidden, "Passphrase: ")
