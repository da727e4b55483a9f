"""Wrong words: told in one line with a next step, before anything is touched."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support_cli import PROGRAM, TIMEOUT_S, environment, run_program

SECRET = "JBSWY3DPEHPK3PXP"
URI = f"otpauth://totp/Acme:me?secret={SECRET}"

WRONG_USAGE = [
    [],
    ["frob"],
    [URI],
    ["--frob"],
    ["init", "extra"],
    ["init", "--folder"],
    ["recover"],
    ["add", URI, SECRET],
    ["add", "--secret", SECRET],
    ["add"],
    ["add", "--note", "alone"],
    ["add", "--issuer", "Acme"],
    ["add", "--issuer", "Acme", "--digits", "3", "--secret-file", "-"],
    ["add", "--issuer", "Acme", "--digits", "six", "--secret-file", "-"],
    ["add", "--issuer", "Acme", "--period", "0", "--secret-file", "-"],
    ["add", "--issuer", "Acme", "--type", "sms", "--secret-file", "-"],
    ["add", "--issuer", "Acme", "--type", "motp", "--secret-file", "-"],
    ["add", "--issuer", "Acme", "--algorithm", "CRC32", "--secret-file", "-"],
    ["add", "--issuer", "Acme", "--counter", "1", "--secret-file", "-"],
    ["add", "--issuer", "Acme", "--type", "hotp", "--period", "30", "--secret-file", "-"],
    ["add", "--issuer", "Acme", "--type", "hotp", "--counter", "-1", "--secret-file", "-"],
    ["add", URI, "--digits", "6"],
    ["edit"],
    ["edit", "acme"],
    ["edit", "acme", "--algorithm", "CRC32"],
    ["rm"],
    ["rm", ""],
    ["show", " "],
    ["list", "acme"],
    ["code"],
    ["code", "acme", "--at", "tomorrow"],
    ["code", "acme", "--at", "2026-13-01T00:00:00Z"],
    ["log", "--since", "25:00"],
    ["log", "--until", ""],
    ["log", "--limit", "0"],
    ["event"],
    ["diff"],
    ["diff", "tomorrow"],
    ["diff", "now", "yesterday", "now"],
    ["undo", ""],
    ["restore", "acme"],
    ["restore", "--to", "yesterday"],
    ["restore", "acme", "--to", "9f86d0"],
    ["list", "--at", "9f86d0."],
    ["show", "acme", "--at", ""],
    ["import"],
    ["export"],
    ["export", "x", "--format", "csv"],
    ["export", "never-written", "--format", "otpauth"],
    ["verify", "--depth", "sea"],
    ["backup"],
    ["backup", "maybe"],
    ["backup", "on", "--here"],
    ["devices", "frob"],
    ["daemon"],
    ["daemon", "walk"],
]


@pytest.mark.parametrize("words", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_exits_2_with_a_next_step_and_no_secret(tmp_path: Path, words: list[str]) -> None:
    env = environment(OTPKEEP_HOME=str(tmp_path / "home"))
    told = run_program(["--json", *words], env, stdin=SECRET.encode())
    assert told.code == 2, (told.out, told.err)
    assert told.error["kind"] == "usage"
    assert told.error["hint"]
    shown = run_program(words, env, stdin=SECRET.encode())
    assert (shown.code, shown.out) == (2, "")
    assert not (tmp_path / "home").exists()
    for text in (told.out, told.err, shown.err):
        assert SECRET not in text
        assert "Traceback" not in text


@pytest.mark.parametrize(
    ("stdin", "why"),
    [
        (b"", "no URI"),
        (b"hello", "URI"),
        (b"otpauth://totp/a?secret=", "empty"),
        (b"otpauth://totp/a?secret=JBSWY3DPEHPK3PX1", "base32"),
        (b"otpauth://totp/a", "empty"),
        (b"otpauth://sms/a?secret=JBSWY3DPEHPK3PXP", "type"),
        (b"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&algorithm=CRC32", "algorithm"),
        (b"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&digits=11", "digits"),
        (b"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&period=0", "period"),
        (b"otpauth://hotp/a?secret=JBSWY3DPEHPK3PXP&counter=-1", "counter"),
        (b"otpauth-migration://offline?data=AAAA", "migration"),
        (b"otpauth://totp/%ff?secret=JBSWY3DPEHPK3PXP", "UTF-8"),
        (b"\xff\xfe\xff", "UTF-8"),
        (URI.encode() + b"\n" + URI.encode(), "more than one line"),
        (b"x" * 70_000, "65536"),
    ],
)
def test_a_uri_that_is_none_exits_1_and_says_why(tmp_path: Path, stdin: bytes, why: str) -> None:
    env = environment(OTPKEEP_HOME=str(tmp_path / "home"))
    told = run_program(["add", "-", "--json"], env, stdin)
    assert (told.code, told.error["kind"]) == (1, "malformed")
    assert why in told.error["message"]
    assert told.error["hint"]
    assert "JBSWY3DP" not in told.out + told.err


@pytest.mark.parametrize("secret", [b"", b"  \n", b"JBSW1890", b"\xff\xff", "ſecret".encode()])
def test_a_secret_that_is_none_exits_1_and_is_not_repeated(tmp_path: Path, secret: bytes) -> None:
    env = environment(OTPKEEP_HOME=str(tmp_path / "home"))
    told = run_program(["add", "--issuer", "Acme", "--secret-file", "-", "--json"], env, secret)
    assert (told.code, told.error["kind"]) == (1, "malformed")
    assert "JBSW" not in told.out + told.err


@pytest.mark.parametrize("words", [["import", "missing"], ["import", "."], ["add", "--name=a", "--secret-file=."]])
def test_a_file_that_cannot_be_read_exits_1(tmp_path: Path, words: list[str]) -> None:
    told = run_program([*words, "--json"], environment(OTPKEEP_HOME=str(tmp_path / "home")))
    assert (told.code, told.error["kind"]) == (1, "not-found")
    assert told.error["hint"]


@pytest.mark.parametrize("content", [b"", b"hello", b"{}", b'{"version": 9, "header": {}, "db": {}}', b"\0" * 100])
def test_importing_what_is_no_export_exits_1(tmp_path: Path, content: bytes) -> None:
    told = run_program(["import", "-", "--json"], environment(OTPKEEP_HOME=str(tmp_path / "home")), content)
    assert told.code == 1, told.out
    assert told.error["hint"]


def test_text_that_is_not_in_the_terminals_encoding_is_refused(tmp_path: Path) -> None:
    env = environment(OTPKEEP_HOME=str(tmp_path / "home"))
    command = [*map(os.fsencode, PROGRAM), b"edit", b"acme", b"--note", b"\xff", b"--json"]
    done = subprocess.run(command, env=env, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 2
    assert b"UTF-8" in done.stdout


def test_a_typed_uri_works_with_a_warning_that_quiet_leaves_out(tmp_path: Path) -> None:
    env = environment(OTPKEEP_HOME=str(tmp_path / "home"))
    assert "other users" in run_program(["add", URI], env).err
    assert "other users" not in run_program(["-q", "add", URI], env).err


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PROGRAM, "--help"], env=environment(), stdout=writer, stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("target", ["/dev/full"])
def test_a_full_disk_is_told(target: str) -> None:
    with Path(target).open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, "--version"], env=environment(), stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert done.returncode == 1
    assert b"can't be written" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_interrupt_exits_130_without_a_word_too_many(tmp_path: Path) -> None:
    pipe = tmp_path / "secret"
    os.mkfifo(pipe)
    words = ["add", "--name", "a", "--secret-file", str(pipe)]
    with subprocess.Popen(
        [*PROGRAM, *words], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        with pipe.open("wb"):  # opens once the program reads at the other end
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err
