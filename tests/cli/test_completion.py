"""`completion` and what a shell gets at a Tab; real shells are in system/test_shells.py."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support_cli import Device, environment, run_program
from support_system import eventually


def _completed(device_env: dict[str, str], line: str) -> list[list[str]]:
    """Return [type, value, help] of what the program suggests for a line, as zsh asks it."""
    last = len(line.replace("\\ ", "_").split(" ")) - 1
    words = {"COMP_WORDS": line, "COMP_CWORD": str(last), "_OTPKEEP_COMPLETE": "zsh_complete"}
    said = run_program([], device_env | words)
    assert said.err == ""
    lines = said.out.splitlines()
    return [lines[at : at + 3] for at in range(0, len(lines), 3) if lines[at]]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed_or_installed_where_the_shell_looks(tmp_path: Path, shell: str) -> None:
    env = environment(HOME=str(tmp_path), XDG_DATA_HOME="", XDG_CONFIG_HOME="", SHELL=f"/usr/bin/{shell}")
    printed = run_program(["completion"], env).ok().out
    assert "_OTPKEEP_COMPLETE" in printed
    path = Path(run_program(["completion", shell, "--install", "--json"], env).ok().json["path"])
    assert path.is_relative_to(tmp_path)
    assert path.read_text().strip() == printed.strip()
    # and: once more is harmless
    assert str(path) in run_program(["completion", shell, "--install"], env).ok().out


def test_an_unknown_shell_is_asked_for() -> None:
    said = run_program(["completion", "--json"], environment(SHELL="/bin/tcsh"))
    assert said.code == 2
    assert "bash, zsh, fish" in said.error["hint"]


def test_commands_come_with_their_whole_sentence() -> None:
    (found,) = _completed(environment(), "otpkeep recov")
    assert found == ["plain", "recover", "Rebuild all accounts from a folder, on a new device."]


def test_nothing_is_suggested_where_no_device_is_set_up_or_no_daemon_runs(device: Device, tmp_path: Path) -> None:
    device.add("otpauth://totp/Bank:me?secret=ABCDEFGHABCDEFGH")
    assert _completed(device.env, "otpkeep code ") == []
    assert _completed(environment(OTPKEEP_HOME=str(tmp_path / "none")), "otpkeep code ") == []
    assert not (tmp_path / "none").exists()


def test_accounts_are_suggested_by_what_is_theirs_alone_and_never_by_a_locked_daemon(device: Device) -> None:
    with device.daemon():
        for words in ("Bank:me", "GitHub:alice", "GitHub:bob", "Evil\x1b[2J:you", "A,B:c"):
            issuer, _, name = words.partition(":")
            device.run("add", "--issuer", issuer, "--name", name, "--secret-file", "-", stdin=b"A" * 16).ok()
        found = _completed(device.env, "otpkeep code ")
        values = [value for _, value, _ in found]
        # what a terminal or a script would trip over is named otherwise
        assert set(values) == {"Bank", "GitHub alice", "GitHub bob", "you", "c"}
        assert not [text for row in found for text in row if "\x1b" in text]
        assert [value for _, value, _ in _completed(device.env, "otpkeep code github\\ b")] == ["GitHub bob"]
        (event, *_) = _completed(device.env, "otpkeep undo ")
        assert device.run("event", event[1].replace("\\:", ":")).ok().json["kind"]
        # when: it is locked
        device.run("lock").ok()
        # then: it is as if there was none, soon
        began = time.monotonic()
        assert _completed(device.env, "otpkeep code ") == []
        assert time.monotonic() - began < 10
        eventually(lambda: device.run("status").ok().json["daemon"]["locked"], "nothing unlocked it")
