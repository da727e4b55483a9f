"""The control socket: the service's operations for commands of the same user, and nobody else.

One thread moves the bytes of all connections and waits for none of them; whole requests are carried out elsewhere. So
however many clients are slow, silent or broken, they hold up neither the engine nor each other. Sizes and times are
bounded, and every connection carries one request.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from otpkeep_daemon.answering import Answering
from otpkeep_daemon.conversation import SEND_S, Conversation, Stage
from otpkeep_daemon.logs import event
from otpkeep_daemon.service import Service
from otpkeep_daemon.sockets import Door, open_door
from otpkeep_protocol import control
from otpkeep_protocol.errors import Busy, OtpkeepError

if sys.platform != "win32":
    import resource

MAX_CONNECTIONS = 128
"""Beyond them the one that was silent for longest makes way."""
RETRY_S = 0.1
_TOO_SLOW = control.encode_error(Busy("The daemon waited in vain for the request; nothing was changed.", "Try again."))
_NEVER = float("inf")
log = logging.getLogger(__name__)


def _most_connections() -> int:
    """Return how many connections to hold: so few that the engine never finds itself without a file descriptor."""
    if sys.platform != "win32":
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 4)
    return MAX_CONNECTIONS


class Server:
    """Serves from `start` until `stop`."""

    def __init__(self, service: Service, path: Path, failed: Callable[[], None] = lambda: None) -> None:
        """`path` is where commands find it. `failed` is called if it ends in a way that nobody foresaw."""
        self.failure: BaseException | None = None
        self._failed = failed
        self._path = path
        self._door: Door | None = None
        self._talks: set[Conversation] = set()
        self._answering: Answering[Conversation] = Answering(service, self._wake)
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._most = _most_connections()
        self._ends = _NEVER
        self._deaf_until = 0.0
        self._thread = threading.Thread(target=self._run, name="socket")

    def start(self) -> None:
        """Begin to answer, in the place of whoever was there before: they are gone, since we hold the writer lock."""
        self._door = open_door(self._path)
        for end in (self._door.listening, self._woken, self._waker):
            end.setblocking(False)
        self._watch(self._woken, selectors.EVENT_READ)
        try:
            self._answering.start()
            self._thread.start()
        except RuntimeError:
            self._door.close()
            raise

    def stop(self) -> None:
        """Take no more requests, and wait for those that are under way, but not for ever."""
        self._ends = time.monotonic() + SEND_S
        self._wake()
        self._thread.join()

    def _wake(self) -> None:
        # so full of wake-ups that one more changes nothing; or over, and a late answer reaches nobody
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def _run(self) -> None:
        assert self._door is not None
        try:
            self._serve(self._door)
        except BaseException as error:  # noqa: BLE001 - whatever it is, commands must not wait at a dead socket
            log.critical(event("socket-failed", error=type(error).__name__))
            self.failure = error
            self._failed()
        finally:
            self._close(self._door)

    def _serve(self, door: Door) -> None:
        """Move bytes until `stop`, and then until the requests that are under way are answered."""
        while self._ends == _NEVER or self._owes():
            now = time.monotonic()
            self._watch(door.listening, selectors.EVENT_READ if self._has_room(now) else 0)
            for key, _ in self._selector.select(self._pause(now)):
                if isinstance(key.data, Conversation):
                    self._advance(key.data)
                elif key.fileobj is self._woken:
                    self._woken.recv(4096)
                else:
                    self._accept(door)
            self._take_answers()
            for talk in [talk for talk in self._talks if talk.until <= time.monotonic()]:
                self._drop(talk)

    def _take_answers(self) -> None:
        """Send what has been answered. Nothing of it stays here once it is sent: there may be secrets in it."""
        for talk, answer in self._answering.answered():
            talk.answer(answer, time.monotonic())
            self._advance(talk)

    def _owes(self) -> bool:
        owing = any(talk.stage in (Stage.RUNNING, Stage.ANSWERING) for talk in self._talks)
        return owing and time.monotonic() < self._ends

    def _pause(self, now: float) -> float | None:
        """Return how long (s) to wait at most for something to happen; None for as long as it takes."""
        deaf = self._deaf_until if self._deaf_until > now else _NEVER
        soonest = min([deaf, self._ends, *(talk.until for talk in self._talks)])
        return None if soonest == _NEVER else max(0.0, soonest - now)

    def _has_room(self, now: float) -> bool:
        """Tell whether to accept: there is room, or somebody who can make way, and accepting has not just failed."""
        if now < self._deaf_until or self._ends != _NEVER:
            return False
        return len(self._talks) < self._most or self._quietest() is not None

    def _quietest(self) -> Conversation | None:
        """Return the connection that is not waiting for us and was silent for longest."""
        idle = [talk for talk in self._talks if talk.stage is not Stage.RUNNING]
        return min(idle, key=lambda talk: talk.moved, default=None)

    def _accept(self, door: Door) -> None:
        try:
            peer, _ = door.listening.accept()
        except BlockingIOError:
            return  # it hung up again
        except OSError as error:
            log.error(event("not-served", reason=error.strerror))
            self._deaf_until = time.monotonic() + RETRY_S
            return
        if len(self._talks) >= self._most and (quiet := self._quietest()) is not None:
            self._drop(quiet)
        try:
            self._greet(door, peer)
        except OSError:
            peer.close()  # it is gone before we could see who it was

    def _greet(self, door: Door, peer: socket.socket) -> None:
        """Begin a conversation; a stranger gets the refusal and nothing else."""
        now = time.monotonic()
        try:
            talk = Conversation(peer, now, door.meet(peer))
        except OtpkeepError as refusal:
            talk = Conversation(peer, now, None)
            talk.answer(control.encode_error(refusal), now)
        self._talks.add(talk)
        self._follow(talk)

    def _advance(self, talk: Conversation) -> None:
        try:
            request = talk.advance(time.monotonic())
        except OtpkeepError as error:
            talk.answer(control.encode_error(error), time.monotonic())
        except OSError as error:
            log.debug(event("command-went-away", reason=error.strerror or type(error).__name__))
            talk.stage = Stage.GONE
        else:
            if request is not None:
                self._answering.ask(talk, request)
        self._follow(talk)

    def _drop(self, talk: Conversation) -> None:
        """Hang up on somebody, who is told so if it is a command that could still wait for an answer."""
        if talk.stage is Stage.ASKING:
            with contextlib.suppress(OSError):
                talk.peer.send(_TOO_SLOW)
        talk.stage = Stage.GONE
        self._follow(talk)

    def _follow(self, talk: Conversation) -> None:
        """Have the selector wait for what the conversation waits for now; let go of one that is over."""
        self._watch(talk.peer, talk.waits_for, talk)
        if talk.stage is Stage.GONE:
            talk.peer.close()
            self._talks.discard(talk)

    def _watch(self, peer: socket.socket, events: int, talk: Conversation | None = None) -> None:
        known = peer in self._selector.get_map()
        if known and events:
            self._selector.modify(peer, events, talk)
        elif known:
            self._selector.unregister(peer)
        elif events:
            self._selector.register(peer, events, talk)

    def _close(self, door: Door) -> None:
        self._answering.stop()
        for end in (*(talk.peer for talk in self._talks), self._woken, self._waker):
            end.close()
        self._selector.close()
        door.close()
