"""The README says what the program has: its commands, its exit codes, its environment and its settings."""

from __future__ import annotations

import re
from pathlib import Path

import click

from otpkeep_cli import failure, manual
from otpkeep_cli.group import COMMANDS
from otpkeep_daemon import unlock
from otpkeep_daemon.config import SETTINGS
from otpkeep_daemon.setting_kinds import shown
from support_examples import command_lines, every_command, parse, path_of

README = (Path(__file__).parents[2] / "README.md").read_text()
CONTEXTS = {path_of(context): context for context in every_command()}
TABLE = README[README.index("| command |") : README.index("Every command that prints data")]


def test_every_command_is_in_the_table_and_no_other() -> None:
    named = {words.split()[0] for words in re.findall(r"`([^`]+)`", _first_column(TABLE))}
    assert named == set(COMMANDS)


def test_every_command_of_the_examples_exists() -> None:
    used = set(re.findall(r"^\$ otpkeep (\S+)", README, re.MULTILINE))
    assert used
    assert used <= set(COMMANDS)


def test_the_table_says_of_each_command_what_its_help_says() -> None:
    for entry in re.findall(r"`([^`]+)`", _first_column(TABLE)):
        words = entry.split()
        context = CONTEXTS[words[0]]
        options = {option for param in context.command.params for option in param.opts}
        pieces = context.command.collect_usage_pieces(context)[1:]
        said = [word for word in words[1:] if not word.startswith("--")]
        assert {word for word in words if word.startswith("--")} <= options
        assert not said or said == pieces or set(_choices(said[0])) == set(_choices_of(context) or ()), entry


def test_every_example_and_every_call_in_the_text_is_one_that_the_program_takes() -> None:
    calls = re.findall(r"^\$ (.*otpkeep .*)", README, re.MULTILINE) + re.findall(r"`(otpkeep [^`]+)`", README)
    taken = [path_of(parse(words)) for line in calls for words in command_lines(line) if "COMMAND" not in words]
    assert len(taken) > 10
    assert {"init", "recover", "code"} <= set(taken)


def test_every_option_in_the_text_is_one_of_some_command() -> None:
    known = {option for context in every_command() for param in context.command.params for option in param.opts}
    built = README[: README.index("## Not there yet")]
    assert set(re.findall(r"`(?:[^`]* )?(--[a-z-]+)", built)) <= known | {"--help"}


def test_every_exit_code_is_named() -> None:
    line = next(line for line in README.splitlines() if line.startswith("Exit codes"))
    following = README[README.index(line) :].split("\n\n")[0]
    codes = {int(code) for code in re.findall(r"(?:^Exit codes: |· )(\d+)", following)}
    assert codes >= {
        failure.exit_code(kind) for kind in ("usage", "locked", "integrity", "folder-unreachable", "failed")
    }
    assert failure.INTERRUPTED in codes
    assert codes == set(failure.MEANINGS)
    assert all(f"{code} {meaning}" in " ".join(following.split()) for code, meaning in failure.MEANINGS.items())


def test_variables_and_settings_are_named() -> None:
    for name in (unlock.FILE_VARIABLE, unlock.COMMAND_VARIABLE, "OTPKEEP_HOME", "OTPKEEP_NEW_PASSPHRASE_FILE"):
        assert name in README
    for name, meaning in manual.ENVIRONMENT.items():
        assert f"| `{name}` | {meaning} |" in README
    for setting in SETTINGS.values():
        assert f"| `{setting.key}` | {shown(setting.default)} | {setting.about} |\n" in README


def _first_column(table: str) -> str:
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return "\n".join(rows)


def _choices(word: str) -> list[str]:
    """Return the alternatives that a word of the table names, as in on/off/now or [bash/zsh]."""
    return word.strip("[]").split("/")


def _choices_of(context: click.Context) -> list[str] | None:
    """Return the choices of a command's first argument, or the commands in it, or None."""
    if isinstance(context.command, click.Group):
        return context.command.list_commands(context)
    first = next(param for param in context.command.params if isinstance(param, click.Argument))
    return list(first.type.choices) if isinstance(first.type, click.Choice) else None
