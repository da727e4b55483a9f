"""Where passphrases come from, and that none shows up elsewhere."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import pytest

from otpkeep_daemon.unlock import new_passphrase_source, passphrase_source, read_secret_file
from otpkeep_protocol.errors import Locked, Malformed, OtpkeepError, Refused

SECRET = "correct horse battery"


def nobody(purpose: str) -> str:
    raise AssertionError(f"asked for {purpose}")


def secret_file(path: Path, data: bytes = SECRET.encode()) -> str:
    path.write_bytes(data)
    path.chmod(0o600)
    return str(path)


def command(code: str) -> str:
    return f'{sys.executable} -c "{code}"'


@pytest.mark.parametrize(
    ("data", "secret"),
    [
        (b"abc", "abc"),
        (b"abc\n", "abc"),
        (b"abc\n\n", "abc\n"),
        (b" abc \n", " abc "),
        (b"abc\r\n", "abc\r"),
        ("gr\u00fcn\n".encode(), "gr\u00fcn"),
    ],
)
def test_exactly_one_newline_is_no_part_of_the_secret(tmp_path: Path, data: bytes, secret: str) -> None:
    assert read_secret_file(Path(secret_file(tmp_path / "f", data))) == secret


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_that_others_can_read_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = Path(secret_file(tmp_path / "f"))
    path.chmod(mode)
    with pytest.raises(Refused) as caught:
        read_secret_file(path)
    assert caught.value.hint == f"chmod 600 {path}"


def test_a_pipe_may_carry_the_secret() -> None:
    reading, writing = os.pipe()
    os.write(writing, SECRET.encode())
    os.close(writing)
    try:
        assert read_secret_file(Path(f"/dev/fd/{reading}")) == SECRET
    finally:
        os.close(reading)


@pytest.mark.parametrize("data", [b"", b"\n"])
def test_an_empty_file_holds_no_passphrase(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Locked, match="empty"):
        read_secret_file(Path(secret_file(tmp_path / "f", data)))


@pytest.mark.parametrize("data", [b"\xff\xfe" + SECRET.encode(), SECRET.encode() * 4000])
def test_what_is_no_passphrase_is_malformed_and_not_repeated(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        read_secret_file(Path(secret_file(tmp_path / "f", data)))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_missing_file_is_locked(tmp_path: Path) -> None:
    with pytest.raises(Locked, match="No such file"):
        read_secret_file(tmp_path / "absent")


def test_the_file_comes_before_the_command_and_the_prompt(tmp_path: Path) -> None:
    env = {
        "OTPKEEP_PASSPHRASE_FILE": secret_file(tmp_path / "f"),
        "OTPKEEP_PASSPHRASE_COMMAND": command("raise SystemExit(1)"),
    }
    assert passphrase_source(env, nobody) == SECRET


def test_the_command_comes_before_the_prompt_and_hears_nothing() -> None:
    env = {"OTPKEEP_PASSPHRASE_COMMAND": command("import sys; print('abc' + sys.stdin.read())")}
    assert passphrase_source(env, nobody) == "abc"


def test_the_command_runs_without_a_shell(tmp_path: Path) -> None:
    env = {"OTPKEEP_PASSPHRASE_COMMAND": f"/bin/echo a; touch {tmp_path}/made $HOME `id`"}
    assert passphrase_source(env, nobody) == f"a; touch {tmp_path}/made $HOME `id`"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        command(f"import sys; print('{SECRET}'); print('{SECRET}', file=sys.stderr); sys.exit(3)"),
        f"/absent/program '{SECRET}'",
        f"echo '{SECRET}",
        " ",
        "/bin/true",
    ],
    ids=["status", "absent", "quoting", "blank", "silent"],
)
def test_a_failing_command_is_locked_and_tells_nothing(
    words: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Locked) as caught:
        passphrase_source({"OTPKEEP_PASSPHRASE_COMMAND": words}, nobody)
    shown = caught.value.message + caught.value.hint + repr(caught.value.__cause__)
    assert SECRET not in shown + "".join(capfd.readouterr()) + caplog.text
    assert "OTPKEEP_PASSPHRASE_COMMAND" in caught.value.message


def test_a_person_is_asked_last_and_told_what_for() -> None:
    assert passphrase_source({}, lambda purpose: f"answer to {purpose}", "the vault") == "answer to the vault"


def test_with_nobody_to_ask_both_variables_are_named() -> None:
    with pytest.raises(Locked) as caught:
        passphrase_source({}, None)
    assert "OTPKEEP_PASSPHRASE_FILE" in caught.value.hint
    assert "OTPKEEP_PASSPHRASE_COMMAND" in caught.value.hint


def test_an_empty_variable_counts_as_absent() -> None:
    env = {"OTPKEEP_PASSPHRASE_FILE": "", "OTPKEEP_PASSPHRASE_COMMAND": ""}
    assert passphrase_source(env, lambda purpose: "asked") == "asked"


def test_a_new_passphrase_has_a_file_of_its_own(tmp_path: Path) -> None:
    env = {
        "OTPKEEP_PASSPHRASE_FILE": secret_file(tmp_path / "old", b"old"),
        "OTPKEEP_NEW_PASSPHRASE_FILE": secret_file(tmp_path / "new", b"new"),
    }
    assert new_passphrase_source(env, nobody) == "new"
    assert passphrase_source(env, nobody) == "old"


def test_without_it_a_new_passphrase_comes_from_where_any_does(tmp_path: Path) -> None:
    env = {"OTPKEEP_PASSPHRASE_FILE": secret_file(tmp_path / "f")}
    assert new_passphrase_source(env, nobody) == SECRET
    with pytest.raises(OtpkeepError):
        new_passphrase_source({}, None)
