"""The commands, each loaded when it is named: `otpkeep code` should not pay for what `import` needs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

import click

from otpkeep_cli.examples import epilog

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: Mapping[str, str] = {
    "init": "vaults:init",
    "recover": "recovery:recover",
    "add": "accounts:add",
    "edit": "accounts:edit",
    "rm": "accounts:remove",
    "show": "listing:show",
    "list": "listing:list_accounts",
    "code": "codes:code",
    "log": "history:log",
    "event": "history:event",
    "diff": "travel:diff",
    "undo": "travel:undo",
    "restore": "travel:restore",
    "import": "imports:import_file",
    "export": "exports:export_file",
    "watch": "watching:watch",
    "unwatch": "watching:unwatch",
    "review": "watching:review",
    "status": "health:status",
    "doctor": "doctor:doctor",
    "verify": "health:verify",
    "backup": "backups:backup",
    "accept-rollback": "accepting:accept_rollback",
    "compact": "compacting:compact",
    "folder": "folders:folder",
    "devices": "devices:devices",
    "config": "configuring:config",
    "unlock": "locking:unlock",
    "lock": "locking:lock",
    "daemon": "daemons:daemon",
    "service": "services:service",
    "completion": "completions:completion",
}
"""Command -> module of `otpkeep_cli.commands` and the name in it, in the order of the help."""


_WHOLE = 120  # characters, beyond which click would cut a sentence


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports them one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        """Return the command of that name, imported now, or None."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        found = getattr(import_module(f"otpkeep_cli.commands.{module}"), name)
        assert isinstance(found, click.Command)  # tells mypy; the table is tested
        _add_examples(found, cmd_name)
        return found

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Return the commands and options that go on from what is typed, each with its whole sentence."""
        from click.shell_completion import CompletionItem  # only a shell at a Tab needs it

        fit = [(name, self.get_command(ctx, name)) for name in COMMANDS if name.startswith(incomplete)]
        items = [
            CompletionItem(name, help=found.get_short_help_str(_WHOLE)) for name, found in fit if found is not None
        ]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first word names; a usage error that suggests, and repeats nothing.

        Someone may have typed a URI with its secret in the place of a command.
        """
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            import difflib  # only slips need it

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail("There is no such command." + (f" Did you mean {close[0]}?" if close else ""))
        return super().resolve_command(ctx, args)


def _add_examples(command: click.Command, path: str) -> None:
    """End the help of a command, and of those in it, with examples."""
    command.epilog = epilog(path)
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        _add_examples(inner, f"{path} {name}")


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from otpkeep_daemon.version import VERSION  # only this needs it

    ctx.obj.answer({"version": VERSION}, lambda: f"otpkeep {VERSION}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(""),
)
@click.option("--json", is_flag=True, expose_value=False, help="Answer, and fail, in JSON on standard output.")
@click.option("-q", "quiet", is_flag=True, expose_value=False, help="Leave out remarks and confirmations.")
@click.option("-v", "verbose", count=True, expose_value=False, help="Twice: say where a defect happened, too.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and end.",
)
def otpkeep() -> None:
    """Back up every edit of your authenticator accounts, encrypted, into any cloud folder.

    --json, -q and -v may stand before or after any other word.
    """
