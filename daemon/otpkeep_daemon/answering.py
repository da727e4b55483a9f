"""Carrying out whole requests in a few threads of their own, which never wait for a socket."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from otpkeep_daemon.calls import ask
from otpkeep_daemon.logs import event
from otpkeep_daemon.service import Service
from otpkeep_protocol import control, keyring
from otpkeep_protocol.errors import OtpkeepError

THREADS = 8
"""Requests at a time; most of them wait for the same lock anyway."""
_BUG = "Please report this, with the version and the command, but without its secrets."
_From = TypeVar("_From")
log = logging.getLogger(__name__)


class Answering(Generic[_From]):
    """Takes requests and has their answers, each with whom it is from, in the order in which they are done."""

    def __init__(self, service: Service, done: Callable[[], None]) -> None:
        """`done` is called in one of the threads whenever there is an answer to take."""
        self._service = service
        self._done = done
        self._requests: queue.SimpleQueue[tuple[_From, bytes] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[_From, bytes]] = queue.SimpleQueue()
        # As daemon threads they can't keep a process from ending in which a request hangs.
        self._threads = [threading.Thread(target=self._work, name="request", daemon=True) for _ in range(THREADS)]

    def start(self) -> None:
        """Begin; RuntimeError if the system has no more threads."""
        for thread in self._threads:
            thread.start()

    def ask(self, who: _From, request: bytes) -> None:
        """Have a request, unframed, carried out when a thread is free."""
        self._requests.put((who, request))

    def answered(self) -> Iterator[tuple[_From, bytes]]:
        """Yield the answers that have come up, framed."""
        while True:
            try:
                yield self._answers.get_nowait()
            except queue.Empty:
                return

    def stop(self) -> None:
        """Take up no more requests; those that are under way end when they end."""
        for _ in self._threads:
            self._requests.put(None)

    def _work(self) -> None:
        while self._answer_next():
            pass

    def _answer_next(self) -> bool:
        """Answer one request; False at the end. A thread that waits holds no request: there may be keys in one."""
        task = self._requests.get()
        if task is None:
            return False
        who, request = task
        self._answers.put((who, answer(self._service, request)))
        self._done()
        return True


def answer(service: Service, data: bytes) -> bytes:
    """Return the framed reply to an unframed request, whatever it is and whatever comes of it."""
    try:
        request = control.decode_request(data)
        ring = keyring.decode(request.keyring).without_seed() if request.keyring is not None else None
        return control.encode_result(ask(service, request.op, request.args, ring))
    except OtpkeepError as error:
        return control.encode_error(error)
    except Exception as error:  # noqa: BLE001 - a bug in one request must reach its asker, and not stop the others
        log.error(event("request-failed", error=type(error).__name__))
        message = f"the daemon failed at this ({type(error).__name__}); whether it was done is in `otpkeep log`"
        return control.encode_error(OtpkeepError(message, _BUG))
