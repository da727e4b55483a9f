"""The control socket: for one user, and unimpressed by whatever comes in."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from otpkeep_daemon import sockets
from support_cli import Device
from support_socket import connected, framed, reply_of
from support_system import (
    listed,
    need_root,
    status,
    uri,
)

NOBODY = 65534
QUICKLY_S = 5.0


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
    with connected(served) as peer:
        peer.sendall(frame)
        peer.shutdown(socket.SHUT_WR)
        assert reply_of(peer)["error"]["kind"] == "malformed"
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
    with connected(served) as peer:
        peer.sendall(framed(request_map))
        reply = reply_of(peer)
    assert "result" in reply or {"kind", "message", "hint"} <= reply["error"].keys()
    assert served.add(uri(1))["backed_up"] is True


def test_another_version_of_the_control_protocol_is_named(served: Device) -> None:
    with connected(served) as peer:
        peer.sendall(framed({"v": 99, "op": "ping", "args": {}, "keyring": None}))
        reply = reply_of(peer)
    assert reply["error"]["kind"] == "unknown-version"
    assert "version" in reply["error"]["message"]


def test_half_frames_that_never_end_keep_nobody_waiting(served: Device) -> None:
    with contextlib.ExitStack() as open_ones:
        # given: ten connections that begin a request and never finish it
        for _ in range(10):
            open_ones.enter_context(connected(served)).sendall(b"\x00\x00")
        # then: a request is served meanwhile
        with connected(served) as peer:
            began = time.monotonic()
            peer.sendall(framed({"v": 1, "op": "ping", "args": {}, "keyring": None}))
            assert reply_of(peer)["result"]["locked"] is False
            assert time.monotonic() - began < QUICKLY_S


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
                peer.sendall(framed({"v": 1, "op": "ping", "args": {}, "keyring": None}))
                os.write(theirs, sockets.receive(peer, 2**20))
        except OSError as error:
            os.write(theirs, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with os.fdopen(ours, "rb") as pipe:
        return pipe.read()
