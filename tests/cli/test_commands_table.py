"""The commands, their help, and what a process pays for them."""

import subprocess
import sys

import click
import pytest

from otpkeep_cli.group import COMMANDS, otpkeep
from support_cli import environment, run_program

EXPECTED = (
    "init recover add edit rm show list code log event diff undo restore import export watch unwatch review"
    " status doctor verify backup accept-rollback compact folder devices config unlock lock daemon service completion"
)
HEAVY = ("cryptography", "rich", "watchdog", "apscheduler", "sqlite3", "pyotp", "xkcdpass", "tomlkit", "keyring")


def _commands() -> dict[str, click.Command]:
    context = click.Context(otpkeep)
    found = {name: otpkeep.get_command(context, name) for name in otpkeep.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def test_the_commands_are_those_of_the_manual() -> None:
    assert list(_commands()) == EXPECTED.split()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_described_in_a_sentence(name: str) -> None:
    command = _commands()[name]
    assert command.name == name
    assert command.help
    assert command.help.endswith(".")
    assert not command.get_short_help_str(65).endswith("...")
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or getattr(parameter, "help", None), parameter.name


def test_no_command_takes_the_global_words_for_itself() -> None:
    taken = {option for command in _commands().values() for param in command.params for option in param.opts}
    assert not taken & {"--json", "-q", "-v", "--version"}


def _modules_after(statement: str) -> set[str]:
    script = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True, timeout=60
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "statement",
    ["import otpkeep_cli.main", "import otpkeep_cli.main, otpkeep_cli.commands.codes"],
    ids=["main", "code"],
)
def test_loading_imports_nothing_heavy(statement: str) -> None:
    assert not _modules_after(statement) & set(HEAVY)


def test_help_ends_with_0_and_names_every_command() -> None:
    done = run_program(["--help"], environment()).ok()
    assert all(f"\n  {name} " in done.out for name in COMMANDS)


def test_version_is_json_when_asked() -> None:
    assert "version" in run_program(["--version", "--json"], environment()).ok().json


def test_the_words_of_the_global_options_may_come_last() -> None:
    assert run_program(["frob", "--json"], environment()).error["kind"] == "usage"
