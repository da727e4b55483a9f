"""The control socket where there are no Unix sockets, which is Windows: TCP on 127.0.0.1, and a token in a file.

A named pipe would be the other way. Python offers one only as `multiprocessing.connection`, whose pipes every user may
open and no selector can wait for, and whose key proves one side by HMAC-MD5. A token that both sides must prove to have
(`proof`) keeps other users out as the file's protection does, and the daemon serves both kinds with the same code.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path

from otpkeep_daemon import proof
from otpkeep_daemon.proof import NONCE_SIZE, TOKEN_SIZE, Meeting

_HOST = "127.0.0.1"
MEET_S = 3.0
"""The daemon proves itself at once; who does not by then is somebody else at a port that was the daemon's."""
BACKLOG = 128
_MAC_SIZE = 32


class LoopbackDoor:
    """A listening socket at a free port, and a file at `path`, 0600, that names the port and holds the token."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = secrets.token_bytes(TOKEN_SIZE)
        self.listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform == "win32":
            self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        self.listening.bind((_HOST, 0))
        self.listening.listen(BACKLOG)
        self._publish(self.listening.getsockname()[1])

    def meet(self, peer: socket.socket) -> Meeting:
        """Return how a new connection is to prove that this user is at its other end."""
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Meeting(secrets.token_bytes(NONCE_SIZE), self._token)

    def close(self) -> None:
        """Take no more connections, and no longer be found."""
        self.listening.close()
        self._path.unlink(missing_ok=True)

    def _publish(self, port: int) -> None:
        """Write port and token to the file in one step, never readable for others in between."""
        partial = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{port} {self._token.hex()}\n")
        partial.replace(self._path)


def connect(path: Path, timeout_s: float) -> socket.socket | None:
    """Return a socket connected to this user's daemon, None if it does not listen where the file says."""
    found = _read(path)
    if found is None:
        return None
    port, token = found
    try:
        peer = socket.create_connection((_HOST, port), min(timeout_s, MEET_S))
    except OSError:
        return None
    if not _met(peer, token):
        peer.close()
        return None
    peer.settimeout(timeout_s)
    return peer


def _read(path: Path) -> tuple[int, bytes] | None:
    """Return (port, token), or None if there is no such file or it is something else."""
    try:
        port, token = path.read_text(encoding="ascii").split()
        return int(port), bytes.fromhex(token)
    except (OSError, ValueError):
        return None


def _met(peer: socket.socket, token: bytes) -> bool:
    """Prove that we have the token, and tell whether the other end proves it, too."""
    nonce = secrets.token_bytes(NONCE_SIZE)
    try:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greeting = _exactly(peer, NONCE_SIZE)
        peer.sendall(proof.prove(token, greeting, nonce))
        return proof.holds(token, greeting, nonce, _exactly(peer, _MAC_SIZE))
    except OSError:
        return False


def _exactly(peer: socket.socket, size: int) -> bytes:
    """Return so many bytes, or fewer if the other end hangs up, which proves nothing then."""
    data = b""
    while len(data) < size and (piece := peer.recv(size - len(data))):
        data += piece
    return data
