"""Settings under a running daemon: an edit, a set, a signal, a mistake, and a start with one."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from support_cli import PROGRAM, Device
from support_system import answers, eventually, killed_at_the_end, need, status, uri

WITHOUT_HINTS = ["-e", "trace=inotify_add_watch", "-e", "inject=inotify_add_watch:error=ENOSPC"]


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device with a vault of its own."""
    made = Device(tmp_path / "alpha", tmp_path / "folder")
    made.init()
    return made


def period_s(device: Device, job: str) -> float:
    """Return the seconds from a job's last run to its next, as `status` shows them."""
    row = next(row for row in status(device)["jobs"] if row["name"] == job)
    last, due = (datetime.fromisoformat(row[key]) for key in ("last", "next"))
    return (due - last).total_seconds()


def config_problems(device: Device) -> list[dict[str, Any]]:
    return [problem for problem in status(device)["problems"] if problem["kind"] == "config"]


def test_a_running_daemon_goes_by_an_edit_and_keeps_what_it_had_through_a_broken_one(device: Device) -> None:
    settings = device.home / "config.toml"
    settings.write_text("look_every_s = 400\n")
    with device.daemon():
        assert round(period_s(device, "look")) == 400
        # when: a person edits the file
        settings.write_text("look_every_s = 500\n")
        # then: the daemon goes by it, without a restart
        eventually(lambda: round(period_s(device, "look")) == 500, "the edit counts")
        # when: an edit is broken
        settings.write_text("look_every_s = 600\nlook_evry_s = 1\n")
        (problem,) = eventually(lambda: config_problems(device), "the mistake is a problem")
        assert "line 2" in problem["message"]
        assert "Did you mean look_every_s?" in problem["hint"]
        # then: the old settings count
        assert round(period_s(device, "look")) == 500
        # when: it is repaired
        settings.write_text("look_every_s = 600\n")
        # then: the problem is gone, and the edit counts
        eventually(lambda: not config_problems(device), "the problem is gone")
        assert round(period_s(device, "look")) == 600
        # when: it is set through the command
        done = device.run("config", "look_every_s", "700").ok().json
        # then: it counts at once
        assert done["applied"] is True
        assert round(period_s(device, "look")) == 700
        # and: without the file, the defaults count
        settings.unlink()
        eventually(lambda: round(period_s(device, "look")) == 60, "the default counts")


def test_a_signal_has_the_file_read_that_a_link_leads_to(device: Device, tmp_path: Path) -> None:
    settings, real = device.home / "config.toml", tmp_path / "dotfiles.toml"
    real.write_text("compact_every_s = 400\n")
    settings.unlink()
    settings.symlink_to(real)
    with device.daemon() as daemon:
        assert round(period_s(device, "compact")) == 400
        # when: what the link leads to is another file
        other = tmp_path / "other.toml"
        other.write_text("compact_every_s = 500\n")
        other.replace(real)
        daemon.send_signal(signal.SIGHUP)
        # then: that one counts
        eventually(lambda: round(period_s(device, "compact")) == 500, "the signal counts")


def test_without_hints_the_timed_look_finds_an_edit(device: Device) -> None:
    need("strace")
    settings = device.home / "config.toml"
    settings.write_text("look_every_s = 1\n")
    # given: a daemon on a system that gives it no hints at all
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", *WITHOUT_HINTS]
    words = [*strace, *PROGRAM, "daemon", "run"]
    traced = subprocess.Popen(words, env=device.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with killed_at_the_end(traced):
        eventually(lambda: answers(device) or traced.poll() is not None, "the daemon answers")
        if traced.poll() is not None and os.environ.get("CI") != "true":
            pytest.skip("this system does not let strace trace")
        pid = status(device)["daemon"]["pid"]
        settings.write_text("look_every_s = 1\ncompact_every_s = 500\n")
        eventually(lambda: round(period_s(device, "compact")) == 500, "the edit counts")
        os.kill(pid, signal.SIGTERM)
        traced.communicate(timeout=30)


def test_a_daemon_starts_with_a_broken_file_backs_up_and_deletes_nothing(device: Device) -> None:
    settings = device.home / "config.toml"
    # given: a file of which one setting can be understood, and the quarantine can't
    settings.write_text("look_every_s = 400\nquarantine_s = 0\n")
    with device.daemon():
        # then: it runs, goes by that setting, and says what is wrong
        assert round(period_s(device, "look")) == 400
        (problem,) = config_problems(device)
        assert "line 2: quarantine_s must be" in problem["message"]
        # and: it backs up
        assert device.add(uri(1))["backed_up"] is True
        # but: what deletes by the settings waits, and says so
        refused = device.run("compact")
        assert (refused.code, refused.error["kind"]) == (1, "malformed")
        # when: it is repaired with the command that the hint names
        assert problem["hint"] == "For example: otpkeep config quarantine_s 1209600"
        device.run("config", "quarantine_s", "1209600").ok()
        # then: all is well
        assert status(device)["problems"] == []
        device.run("compact").ok()


def test_a_repair_around_the_file_is_noticed_by_the_timed_look(device: Device) -> None:
    settings = device.home / "config.toml"
    settings.write_text("look_every_s = 1\n")
    with device.daemon():
        # given: a file that others could change, in a directory that lets them in
        device.home.chmod(0o711)
        settings.chmod(0o666)
        (problem,) = eventually(lambda: config_problems(device), "the open file is a problem")
        assert problem["hint"] == f"chmod 600 {settings}"
        # when: the directory is closed, which leaves the file as it is
        device.home.chmod(0o700)
        # then: the problem is gone
        eventually(lambda: not config_problems(device), "the problem is gone")


def test_without_a_daemon_a_mistake_is_a_problem_in_status_too(device: Device) -> None:
    (device.home / "config.toml").write_text("nonsense = 1\n")
    assert "line 1" in config_problems(device)[0]["message"]
    assert device.add(uri(1))["backed_up"] is True
    assert device.run("compact").code == 1
