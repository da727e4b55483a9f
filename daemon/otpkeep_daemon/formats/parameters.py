"""Parameters of a code generator as formats spell them.

What is unknown is refused by name: an algorithm that is silently taken for SHA1 makes codes that fail on the
day they are needed.
"""

from __future__ import annotations

import re

from otpkeep_protocol.account import Otp
from otpkeep_protocol.account_rules import ALGORITHMS, DEFAULTS, FIXED
from otpkeep_protocol.errors import Malformed
from otpkeep_protocol.otp import YANDEX_SECRET

_SHOWABLE = re.compile(r"[A-Za-z0-9/_-]{1,16}")
_NUMBER = re.compile(r"[0-9]{1,16}")


def shown(word: object) -> str:
    """Return `word` if it is short and plain enough to stand in a message, else a phrase for it."""
    if isinstance(word, int | str) and _SHOWABLE.fullmatch(str(word)):
        return str(word)
    return "(not shown)"


def algorithm(word: str) -> str:
    """Return the algorithm that `word` means ("sha-256", "HmacSHA256"); raises Malformed for any other."""
    plain = word.strip().upper().replace("-", "").replace("_", "").removeprefix("HMAC")
    if plain not in ALGORITHMS:
        raise Malformed(f"unknown algorithm {shown(word)}")
    return plain


def number(what: str, text: str) -> int:
    """Return the decimal number in `text`; raises Malformed naming `what`."""
    if not _NUMBER.fullmatch(text.strip()):
        raise Malformed(f"{what} is not a number: {shown(text)}")
    return int(text)


def make(
    kind: str,
    secret: bytes,
    algorithm: str | None,
    digits: int | None,
    period: int | None,
    *,
    counter: int | None = None,
    pin: str | None = None,
) -> Otp:
    """Return the otp of what a file says; raises Malformed naming what can't be."""
    if kind not in DEFAULTS:
        raise Malformed(f"unknown type {shown(kind)}")
    usual = DEFAULTS[kind]
    if kind in FIXED and algorithm not in {None, usual[0]}:
        raise Malformed(f"{kind} with algorithm {shown(algorithm)}; it always has {usual[0]}")
    if kind in FIXED and digits not in {None, usual[1]}:
        raise Malformed(f"{kind} with {shown(digits)} digits; it always has {usual[1]}")
    if digits is not None and not (type(digits) is int and 4 <= digits <= 10):
        raise Malformed(f"{shown(digits)} digits; from 4 to 10 are possible")
    if kind == "yandex":
        secret = secret[:YANDEX_SECRET]  # what follows is a checksum that some applications drop
    return Otp.make(kind, secret, algorithm, digits, period, counter=counter, pin=pin)
