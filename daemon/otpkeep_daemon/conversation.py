"""One connection to the control socket, from the daemon's end: a request comes in piece by piece, an answer goes out.

    MEETING ──proven──▶ ASKING ──whole──▶ RUNNING ──done──▶ ANSWERING ──sent──▶ LEAVING ──hung up──▶ GONE

Nothing here waits: each call moves the bytes that can be moved now. MEETING is for sockets where no kernel says who is
there.
"""

from __future__ import annotations

import selectors
import socket
from enum import Enum, auto

from otpkeep_daemon.proof import PROOF_SIZE, Meeting
from otpkeep_protocol.control import LENGTH_SIZE, REQUEST_LIMIT, read_length
from otpkeep_protocol.errors import Malformed

RECEIVE_S = 30.0
"""From the first to the last byte of a request; commands send theirs in one go."""
SEND_S = 30.0
LINGER_S = 1.0
"""What is left unread when a socket closes takes the answer with it, so a refused sender gets to finish first."""
_PIECE = 262_144


class Stage(Enum):
    """Where a conversation stands."""

    MEETING = auto()
    ASKING = auto()
    RUNNING = auto()
    ANSWERING = auto()
    LEAVING = auto()
    GONE = auto()


_PATIENCE_S = {
    Stage.MEETING: RECEIVE_S,
    Stage.ASKING: RECEIVE_S,
    Stage.RUNNING: float("inf"),
    Stage.ANSWERING: SEND_S,
    Stage.LEAVING: LINGER_S,
    Stage.GONE: 0.0,
}


class Conversation:
    """A connection, the bytes that came, the bytes still to be sent. Times are monotonic seconds."""

    def __init__(self, peer: socket.socket, now: float, meeting: Meeting | None) -> None:
        """Begin with a fresh connection; `meeting` is how its other end proves who it is, None if that is known."""
        peer.setblocking(False)
        self.peer = peer
        self.moved = now
        self._meeting = meeting
        self._came = bytearray()
        self._left = memoryview(b"")
        self._enter(Stage.ASKING if meeting is None else Stage.MEETING, now)
        if meeting is not None:
            peer.send(meeting.greeting)  # the first bytes of a connection always fit

    def _enter(self, stage: Stage, now: float) -> None:
        self.stage = stage
        self.until = now + _PATIENCE_S[stage]

    @property
    def waits_for(self) -> int:
        """What it waits for, as selectors have it; 0 for nothing that a socket could bring."""
        if self.stage is Stage.ANSWERING:
            return selectors.EVENT_WRITE
        return 0 if self.stage in (Stage.RUNNING, Stage.GONE) else selectors.EVENT_READ

    def advance(self, now: float) -> bytes | None:
        """Move what can be moved; return the request when it has become whole.

        Malformed for what can't become one, Refused for a stranger; OSError if the connection broke.
        """
        try:
            if self.stage is Stage.ANSWERING:
                self._send(now)
                return None
            piece = self.peer.recv(_PIECE)
        except BlockingIOError:
            return None
        self.moved = now
        return self._take(piece, now)

    def answer(self, reply: bytes, now: float) -> None:
        """Have this framed reply sent, whatever the other end was about to say."""
        self._came.clear()
        self._left = memoryview(reply)
        self._enter(Stage.ANSWERING, now)

    def _take(self, piece: bytes, now: float) -> bytes | None:
        if self.stage is Stage.LEAVING:
            if not piece:
                self._enter(Stage.GONE, now)
            return None
        if not piece:
            if self._came or self.stage is Stage.MEETING:
                raise Malformed("the other end of the control socket broke off")
            self._enter(Stage.GONE, now)  # it only asked whether somebody listens
            return None
        self._came += piece
        if self.stage is Stage.MEETING:
            self._meet(now)
        return self._request(now) if self.stage is Stage.ASKING else None

    def _meet(self, now: float) -> None:
        """Check the other end's proof once it is whole, and give ours."""
        assert self._meeting is not None
        if len(self._came) >= PROOF_SIZE:
            self.peer.send(self._meeting.reply(bytes(self._came[:PROOF_SIZE])))
            del self._came[:PROOF_SIZE]
            self._enter(Stage.ASKING, now)

    def _request(self, now: float) -> bytes | None:
        """Return the request if it is whole. Malformed as soon as its length is seen to be beyond the limit."""
        if len(self._came) < LENGTH_SIZE:
            return None
        end = LENGTH_SIZE + read_length(bytes(self._came[:LENGTH_SIZE]), REQUEST_LIMIT)
        if len(self._came) < end:
            return None
        self._enter(Stage.RUNNING, now)
        whole = bytes(memoryview(self._came)[LENGTH_SIZE:end])
        self._came = bytearray()
        return whole

    def _send(self, now: float) -> None:
        self._left = self._left[self.peer.send(self._left[:_PIECE]) :]
        self.moved = now
        if not self._left:
            self._left = memoryview(b"")
            self._enter(Stage.LEAVING, now)
            self.peer.shutdown(socket.SHUT_WR)
