"""The daemon as others meet it: starting, stopping, locked, attacked, killed, and without hints from the system."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otpkeep_daemon.version import VERSION
from support_cli import PROGRAM, Device, secret_file
from support_socket import connected
from support_system import (
    answers,
    carry,
    eventually,
    killed_at_the_end,
    listed,
    need,
    pair,
    status,
    uri,
)

QUICKLY_S = 5.0
PATIENCE_S = 5.0
HOLD = """
import sys, time
from pathlib import Path
from otpkeep_daemon.lock import try_lock
held = try_lock(Path(sys.argv[1]), "command")
print("held" if held else "taken", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device with a vault of its own."""
    made = Device(tmp_path / "alpha", tmp_path / "folder")
    made.init()
    return made


@contextlib.contextmanager
def held(device: Device, seconds: float) -> Iterator[int]:
    """Have another process hold the store for so long, saying nothing on any socket; yield its process id."""
    words = [sys.executable, "-c", HOLD, str(device.home / "store.lock"), str(seconds)]
    process = subprocess.Popen(words, env=device.env, stdout=subprocess.PIPE)
    with killed_at_the_end(process):
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid


# start and stop


def test_sigterm_ends_the_daemon_quickly_and_leaves_neither_socket_nor_lock(device: Device) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        # given: a daemon at work
        with device.daemon() as daemon:
            device.add(uri(number))
            # when: it is asked to stop
            daemon.send_signal(number)
            # then: it ends by itself, with success
            assert daemon.wait(QUICKLY_S) == 0
        # and: it leaves nothing that would be in the next one's way
        assert not (device.home / "control.sock").exists()
        with (device.home / "store.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert len(listed(device)) == 2


def test_sigterm_ends_the_daemon_quickly_though_somebody_is_connected_and_says_nothing(device: Device) -> None:
    with device.daemon() as daemon:
        with connected(device):
            assert answers(device)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(QUICKLY_S) == 0


def test_a_second_daemon_fails_and_names_the_process_of_the_first(device: Device) -> None:
    with device.daemon() as daemon:
        second = device.run("daemon", "run")
        assert second.code == 1
        assert second.error["kind"] == "busy"
        assert str(daemon.pid) in second.error["message"]
        # and: the first one was not disturbed
        assert status(device)["daemon"] == {
            "running": True,
            "pid": daemon.pid,
            "locked": False,
            "version": VERSION,
        }


def test_a_daemon_that_starts_while_a_command_works_waits_for_it(device: Device) -> None:
    with held(device, 1.0):
        with device.daemon():
            assert status(device)["daemon"]["running"]


def test_a_command_waits_five_seconds_for_a_silent_holder_of_the_store_and_names_it(device: Device) -> None:
    # given: a process that has the store and does not serve
    with held(device, 60.0) as pid:
        began = time.monotonic()
        done = device.run("add", "-", stdin=uri(1).encode())
        took = time.monotonic() - began
    # then: the command gave it time, gave up, said who it is, and changed nothing
    assert (done.code, done.error["kind"]) == (1, "busy")
    assert str(pid) in done.error["message"]
    assert PATIENCE_S <= took < 4 * PATIENCE_S
    assert listed(device) == []


def test_a_command_goes_on_as_soon_as_the_holder_of_the_store_is_done(device: Device) -> None:
    with held(device, 1.0):
        device.add(uri(1))
    assert len(listed(device)) == 1


def test_the_socket_of_a_killed_daemon_blocks_nobody(device: Device) -> None:
    # given: a daemon that was killed and left its socket
    with device.daemon() as daemon:
        device.add(uri(1))
        daemon.kill()
        daemon.wait()
    assert (device.home / "control.sock").is_socket()
    # then: commands work by themselves, and a new daemon takes the place
    device.add(uri(2))
    with device.daemon():
        assert len(listed(device)) == 2


# keys


def test_a_daemon_without_a_passphrase_starts_locked_and_serves_whoever_brings_one(device: Device) -> None:
    with device.daemon(OTPKEEP_PASSPHRASE_FILE=""):
        # given: it is locked, and says what it can
        assert (status(device)["daemon"]["locked"], status(device)["accounts"]) == (True, None)
        # then: who brings nothing is refused, with the exit code for it
        refused = device.run("list", env={"OTPKEEP_PASSPHRASE_FILE": None})
        assert (refused.code, refused.error["kind"]) == (3, "locked")
        # and: who brings the passphrase is served, and the daemon forgets it at once
        assert device.add(uri(1))["backed_up"] is True
        assert len(listed(device)) == 1
        assert status(device)["daemon"]["locked"] is True


def test_a_wrong_passphrase_for_a_locked_daemon_is_exit_3_and_changes_nothing(device: Device, tmp_path: Path) -> None:
    wrong = str(secret_file(tmp_path / "wrong", "not the passphrase at all"))
    with device.daemon(OTPKEEP_PASSPHRASE_FILE=""):
        done = device.run("add", "-", stdin=uri(1).encode(), env={"OTPKEEP_PASSPHRASE_FILE": wrong})
        assert (done.code, done.error["kind"]) == (3, "wrong-passphrase")
        assert listed(device) == []


def test_unlock_lasts_until_lock(device: Device) -> None:
    nothing = {"OTPKEEP_PASSPHRASE_FILE": None}
    with device.daemon(OTPKEEP_PASSPHRASE_FILE=""):
        # when: unlocked by a command that has the passphrase
        device.run("unlock").ok()
        # then: others need none
        device.run("add", "-", stdin=uri(1).encode(), env=nothing).ok()
        assert status(device)["daemon"]["locked"] is False
        # until: it is locked again, which needs none either
        device.run("lock", env=nothing).ok()
        assert device.run("list", env=nothing).code == 3


# without hints


def test_a_lost_hint_costs_at_most_the_timed_look(tmp_path: Path) -> None:
    need("strace")
    alpha, beta = pair(tmp_path)
    account = alpha.add(uri(1))["id"]
    (beta.home / "config.toml").write_text("look_every_s = 1\n")
    # given: a daemon on a system that gives it no hints at all
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=inotify_add_watch"]
    fault = ["-e", "inject=inotify_add_watch:error=ENOSPC"]
    words = [*strace, *fault, *PROGRAM, "daemon", "run"]
    traced = subprocess.Popen(words, env=beta.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with killed_at_the_end(traced):
        eventually(lambda: answers(beta) or traced.poll() is not None, "the daemon answers")
        if traced.poll() is not None and os.environ.get("CI") != "true":
            pytest.skip("this system does not let strace trace")
        pid = status(beta)["daemon"]["pid"]
        # when: a file arrives
        carry(alpha.folder, beta.folder)
        # then: the edit is there soon after
        eventually(lambda: [row["id"] for row in listed(beta)] == [account], "the edit arrives")
        os.kill(pid, signal.SIGTERM)
        _, said = traced.communicate(timeout=30)
        assert b"event=no-hints" in said


def test_a_folder_that_was_exchanged_under_the_daemon_is_looked_at_again(tmp_path: Path) -> None:
    alpha, beta = pair(tmp_path)
    (beta.home / "config.toml").write_text("look_every_s = 1\n")
    with beta.daemon():
        # when: a client moves the folder away and puts another copy of it there, and later a file arrives
        beta.folder.rename(tmp_path / "old")
        beta.folder.mkdir()
        carry(tmp_path / "old", beta.folder)
        account = alpha.add(uri(1))["id"]
        carry(alpha.folder, beta.folder)
        # then: it is taken in
        eventually(lambda: [row["id"] for row in listed(beta)] == [account], "the edit arrives")


def test_commands_leave_no_complaint_in_the_log_of_the_daemon(device: Device) -> None:
    with device.daemon():
        device.add(uri(1))
        listed(device)
    said = (device.home.parent / "alpha.log").read_text().splitlines()
    assert not [line for line in said if "went-away" in line or "WARNING" in line or "ERROR" in line]
