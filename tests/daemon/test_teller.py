"""People are told by the command that they named and by their desktop, and nothing waits for either."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otpkeep_daemon import desktop
from otpkeep_daemon.alarms import Notice, Problem
from otpkeep_daemon.external import External
from otpkeep_daemon.teller import WAITING, Teller, facts
from support_system import eventually, killed_at_the_end, need

NOTICE = Notice("disk", True, 1_700_000_000.0, (Problem("disk", "store", "almost full", "Free some."),))
FACTS = facts(NOTICE, 1_700_000_060.0, "dd" * 16, "aa" * 16)
HOOK = """
import os, signal, sys
from pathlib import Path
given = sys.stdin.read()
blocked = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))
Path(sys.argv[1]).write_text(repr((given, dict(os.environ), blocked)))
"""


@contextmanager
def telling(command: str, limit_s: float = 30.0) -> Iterator[Teller]:
    teller = Teller(lambda: command, limit_s)
    teller.start()
    try:
        yield teller
    finally:
        teller.stop()


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return path


@pytest.fixture(autouse=True)
def no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach the desktop of whoever runs it."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")


def test_the_command_gets_one_document_and_no_way_to_a_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a daemon that blocks signals, and knows where the passphrase is
    monkeypatch.setenv("OTPKEEP_PASSPHRASE_FILE", "/somewhere")
    monkeypatch.setenv("OTPKEEP_NEW_PASSPHRASE_FILE", "/somewhere")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("OTPKEEP_HOME", "/home")
    (tmp_path / "the hook.py").write_text(HOOK)
    out = tmp_path / "out"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        with telling(f"{sys.executable} '{tmp_path / 'the hook.py'}' {out}") as teller:
            teller.tell(NOTICE, FACTS)
            eventually(lambda: out.exists() and out.read_text().endswith(")"), "the command has run")
            assert teller.problems() == []
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    given, environ, blocked = eval(out.read_text())  # noqa: S307 - our own repr
    assert json.loads(given) == {
        "kind": "disk",
        "state": "raised",
        "message": "almost full",
        "hint": "Free some.",
        "device": "dd" * 16,
        "vault": "aa" * 16,
        "time": "2023-11-14T22:14:20.000Z",
        "since": "2023-11-14T22:13:20.000Z",
        "count": 1,
        "subjects": ["store"],
    }
    assert [name for name in environ if "PASSPHRASE" in name or name == "CREDENTIALS_DIRECTORY"] == []
    assert environ["OTPKEEP_HOME"] == "/home"
    assert blocked == []


def test_a_command_that_takes_too_long_is_ended_with_all_it_started_and_the_next_one_runs(tmp_path: Path) -> None:
    # given a command whose own child holds on
    hook = script(tmp_path / "hook", f'echo "$$" >> {tmp_path}/pids; sleep 60 & echo "$!" >> {tmp_path}/pids; wait')
    with telling(str(hook), limit_s=0.5) as teller:
        teller.tell(NOTICE, FACTS)
        (problem,) = eventually(teller.problems, "the command was ended")
        assert "took longer" in problem["message"]
        teller.tell(NOTICE, FACTS)
        eventually(lambda: len((tmp_path / "pids").read_text().split()) == 4, "the next one runs")
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    eventually(lambda: not any(map(_lives, pids)), "none of them is left")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("command", "reason"),
    [("/no/such/program", "no program"), ("false", "ended with 1"), ("'", "can't be read"), (" ", "only spaces")],
)
def test_a_command_that_fails_is_a_problem_until_one_succeeds_and_is_not_tried_again(
    command: str, reason: str, tmp_path: Path
) -> None:
    setting = [command]
    teller = Teller(lambda: setting[0])
    teller.start()
    teller.tell(NOTICE, FACTS)
    (problem,) = eventually(teller.problems, "it has failed")
    assert problem["kind"] == "on-problem"
    assert reason in problem["message"]

    setting[0] = str(script(tmp_path / "hook", f"cat >> {tmp_path}/told"))
    teller.tell(NOTICE, FACTS)
    eventually(lambda: not teller.problems(), "one has succeeded")
    teller.stop()

    assert len((tmp_path / "told").read_text().splitlines()) == 1


def test_that_the_command_fails_is_not_told_to_the_command(tmp_path: Path) -> None:
    with telling(str(script(tmp_path / "hook", f"cat >> {tmp_path}/told"))) as teller:
        failed = Notice("on-problem", True, 0.0, (Problem("on-problem", "", "failed"),))
        teller.tell(failed, facts(failed, 0.0, "", ""))
        teller.tell(NOTICE, FACTS)
        eventually(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text(), "the other one is told")
    assert [json.loads(line)["kind"] for line in (tmp_path / "told").read_text().splitlines()] == ["disk"]


def test_telling_never_waits_and_stopping_ends_what_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hook = script(tmp_path / "hook", f"touch {tmp_path}/begun; sleep 60")
    with telling(str(hook)) as teller:
        begin = time.monotonic()
        for _ in range(WAITING + 5):
            teller.tell(NOTICE, FACTS)
        assert time.monotonic() - begin < 5
        eventually((tmp_path / "begun").exists, "the command runs")
        begin = time.monotonic()
    assert time.monotonic() - begin < 5
    assert "event=alarm-only-here" in caplog.text


def test_an_alarm_that_can_t_be_told_silences_none_that_follow(tmp_path: Path) -> None:
    command = script(tmp_path / "hook", f"cat > {tmp_path}/told")
    with telling(str(command)) as teller:
        # when: one holds what no JSON knows
        teller.tell(NOTICE, {"kind": object()})
        teller.tell(NOTICE, FACTS)
        # then: the next one comes
        eventually((tmp_path / "told").exists, "the next one is told")


@contextmanager
def session_bus() -> Iterator[str]:
    """A real message bus; yields its address."""
    need("dbus-daemon")
    words = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address"]
    with killed_at_the_end(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)) as bus:
        assert bus.stdout is not None
        yield bus.stdout.readline().decode().strip()


def need_notifier() -> None:
    if not desktop.is_installed():
        if os.environ.get("CI") == "true":
            pytest.fail("not installed, and CI must have it: desktop-notifier")
        pytest.skip("not installed: desktop-notifier")


def test_the_desktop_shows_an_alarm_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_notifier()
    server = Path(__file__).parents[1] / "support_notifications.py"
    shown = tmp_path / "shown"
    with session_bus() as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        with killed_at_the_end(
            subprocess.Popen([sys.executable, str(server), str(shown)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        ):
            eventually(shown.exists, "the server answers")
            problem = Problem("damaged", "x", "<b>x</b>.otpk & more do not open", "Run `otpkeep verify`.")
            with telling("") as teller:
                teller.tell(Notice("damaged", True, 0.0, (problem,)), {})
                (line,) = eventually(lambda: shown.read_text().splitlines(), "a notification is shown")
    assert json.loads(line) == {
        "app": "otpkeep",
        "summary": "otpkeep",
        "body": "&lt;b&gt;x&lt;/b&gt;.otpk &amp; more do not open\nRun `otpkeep verify`.",
        "urgency": 2,
    }


def test_without_a_desktop_a_notification_counts_for_nothing_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need_notifier()
    with session_bus() as address:
        for place in (address, "unix:path=/nonexistent"):
            monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", place)
            External().run(desktop.WORDS, desktop.text_of("almost full", "", grave=False), 30.0)
