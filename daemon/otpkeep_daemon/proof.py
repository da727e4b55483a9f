"""Two processes prove to each other that both can read a secret file, for sockets that anyone can connect to.

    daemon  ──  32 random bytes                                        ──▶  command
    command ──  32 random bytes, HMAC(token, "command", both)          ──▶  daemon
    daemon  ──  HMAC(token, "daemon", both)                            ──▶  command, which now sends its request

The command sends nothing before it knows that its daemon is at the other end: a request may carry keys.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from otpkeep_protocol.errors import Refused

NONCE_SIZE = 32
PROOF_SIZE = NONCE_SIZE + 32
TOKEN_SIZE = 32


@dataclass(frozen=True, slots=True)
class Meeting:
    """The daemon's part of one proof: what it says first, and what it answers."""

    greeting: bytes
    token: bytes = field(repr=False)

    def reply(self, proof: bytes) -> bytes:
        """Return the daemon's own proof. Refused if the command's, of PROOF_SIZE bytes, does not hold."""
        nonce, claimed = proof[:NONCE_SIZE], proof[NONCE_SIZE:]
        if not hmac.compare_digest(claimed, _mac(self.token, b"command", self.greeting, nonce)):
            raise Refused("this daemon serves another user", "Run your own: otpkeep daemon run.")
        return _mac(self.token, b"daemon", self.greeting, nonce)


def prove(token: bytes, greeting: bytes, nonce: bytes) -> bytes:
    """Return the command's proof for a daemon's greeting; `nonce` is NONCE_SIZE random bytes."""
    return nonce + _mac(token, b"command", greeting, nonce)


def holds(token: bytes, greeting: bytes, nonce: bytes, reply: bytes) -> bool:
    """Tell whether the daemon's reply proves that it has the token, too."""
    return hmac.compare_digest(reply, _mac(token, b"daemon", greeting, nonce))


def _mac(token: bytes, who: bytes, greeting: bytes, nonce: bytes) -> bytes:
    return hmac.digest(token, b"otpkeep/v1/control/" + who + b"/" + greeting + nonce, "sha256")
