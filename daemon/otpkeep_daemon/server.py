"""The control socket: the service's operations for commands of the same user, and nobody else.

The socket is 0600 in a directory that is 0700, the peer's uid is checked all the same, sizes and times are bounded, and
every connection carries one request.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from pathlib import Path

from otpkeep_daemon.calls import ask
from otpkeep_daemon.service import Service
from otpkeep_daemon.sockets import bind, discard, is_trusted, receive
from otpkeep_protocol import control, keyring
from otpkeep_protocol.errors import OtpkeepError, Refused

RECEIVE_S = 5.0
"""A command sends its request at once; whoever does not must not keep others out."""
SEND_S = 30.0
LINGER_S = 1.0
"""What is left unread when a socket closes takes the answer with it, so a refused sender gets to finish first."""
MAX_CONNECTIONS = 16
RETRY_S = 0.1
log = logging.getLogger(__name__)


class Server:
    """Serves until `stop`. One thread accepts; each connection has one of its own."""

    def __init__(self, service: Service, path: Path) -> None:
        """`path` is where the socket will be."""
        self._service = service
        self._path = path
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._stopping = threading.Event()
        self._peers: set[socket.socket] = set()
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._accept, name="accept")

    def start(self) -> None:
        """Begin to answer, in the place of whoever was there before: they are gone, since we hold the writer lock."""
        bind(self._listening, self._path)
        try:
            self._thread.start()
        except RuntimeError:
            self._listening.close()
            self._path.unlink(missing_ok=True)
            raise

    def stop(self) -> None:
        """Take no more requests, and wait for those that are under way."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for peer in list(self._peers):
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RD)
        self._thread.join()
        for _ in range(MAX_CONNECTIONS):
            self._slots.acquire(timeout=SEND_S)
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                peer, _ = self._listening.accept()
            except OSError as error:
                if not self._stopping.wait(RETRY_S):
                    log.error("a command could not be served: %s", error.strerror)
                continue
            self._slots.acquire()
            self._peers.add(peer)
            try:
                threading.Thread(target=self._serve, args=(peer,), name="request", daemon=True).start()
            except RuntimeError as error:
                log.error("a command could not be served: %s", error)
                peer.close()
                self._peers.discard(peer)
                self._slots.release()

    def _serve(self, peer: socket.socket) -> None:
        try:
            with peer:
                peer.settimeout(RECEIVE_S)
                answer = self._answer(peer)
                peer.settimeout(SEND_S)
                peer.sendall(answer)
                peer.shutdown(socket.SHUT_WR)
                discard(peer, LINGER_S)
        except EOFError:
            pass  # it only asked whether somebody listens
        except OSError as error:
            log.info("a command went away: %s", error.strerror or type(error).__name__)
        finally:
            self._peers.discard(peer)
            self._slots.release()

    def _answer(self, peer: socket.socket) -> bytes:
        try:
            _check_peer(peer)
            request = control.decode_request(receive(peer, control.REQUEST_LIMIT))
            ring = keyring.decode(request.keyring).without_seed() if request.keyring is not None else None
            return control.encode_result(ask(self._service, request.op, request.args, ring))
        except OtpkeepError as error:
            return control.encode_error(error)
        except (OSError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001 - a bug in one request must reach its asker, and not stop the others
            log.error("a request failed: %s", type(error).__name__)
            message = f"the daemon failed at this ({type(error).__name__}); whether it was done is in `otpkeep log`"
            return control.encode_error(OtpkeepError(message, _BUG))


_BUG = "Please report this, with the version and the command, but without its secrets."


def _check_peer(peer: socket.socket) -> None:
    if not is_trusted(peer):
        raise Refused("this daemon serves another user", "Run your own: otpkeep daemon run.")
