"""`service` where no service can be, and its log from the daemon's own file."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from support_cli import PROGRAM, Device, environment, run_program
from support_system import killed_at_the_end, need, uri


def test_a_session_without_a_manager_is_told_so_before_anything_is_written(device: Device, tmp_path: Path) -> None:
    need("systemctl")
    env = {"HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path), "DBUS_SESSION_BUS_ADDRESS": None}
    (tmp_path / "home").mkdir()
    done = device.run("service", "install", env=env)
    assert done.error["kind"] == "refused"
    assert "otpkeep daemon run" in done.error["hint"]
    assert list((tmp_path / "home").rglob("otpkeep.service")) == []


def test_a_machine_without_systemd_is_told_what_to_run_instead(device: Device, tmp_path: Path) -> None:
    for verb in ("install", "uninstall", "start", "stop", "restart", "status"):
        done = device.run("service", verb, env={"PATH": str(tmp_path)})
        assert (done.code, done.error["kind"]) == (1, "refused")
        assert "otpkeep daemon run" in done.error["hint"]


def test_before_a_device_is_set_up_nothing_is_installed(tmp_path: Path) -> None:
    need("systemctl")
    done = run_program(["service", "install", "--json"], environment(OTPKEEP_HOME=str(tmp_path / "none")))
    assert "otpkeep init" in done.error["hint"]
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("words", [["logs", "--lines", "0"], ["logs", "--since", "soon"], ["frob"], ["install", "x"]])
def test_wrong_words_are_usage_errors(device: Device, words: list[str]) -> None:
    done = device.run("service", *words, env={"PATH": "/nonexistent"})
    assert (done.code, done.error["kind"]) == (2, "usage")


def test_where_there_is_no_journal_the_log_is_the_daemons_own_file(device: Device) -> None:
    elsewhere = {"PATH": "/nonexistent"}
    assert device.run("service", "logs", env=elsewhere).ok().json == []
    assert "none yet" in device.run("service", "logs", json=False, env=elsewhere).ok().err
    with device.daemon():
        device.add(uri(1, issuer="Geheimbank"))
    log = device.run("service", "logs", env=elsewhere).ok().json
    assert [row["message"] for row in log][-2:] == ["event=stopping", "event=stopped"]
    assert {row["level"] for row in log} == {"info"}
    assert "Geheimbank" not in json.dumps(log)
    assert device.run("service", "logs", "--lines", "1", env=elsewhere).ok().json == log[-1:]
    text = device.run("service", "logs", "--lines", "1", json=False, env=elsewhere).ok().out
    assert text == f"{log[-1]['time']} info    event=stopped\n"


def test_a_followed_log_shows_what_comes_until_it_is_interrupted(device: Device) -> None:
    with device.daemon():
        words = [*PROGRAM, "service", "logs", "-f", "--json"]
        follower = subprocess.Popen(
            words, env=device.env | {"PATH": "/nonexistent"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        with killed_at_the_end(follower):
            assert follower.stdout is not None
            while not json.loads(follower.stdout.readline())["message"].startswith("event=ready"):
                pass
            # when: something happens
            (device.home / "config.toml").write_text("look_every_s = 0\n")
            daemon = device.run("status").ok().json["daemon"]["pid"]
            subprocess.run(["/bin/kill", "-HUP", str(daemon)], check=True)
            # then: it is shown, and Ctrl-C is how that ends
            while "event=settings-unchanged" not in json.loads(follower.stdout.readline())["message"]:
                pass
            follower.send_signal(signal.SIGINT)
            assert follower.wait(30) == 0
