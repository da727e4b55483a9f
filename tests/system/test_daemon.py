"""The daemon as others meet it: starting, stopping, locked, attacked, killed, and without hints from the system."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from otpkeep_daemon import sockets
from support_cli import PROGRAM, Device, secret_file
from support_system import (
    answers,
    carry,
    eventually,
    killed_at_the_end,
    launch,
    listed,
    need,
    need_root,
    pair,
    status,
    uri,
)

NOBODY = 65534
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


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """A device with a daemon that all of these requests must leave as it was."""
    made = Device(tmp_path_factory.mktemp("served") / "alpha", tmp_path_factory.mktemp("folder"))
    made.init()
    with made.daemon() as daemon:
        yield made
        assert daemon.poll() is None
        assert all(row["ready"] for row in listed(made))


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
        with _connected(device):
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
        assert status(device)["daemon"] == {"running": True, "pid": daemon.pid, "locked": False}


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


# the socket


def test_the_socket_is_for_this_user_alone(device: Device) -> None:
    with device.daemon():
        assert stat.S_IMODE((device.home / "control.sock").stat().st_mode) == 0o600
        assert stat.S_IMODE(device.home.stat().st_mode) == 0o700


def test_another_user_is_refused_even_where_the_modes_let_him_in() -> None:
    need_root("become another user")
    with tempfile.TemporaryDirectory() as made:
        # given: a daemon in a place that others can reach
        root = Path(made)
        root.chmod(0o755)
        device = Device(root / "alpha", root / "folder")
        device.init()
        with device.daemon():
            assert _as_nobody(device.home / "control.sock") == b"PermissionError"
            # when: somebody was careless with the modes
            device.home.chmod(0o711)
            (device.home / "control.sock").chmod(0o666)
            # then: the daemon itself refuses
            reply = _as_nobody(device.home / "control.sock")
            assert msgpack.unpackb(reply)["error"]["kind"] == "refused"
            assert status(device)["daemon"]["running"]


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\xff\xff\xff",
        struct.pack(">I", 2**26 + 1),
        struct.pack(">I", 0),
        struct.pack(">I", 5) + b"\xc1\xc1\xc1\xc1\xc1",
        struct.pack(">I", 1) + b"\x2a",
        struct.pack(">I", 8) + b"\x91" * 8,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["longest", "too long", "empty", "not msgpack", "a number", "broken off inside", "http"],
)
def test_garbage_on_the_socket_is_answered_and_hurts_nobody(served: Device, frame: bytes) -> None:
    with _connected(served) as peer:
        peer.sendall(frame)
        peer.shutdown(socket.SHUT_WR)
        assert _reply(peer)["error"]["kind"] == "malformed"
    assert status(served)["daemon"]["running"]


@pytest.mark.parametrize(
    "request_map",
    [
        {"v": 1, "op": "list", "args": {}, "keyring": None},
        {"v": 1, "op": "list", "args": {"tag": 7, "deleted": "x", "secrets": []}, "keyring": None},
        {"v": 1, "op": "add", "args": {"fields": {"otp": {}}, "placeholder": False}, "keyring": None},
        {"v": 1, "op": "add", "args": {"fields": [], "placeholder": False}, "keyring": None},
        {"v": 1, "op": "edit", "args": {"account": None}, "keyring": None},
        {"v": 1, "op": "import", "args": {"entries": [{}]}, "keyring": None},
        {"v": 1, "op": "_no_such", "args": {}, "keyring": None},
        {"v": 1, "op": "list", "args": {}, "keyring": b"garbage"},
        {"v": 1, "op": 7, "args": {}, "keyring": None},
        {"v": 1, "op": ["list"], "args": {}, "keyring": None},
        {"v": 1},
    ],
)
def test_requests_that_make_no_sense_are_answered_and_hurt_nobody(
    served: Device, request_map: dict[str, object]
) -> None:
    with _connected(served) as peer:
        peer.sendall(_framed(request_map))
        reply = _reply(peer)
    assert "result" in reply or {"kind", "message", "hint"} <= reply["error"].keys()
    assert served.add(uri(1))["backed_up"] is True


def test_another_version_of_the_control_protocol_is_named(served: Device) -> None:
    with _connected(served) as peer:
        peer.sendall(_framed({"v": 99, "op": "ping", "args": {}, "keyring": None}))
        reply = _reply(peer)
    assert reply["error"]["kind"] == "unknown-version"
    assert "version" in reply["error"]["message"]


def test_half_frames_that_never_end_keep_nobody_waiting(served: Device) -> None:
    with contextlib.ExitStack() as open_ones:
        # given: ten connections that begin a request and never finish it
        for _ in range(10):
            open_ones.enter_context(_connected(served)).sendall(b"\x00\x00")
        # then: a request is served meanwhile
        with _connected(served) as peer:
            began = time.monotonic()
            peer.sendall(_framed({"v": 1, "op": "ping", "args": {}, "keyring": None}))
            assert _reply(peer)["result"]["locked"] is False
            assert time.monotonic() - began < QUICKLY_S


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
        assert b"No hints" in said


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
    assert not [line for line in said if "went away" in line or "WARNING" in line or "ERROR" in line]


def _connected(device: Device) -> socket.socket:
    peer = sockets.connect(device.home / "control.sock", 10.0)
    assert peer is not None
    return peer


def _framed(value: dict[str, object]) -> bytes:
    packed: bytes = msgpack.packb(value)
    return struct.pack(">I", len(packed)) + packed


def _reply(peer: socket.socket) -> dict[str, Any]:
    reply: dict[str, Any] = msgpack.unpackb(sockets.receive(peer, 2**20))
    return reply


def _as_nobody(path: Path) -> bytes:
    """Return the reply to a ping by another user's process, or the name of the error that it got."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(10)
                peer.connect(str(path))
                peer.sendall(_framed({"v": 1, "op": "ping", "args": {}, "keyring": None}))
                os.write(theirs, sockets.receive(peer, 2**20))
        except OSError as error:
            os.write(theirs, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with os.fdopen(ours, "rb") as pipe:
        return pipe.read()
