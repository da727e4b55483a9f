"""How a command reaches the service: through the daemon if one runs, by itself if not.

This module is imported by every command, so what only the second way needs is imported there.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from otpkeep_daemon.paths import Paths
from otpkeep_daemon.sockets import connect as connect_socket
from otpkeep_daemon.sockets import receive
from otpkeep_protocol import control
from otpkeep_protocol.control import Call, Request
from otpkeep_protocol.errors import Busy, Locked, Malformed, Refused

TIMEOUT_S = 30.0
LONG_S = 3600.0
PING_S = 5.0
LONG_OPERATIONS = frozenset(
    {"import", "verify", "backup", "move", "compact", "restore", "watch", "review", "accept-rollback"}
)
FRESH_S = 5.0
"""How long an open connection is trusted to be still waited for; the daemon may hang up on who is silent."""


def is_set_up(paths: Paths) -> bool:
    """Tell whether `init` or `recover` was run for this home."""
    return paths.store.exists()


@contextmanager
def connect(paths: Paths, passphrase: Callable[[], str], *, keys: bool = True) -> Iterator[Call]:
    """Yield the service; `passphrase` is asked only if a key is needed. `keys` off is for what works locked.

    Refused if this device is not set up; Busy if another process holds the store and does not answer.
    """
    if not is_set_up(paths):
        raise Refused("otpkeep is not set up here", "Run `otpkeep init` or `otpkeep recover FOLDER` first.")
    peer = connect_socket(paths.socket, TIMEOUT_S)
    if peer is not None:
        with _Remote(paths, passphrase, keys=keys, peer=peer) as remote:
            yield remote
        return
    from otpkeep_daemon.alone import serve_alone

    given = passphrase() if keys else ""
    with serve_alone(paths, lambda: given, keys=keys, meanwhile=lambda: is_served(paths)) as call:
        yield call if call is not None else _Remote(paths, lambda: given, keys=keys)


@contextmanager
def daemon(paths: Paths) -> Iterator[Call | None]:
    """Yield the running daemon for what works locked, None if there is none; the store is never opened."""
    peer = connect_socket(paths.socket, TIMEOUT_S)
    if peer is None:
        yield None
        return
    with _Remote(paths, lambda: "", keys=False, peer=peer) as remote:
        yield remote


def is_served(paths: Paths) -> bool:
    """Tell whether a daemon listens."""
    peer = connect_socket(paths.socket, TIMEOUT_S)
    if peer is None:
        return False
    peer.close()
    return True


def ping(paths: Paths) -> dict[str, Any] | None:
    """Return {pid, locked} of the daemon that answers here; None if none does within PING_S, whatever the reason."""
    peer = connect_socket(paths.socket, PING_S)
    if peer is None:
        return None
    with peer:
        try:
            peer.sendall(control.encode_request(Request("ping", {})))
            found: dict[str, Any] = control.decode_reply(receive(peer, control.REPLY_LIMIT))
        except (OSError, EOFError, Malformed):
            return None
        return found


class _Remote:
    """Calls over the socket. A locked daemon gets the keyring along with the request, and forgets it after.

    `peer` is a connection that is open already; it carries the first request, if that comes soon.
    """

    def __init__(
        self, paths: Paths, passphrase: Callable[[], str], *, keys: bool, peer: socket.socket | None = None
    ) -> None:
        self._paths = paths
        self._passphrase = passphrase
        self._keys = keys
        self._ring: bytes | None = None
        self._peer = peer
        self._opened = time.monotonic()

    def __enter__(self) -> _Remote:
        return self

    def __exit__(self, *_: object) -> None:
        if self._peer is not None:
            self._peer.close()

    def __call__(self, op: str, args: Mapping[str, Any]) -> Any:
        """Do `op` with `args`, over the socket."""
        try:
            return self._send(Request(op, args, self._ring))
        except Locked:
            if not self._keys or self._ring is not None:
                raise
        self._ring = self._open_ring()
        return self._send(Request(op, args, self._ring))

    def _open_ring(self) -> bytes:
        from otpkeep_daemon import device
        from otpkeep_protocol import keyring

        candidates = self._send(Request("slots", {}))
        return keyring.encode(device.open_slots(candidates, self._passphrase).without_seed())

    def _send(self, request: Request) -> Any:
        peer = self._connection()
        with peer:
            try:
                peer.settimeout(LONG_S if request.op in LONG_OPERATIONS else TIMEOUT_S)
                with contextlib.suppress(ConnectionError):  # who hung up before the end has said why
                    peer.sendall(control.encode_request(request))
                reply = receive(peer, control.REPLY_LIMIT)
            except TimeoutError as error:
                from otpkeep_daemon.lock import holder

                message = (
                    f"the daemon ({holder(self._paths.lock)}) does not answer; "
                    "whether the edit was made is in `otpkeep log`"
                )
                raise Busy(message, "Look at its log, or restart it.") from error
            except (ConnectionError, EOFError, Malformed) as error:
                raise Busy(_GONE, "Try again; if it repeats, look at its log.") from error
        return control.decode_reply(reply)

    def _connection(self) -> socket.socket:
        peer, self._peer = self._peer, None
        if peer is not None and time.monotonic() - self._opened < FRESH_S:
            return peer
        if peer is not None:
            peer.close()
        again = connect_socket(self._paths.socket, TIMEOUT_S)
        if again is None:
            raise Busy(_GONE, "Try again.")
        return again


_GONE = "the daemon stopped meanwhile; whether the edit was made is in `otpkeep log`"
