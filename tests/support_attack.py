"""Clients that mean no good, in a process of their own: this file, run as a script.

It says `ready` once all of them are connected, begins anew whatever the daemon ends, and at the end of its input says
how many connections it made and how many of them were refused. Kinds: silent, half, drip, garbage, deaf.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROUND_S = 0.02
NOBODY = 65534


class Client:
    """One connection of a kind, made anew when the daemon ends it."""

    def __init__(self, path: str, kind: str, request: bytes) -> None:
        self.path, self.kind, self.request = path, kind, request
        self.made = self.refused = 0
        self.peer: socket.socket | None = None

    def act(self) -> None:
        """Do what this kind does in one round."""
        try:
            if self.peer is None:
                self.peer = self._connected()
            elif self.kind == "drip":
                self.peer.send(b"\0")
            if self.kind != "deaf":
                self._listen(self.peer)
        except BlockingIOError:
            pass
        except OSError:
            self._end()

    def _connected(self) -> socket.socket:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(10)
        peer.connect(self.path)
        peer.setblocking(False)
        self.made += 1
        first = {"half": b"\0\0\1\0half", "garbage": os.urandom(2048), "deaf": self.request, "silent": b"", "drip": b""}
        with contextlib.suppress(OSError):  # a stranger may have been turned away already
            peer.send(first[self.kind])
        return peer

    def _listen(self, peer: socket.socket) -> None:
        said = peer.recv(65_536)
        self.refused += b"refused" in said
        if not said:
            self._end()

    def _end(self) -> None:
        if self.peer is not None:
            self.peer.close()
        self.peer = None


class Attack:
    """A running attack."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.made = self.refused = 0

    def end(self) -> None:
        """Have it end, and take in what it counted."""
        out, _ = self.process.communicate("")
        self.made, self.refused = (int(word) for word in out.split())


@contextlib.contextmanager
def attack(path: Path, kind: str, count: int, request: bytes = b"", *, as_nobody: bool = False) -> Iterator[Attack]:
    """Have `count` clients of a kind at the socket for the length of the block; `deaf` ones send `request`."""
    words = [str(path), kind, str(count), request.hex() or "00", str(NOBODY if as_nobody else os.getuid())]
    process = subprocess.Popen(
        [sys.executable, "-I", __file__, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        running = Attack(process)
        yield running
        running.end()
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def main(path: str, kind: str, count: str, request: str, user: str) -> None:
    """Attack as that user until the input ends."""
    if int(user) != os.getuid():
        os.setgroups([])
        os.setgid(int(user))
        os.setuid(int(user))
    clients = [Client(path, kind, bytes.fromhex(request)) for _ in range(int(count))]
    for client in clients:
        client.act()
    print("ready", flush=True)
    while not select.select([0], [], [], ROUND_S)[0]:
        for client in clients:
            client.act()
    print(sum(client.made for client in clients), sum(client.refused for client in clients), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
