"""The control socket where there are Unix sockets: 0600 at a path of any length, and the kernel says who is there."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from otpkeep_protocol.errors import Refused

assert sys.platform != "win32"  # CPython has no AF_UNIX there; type checkers skip the rest

PATH_LIMIT = 100
"""Bytes that every system takes in the path of a Unix socket (Linux 107, macOS 103)."""
BACKLOG = 128


class UnixDoor:
    """A listening socket at a path. Refused if something that is no socket is there; an old socket makes way."""

    def __init__(self, path: Path) -> None:
        if path.exists() and not path.is_socket():
            raise Refused(f"{path} is in the way: it is no socket", "Move it away.")
        self._path = path
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)
            with _short(path) as name:
                _bind_private(self.listening, name)
        except OSError as error:
            self.listening.close()
            raise Refused(
                f"the control socket {path} can't be made: {error.strerror}; without it no command reaches the daemon",
                "Free space there, or mount it for writing, and start otpkeep again.",
            ) from error
        self.listening.listen(BACKLOG)

    def meet(self, peer: socket.socket) -> None:
        """Refused if another user is at the other end; nothing else is needed to know a peer."""
        if not _is_trusted(peer):
            raise Refused("this daemon serves another user", "Run your own: otpkeep daemon run.")

    def close(self) -> None:
        """Take no more connections, and no longer be found."""
        self.listening.close()
        self._path.unlink(missing_ok=True)


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
    if not _is_trusted(peer):
        peer.close()
        raise Refused(
            f"another user's process listens at {path}; nothing was sent to it",
            "Remove the socket, or set OTPKEEP_HOME to a directory that only you can write.",
        )
    return peer


def _is_trusted(peer: socket.socket) -> bool:
    """Tell whether this user is at the other end, or root, who can read this process's memory anyway."""
    return _peer_uid(peer) in (os.getuid(), 0)


def _peer_uid(peer: socket.socket) -> int:
    """Return the user id of the process at the other end, as the kernel knows it."""
    if sys.platform == "darwin":
        credentials = peer.getsockopt(0, 1, 76)  # SOL_LOCAL, LOCAL_PEERCRED: struct xucred
        return int(struct.unpack_from("=II", credentials)[1])
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


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
