"""Unix sockets under paths of any length, and framed messages over them."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from otpkeep_protocol.control import LENGTH_SIZE, read_length
from otpkeep_protocol.errors import Malformed, Refused

PATH_LIMIT = 100
"""Bytes that every system takes in the path of a Unix socket (Linux 107, macOS 103)."""


def bind(listening: socket.socket, path: Path) -> None:
    """Have a socket listen at `path`, 0600, in the place of an old one. Refused if something else is there."""
    if path.exists() and not path.is_socket():
        raise Refused(f"{path} is in the way: it is no socket", "Move it away.")
    try:
        path.unlink(missing_ok=True)
        with _short(path) as name:
            _bind_private(listening, name)
    except OSError as error:
        raise Refused(
            f"the control socket {path} can't be made: {error.strerror}; without it no command reaches the daemon",
            "Free space there, or mount it for writing, and start otpkeep again.",
        ) from error
    listening.listen()


def _bind_private(listening: socket.socket, name: str) -> None:
    before = os.umask(0o177)
    try:
        listening.bind(name)
    finally:
        os.umask(before)


def connect(path: Path, timeout_s: float) -> socket.socket | None:
    """Return a socket connected to this user's daemon, None if nobody listens. Refused if another user does."""
    if not path.is_socket():
        return None
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(timeout_s)
    try:
        with _short(path) as name:
            peer.connect(name)
    except (ConnectionRefusedError, FileNotFoundError):
        peer.close()
        return None
    if not is_trusted(peer):
        peer.close()
        raise Refused(
            f"another user's process listens at {path}; nothing was sent to it",
            "Remove the socket, or set OTPKEEP_HOME to a directory that only you can write.",
        )
    return peer


def is_trusted(peer: socket.socket) -> bool:
    """Tell whether this user is at the other end, or root, who can read this process's memory anyway."""
    return _peer_uid(peer) in (os.getuid(), 0)


def _peer_uid(peer: socket.socket) -> int:
    """Return the user id of the process at the other end, as the kernel knows it."""
    if sys.platform == "darwin":
        credentials = peer.getsockopt(0, 1, 76)  # SOL_LOCAL, LOCAL_PEERCRED: struct xucred
        return int(struct.unpack_from("=II", credentials)[1])
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def receive(peer: socket.socket, limit: int) -> bytes:
    """Return the next message of at most `limit` bytes.

    EOFError if the other end says nothing and hangs up; Malformed if it breaks off in the middle, or sends more.
    """
    first = peer.recv(1)
    if not first:
        raise EOFError
    return _exactly(peer, read_length(first + _exactly(peer, LENGTH_SIZE - 1), limit))


def discard(peer: socket.socket, patience_s: float) -> None:
    """Throw away what the other end still sends, until it hangs up or `patience_s` is over."""
    until = time.monotonic() + patience_s
    while (left := until - time.monotonic()) > 0:
        peer.settimeout(left)
        if not peer.recv(65_536):
            return


def _exactly(peer: socket.socket, size: int) -> bytes:
    chunks = []
    while size > 0:
        chunk = peer.recv(min(size, 1_048_576))
        if not chunk:
            raise Malformed("the other end of the control socket broke off")
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a name for `path` that fits into a socket address; a deep home directory must not stop the daemon."""
    if len(os.fsencode(path)) <= PATH_LIMIT:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        short = f"/proc/self/fd/{directory}/{path.name}"
        if not Path(short).parent.exists():
            raise Refused(f"the path {path} is too long for a socket", "Set OTPKEEP_HOME to a shorter path.")
        yield short
    finally:
        os.close(directory)
