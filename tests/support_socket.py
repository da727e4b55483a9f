"""Speaking to a daemon's control socket byte by byte, as no command would."""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgpack

from otpkeep_daemon import sockets
from support_cli import Device


def connected(device: Device, timeout_s: float = 10.0) -> socket.socket:
    """Return a connection to the device's daemon, which must be there."""
    peer = sockets.connect(device.home / "control.sock", timeout_s)
    assert peer is not None
    return peer


def framed(value: dict[str, object]) -> bytes:
    """Return a message with its length in front."""
    packed: bytes = msgpack.packb(value)
    return struct.pack(">I", len(packed)) + packed


def reply_of(peer: socket.socket, limit: int = 2**20) -> dict[str, Any]:
    """Return the next message, of at most `limit` bytes."""
    reply: dict[str, Any] = msgpack.unpackb(sockets.receive(peer, limit))
    return reply
