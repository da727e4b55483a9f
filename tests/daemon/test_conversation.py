"""One connection to the control socket, moved by hand over a real pair of sockets, with the time given."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from otpkeep_daemon.conversation import LINGER_S, RECEIVE_S, SEND_S, Conversation, Stage
from otpkeep_daemon.proof import NONCE_SIZE, Meeting, holds, prove
from otpkeep_protocol.errors import Malformed, Refused

NOW = 1000.0
TOKEN = bytes(range(32))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5)
        yield ours, theirs


def test_a_request_is_whole_when_its_last_byte_has_come(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    talk = Conversation(ours, NOW, None)
    assert talk.advance(NOW) is None  # nothing has come, and nothing waits
    for byte in struct.pack(">I", 3) + b"ab":
        theirs.sendall(bytes([byte]))
        assert talk.advance(NOW) is None
    theirs.sendall(b"c and more")
    assert talk.advance(NOW + 1) == b"abc"
    assert talk.stage is Stage.RUNNING
    assert talk.waits_for == 0
    assert talk.moved == NOW + 1


def test_an_answer_goes_out_as_it_is_read_and_the_rest_of_the_question_is_thrown_away(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    talk = Conversation(ours, NOW, None)
    reply = b"x" * 3_000_000
    talk.answer(reply, NOW)
    assert talk.until == NOW + SEND_S
    got = b""
    while talk.stage is Stage.ANSWERING:
        talk.advance(NOW)
        got += theirs.recv(1_000_000)
    while piece := theirs.recv(1_000_000):
        got += piece
    assert got == reply
    assert talk.until == NOW + LINGER_S
    theirs.sendall(b"still talking")
    assert talk.advance(NOW) is None
    assert talk.waits_for
    theirs.close()
    talk.advance(NOW)
    assert talk.stage is Stage.GONE


def test_what_cannot_become_a_request_is_malformed(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    talk = Conversation(ours, NOW, None)
    assert talk.until == NOW + RECEIVE_S
    theirs.sendall(b"\xff\xff\xff\xff")
    with pytest.raises(Malformed, match="larger"):
        talk.advance(NOW)


def test_who_hangs_up_in_the_middle_is_malformed_and_who_said_nothing_is_gone(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    quiet = Conversation(ours, NOW, None)
    theirs.shutdown(socket.SHUT_WR)
    assert quiet.advance(NOW) is None
    assert quiet.stage is Stage.GONE
    again, other = socket.socketpair()
    with again, other:
        talk = Conversation(again, NOW, None)
        other.sendall(b"\0\0")
        other.shutdown(socket.SHUT_WR)
        talk.advance(NOW)
        with pytest.raises(Malformed, match="broke off"):
            talk.advance(NOW)


def test_who_must_prove_himself_is_heard_only_then(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    greeting, nonce = b"g" * NONCE_SIZE, b"n" * NONCE_SIZE
    talk = Conversation(ours, NOW, Meeting(greeting, TOKEN))
    assert theirs.recv(100) == greeting
    # when: proof and request come in one piece
    theirs.sendall(prove(TOKEN, greeting, nonce) + struct.pack(">I", 2) + b"ok")
    # then: ours goes out, and the request is taken
    assert talk.advance(NOW) == b"ok"
    assert holds(TOKEN, greeting, nonce, theirs.recv(100))


@pytest.mark.parametrize("token", [b"", b"another token", TOKEN[:-1]])
def test_a_proof_with_another_token_is_refused(pair: tuple[socket.socket, socket.socket], token: bytes) -> None:
    ours, theirs = pair
    talk = Conversation(ours, NOW, Meeting(b"g" * NONCE_SIZE, TOKEN))
    theirs.sendall(prove(token, b"g" * NONCE_SIZE, bytes(NONCE_SIZE)))
    with pytest.raises(Refused, match="another user"):
        talk.advance(NOW)
    assert theirs.recv(NONCE_SIZE) == b"g" * NONCE_SIZE  # and nothing else
    assert not holds(TOKEN, b"g" * NONCE_SIZE, bytes(NONCE_SIZE), bytes(32))
