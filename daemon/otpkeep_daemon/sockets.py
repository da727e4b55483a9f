"""The control socket as this platform has it, and framed messages over it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from otpkeep_protocol.control import LENGTH_SIZE, read_length
from otpkeep_protocol.errors import Malformed

if TYPE_CHECKING:
    from otpkeep_daemon.proof import Meeting  # commands over a Unix socket need no hmac


class Door(Protocol):
    """Where commands come in."""

    @property
    def listening(self) -> socket.socket:
        """The socket to accept from."""

    def meet(self, peer: socket.socket) -> Meeting | None:
        """Return how this new connection must prove who it is, None if it is known already. Refused for a stranger."""

    def close(self) -> None:
        """Take no more connections, and no longer be found."""


def open_door(path: Path) -> Door:
    """Listen at `path`, for this user alone, in the place of a daemon that is gone. Refused if it is taken."""
    if sys.platform != "win32" and hasattr(socket, "AF_UNIX"):
        from otpkeep_daemon.unix_socket import UnixDoor

        return UnixDoor(path)
    from otpkeep_daemon.loopback import LoopbackDoor

    return LoopbackDoor(path)


def connect(path: Path, timeout_s: float) -> socket.socket | None:
    """Return a socket connected to this user's daemon, None if nobody listens. Refused if another user does."""
    if sys.platform != "win32" and hasattr(socket, "AF_UNIX"):
        from otpkeep_daemon import unix_socket

        return unix_socket.connect(path, timeout_s)
    from otpkeep_daemon import loopback

    return loopback.connect(path, timeout_s)


def receive(peer: socket.socket, limit: int) -> bytes:
    """Return the next message of at most `limit` bytes.

    EOFError if the other end says nothing and hangs up; Malformed if it breaks off in the middle, or sends more.
    """
    first = peer.recv(1)
    if not first:
        raise EOFError
    return _exactly(peer, read_length(first + _exactly(peer, LENGTH_SIZE - 1), limit))


def _exactly(peer: socket.socket, size: int) -> bytes:
    chunks = []
    while size > 0:
        chunk = peer.recv(min(size, 1_048_576))
        if not chunk:
            raise Malformed("the other end of the control socket broke off")
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
