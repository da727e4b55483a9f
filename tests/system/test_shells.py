"""Completion in real shells: bash and zsh at a terminal, fish by its own question."""

from __future__ import annotations

from pathlib import Path

import pytest

from support_cli import Device
from support_shells import completed, program
from support_system import need

LINES = {
    "otpkeep unw": ["otpkeep", "unwatch"],
    "otpkeep devices li": ["otpkeep", "devices", "list"],
    "otpkeep list --del": ["otpkeep", "list", "--deleted"],
    "otpkeep list --json --del": ["otpkeep", "list", "--json", "--deleted"],
    "otpkeep list --deleted --js": ["otpkeep", "list", "--deleted", "--json"],
    "otpkeep export x.json --format aegis-": ["otpkeep", "export", "x.json", "--format", "aegis-encrypted"],
    "otpkeep import my-exp": ["otpkeep", "import", "my-export.json"],
    "otpkeep frobnicate --del": ["otpkeep", "frobnicate", "--del"],
}
ACCOUNT_LINES = {
    "otpkeep code my": ["otpkeep", "code", "My Bank & Co"],
    "otpkeep log --device al": ["otpkeep", "log", "--device", "alpha"],
    "otpkeep list --tag pri": ["otpkeep", "list", "--tag", "private"],
}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_tab_completes_commands_options_choices_files_and_accounts(tmp_path: Path, shell: str) -> None:
    need(shell)
    # given: the script where `--install` puts it, and an account
    device = Device(tmp_path / "alpha", tmp_path / "folder")
    device.init()
    env = device.env | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "TERM": "dumb"}
    env |= {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PATH": f"{program(tmp_path / 'bin')}:{env['PATH']}"}
    script = Path(device.run("completion", shell, "--install", env=env).ok().json["path"])
    assert script.is_relative_to(tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    (work / "my-export.json").touch()
    # then: what needs no account is completed
    assert completed(shell, script, [*LINES], env, work) == [_expected(shell, words) for words in LINES.values()]
    with device.daemon():
        device.run("add", "--issuer", "My Bank & Co", "--tag", "private", "--secret-file", "-", stdin=b"A" * 16).ok()
        # and: what a daemon knows that runs unlocked
        asked = [*ACCOUNT_LINES]
        assert completed(shell, script, asked, env, work) == [_expected(shell, w) for w in ACCOUNT_LINES.values()]
        # but: nothing of a locked one, and no question
        device.run("lock").ok()
        asked = ["otpkeep code my"]
        assert completed(shell, script, asked, env, work) == [_expected(shell, ["otpkeep", "code", "my"])]


def _expected(shell: str, words: list[str]) -> list[str]:
    """Return the words of the line; of fish, which answers with candidates alone, the last one if it was completed."""
    if shell != "fish":
        return words
    return [] if words[-1] in ("my", "--del") else [words[-1]]
