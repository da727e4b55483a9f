"""The code of an account at a time or counter.

pyotp does the HOTP arithmetic (RFC 4226). Its constructors refuse short secrets, fewer than 6 digits and
periods above two minutes; those are good rules for issuing secrets, but a keeper must show the codes of
whatever was issued, so only its `generate_otp` is used. Steam, mOTP and Yandex have no specification; they
are described where they are computed.
"""

from __future__ import annotations

import hashlib
import hmac

import pyotp

from otpkeep_protocol.account import Otp
from otpkeep_protocol.errors import Refused

STEAM_ALPHABET = "23456789BCDFGHJKMNPQRTVWXY"
YANDEX_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
YANDEX_SECRET = 16
"""Bytes of a Yandex secret that count; the rest is a checksum and padding."""


class _Bare(pyotp.OTP):
    """pyotp's generator over raw secret bytes, without its rules for issuing."""

    def __init__(self, secret: bytes, algorithm: str, digits: int) -> None:
        self._secret = secret
        self.digits = digits
        self.digest = getattr(hashlib, algorithm.lower())

    def byte_secret(self) -> bytes:
        return self._secret


def code(otp: Otp, at: float, counter: int | None = None) -> str:
    """Return the code of `otp` at `at` (seconds since 1970 UTC), or for hotp at `counter` (else its own).

    Raises Refused for a placeholder, and for the few MD5 hashes that are too short to hold a code.
    """
    _require_secret(otp)
    if otp.type == "hotp":
        return _decimal(otp, (otp.counter or 0) if counter is None else counter)
    step = int(at // _period(otp))
    if step < 0:
        raise Refused("there is no code before 1970", "check the clock")
    if otp.type == "steam":
        return _steam(otp, step)
    if otp.type == "motp":
        return _motp(otp, step)
    if otp.type == "yandex":
        return _yandex(otp, step)
    return _decimal(otp, step)


def window(otp: Otp, at: float) -> tuple[int, int]:
    """Return (valid_from, valid_until) in seconds for the code at `at`; the second is the next code's first.

    Raises Refused for a placeholder and for hotp, whose codes are not bound to a time.
    """
    _require_secret(otp)
    period = _period(otp)
    start = int(at // period) * period
    return start, start + period


def _require_secret(otp: Otp) -> None:
    if otp.placeholder == "push":
        raise Refused("this account is approved by push and has no code", "approve it in its own application")
    if otp.placeholder is not None:
        raise Refused("the secret of this account is kept on another device", "ask for the code there")


def _period(otp: Otp) -> int:
    if otp.period is None:
        raise Refused("a counter-based code has no time window", "ask for the code at a counter")
    return otp.period


def _decimal(otp: Otp, moving: int) -> str:
    """Return the RFC 4226 code, leading zeros kept, for a moving factor (counter or time step)."""
    if otp.algorithm == "MD5":
        return _decimal_md5(otp, moving)
    return _Bare(otp.secret, otp.algorithm, otp.digits).generate_otp(moving)


def _decimal_md5(otp: Otp, moving: int) -> str:
    """Return the RFC 4226 code over HMAC-MD5, which pyotp refuses.

    Dynamic truncation reads 4 bytes at an offset up to 15, and MD5 has 16 bytes: for offsets above 12 the
    applications that offer MD5 disagree or crash, so no code is invented here.
    """
    mac = hmac.new(otp.secret, moving.to_bytes(8, "big"), hashlib.md5).digest()
    offset = mac[-1] & 15
    if offset > len(mac) - 4:
        raise Refused("the MD5 hash of this moment is too short to make a code", "ask for the next code")
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**otp.digits).zfill(otp.digits)


def _letters(number: int, alphabet: str, length: int, *, reverse: bool) -> str:
    """Return the `length` lowest base-26 digits of `number`, least significant first unless `reverse`."""
    letters = []
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        letters.append(alphabet[digit])
    return "".join(reversed(letters) if reverse else letters)


def _steam(otp: Otp, step: int) -> str:
    """Return Steam's code: TOTP's 31-bit number in base 26, least significant letter first."""
    number = int(_decimal(Otp("hotp", otp.secret, otp.algorithm, 10), step))
    return _letters(number, STEAM_ALPHABET, otp.digits, reverse=False)


def _motp(otp: Otp, step: int) -> str:
    """Return Mobile-OTP's code: the first hex digits of MD5(step, secret in hex, PIN) as text."""
    text = f"{step}{otp.secret.hex()}{otp.pin}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[: otp.digits]


def _yandex(otp: Otp, step: int) -> str:
    """Return Yandex's code: HMAC-SHA-256 under SHA-256(PIN, secret), truncated to 63 bits, in letters.

    The key loses one leading zero byte, since the original treats it as a number.
    """
    key = hashlib.sha256((otp.pin or "").encode() + otp.secret[:YANDEX_SECRET]).digest()
    mac = hmac.new(key.removeprefix(b"\0"), step.to_bytes(8, "big"), hashlib.sha256).digest()
    offset = mac[-1] & 15
    number = int.from_bytes(mac[offset : offset + 8], "big") & (2**63 - 1)
    return _letters(number, YANDEX_ALPHABET, otp.digits, reverse=True)
