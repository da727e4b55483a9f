"""The README says what the program has: its commands, its exit codes, its environment and its settings."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from otpkeep_cli import failure
from otpkeep_cli.group import COMMANDS
from otpkeep_daemon import unlock
from otpkeep_daemon.config import Config

README = (Path(__file__).parents[2] / "README.md").read_text()
TABLE = README[README.index("| command |") : README.index("Every command that prints data")]


def test_every_command_is_in_the_table_and_no_other() -> None:
    named = {words.split()[0] for words in re.findall(r"`([^`]+)`", _first_column(TABLE))}
    assert named == set(COMMANDS)


def test_every_command_of_the_examples_exists() -> None:
    used = set(re.findall(r"^\$ otpkeep (\S+)", README, re.MULTILINE))
    assert used
    assert used <= set(COMMANDS)


def test_every_exit_code_is_named() -> None:
    line = next(line for line in README.splitlines() if line.startswith("Exit codes"))
    following = README[README.index(line) :].split("\n\n")[0]
    codes = {int(code) for code in re.findall(r"(?:^Exit codes: |· )(\d+)", following)}
    assert codes >= {
        failure.exit_code(kind) for kind in ("usage", "locked", "integrity", "folder-unreachable", "failed")
    }
    assert failure.INTERRUPTED in codes


def test_variables_and_settings_are_named() -> None:
    for name in (unlock.FILE_VARIABLE, unlock.COMMAND_VARIABLE, "OTPKEEP_HOME", "OTPKEEP_NEW_PASSPHRASE_FILE"):
        assert name in README
    for setting, value in dataclasses.asdict(Config()).items():
        assert (f"`{setting}` ({value})" if value != "" else f"`{setting}`") in README


def _first_column(table: str) -> str:
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return "\n".join(rows)
