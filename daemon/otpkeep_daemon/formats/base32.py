"""Base32 secrets as applications and people write them (RFC 4648 §6, loosely)."""

from __future__ import annotations

import base64

from otpkeep_protocol.errors import Malformed

_IGNORED = str.maketrans("", "", " -=\t\r\n")


def decode(text: str) -> bytes:
    """Return the bytes of `text`, whatever its case, spaces, dashes and padding.

    Bits that fill no byte are dropped, as every authenticator does. Raises Malformed for an empty secret and
    for letters outside the alphabet; 0, 1 and 8 are never guessed to be O, I and B.
    """
    letters = text.translate(_IGNORED)
    # Outside ASCII, upper() would turn some letters into ones of the alphabet.
    if not letters.isascii():
        raise Malformed("the secret is not base32")
    filled = letters.upper() + "A" * (-len(letters) % 8)
    try:
        secret = base64.b32decode(filled)[: len(letters) * 5 // 8]
    except ValueError:
        raise Malformed("the secret is not base32") from None
    if not secret:
        raise Malformed("the secret is empty")
    return secret


def encode(secret: bytes) -> str:
    """Return `secret` in upper case without padding."""
    return base64.b32encode(secret).decode().rstrip("=")
