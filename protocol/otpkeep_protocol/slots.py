"""Slots: the keyring wrapped for a passphrase or a recovery code (SPEC §9)."""

from __future__ import annotations

import hmac
import unicodedata
from dataclasses import dataclass

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from otpkeep_protocol import keyring as keyrings
from otpkeep_protocol.errors import Malformed, OtpkeepError, WrongPassphrase
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.keyring import Keyring
from otpkeep_protocol.sealing import (
    HEADER_SIZE,
    SLOT,
    SLOT_HEADER_SIZE,
    TAG,
    Header,
    check_version,
    decrypt,
    derive,
    encrypt,
    pad,
    prefix,
    read_header,
    unpad,
)

PASSPHRASE, RECOVERY = 1, 2
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_SIZE = 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Argon2id parameters: memory in KiB, passes, lanes."""

    memory: int
    passes: int
    lanes: int

    def to_bytes(self) -> bytes:
        """Return the nine bytes that stand in a slot's header."""
        return self.memory.to_bytes(4, "big") + self.passes.to_bytes(4, "big") + bytes([self.lanes])

    def check(self) -> None:
        """Raise Malformed outside the floor and ceiling: a slot is hostile input until it has opened."""
        if self.memory < 19_456 or self.passes < 2 or self.lanes < 1:
            raise Malformed("a slot with weaker Argon2id parameters than this format allows")
        if self.memory > 1_048_576 or self.passes > 16 or self.lanes > 4:
            raise Malformed("a slot with Argon2id parameters that would exhaust this machine")


DEFAULT_COST = Cost(65_536, 3, 1)
_NO_COST = Cost(0, 0, 0)


def passphrase_slot(keyring: Keyring, passphrase: str, salt: bytes, cost: Cost = DEFAULT_COST) -> bytes:
    """Return the bytes of a slot file. `salt` is 32 fresh random bytes."""
    cost.check()
    return _make(keyring, PASSPHRASE, cost, _stretch(passphrase, salt, cost), salt)


def recovery_slot(keyring: Keyring, code: bytes, salt: bytes) -> bytes:
    """Return the bytes of a slot file for a 20-byte recovery code, random enough to need no stretching."""
    return _make(keyring, RECOVERY, _NO_COST, code, salt)


def open_slot(data: bytes, *, passphrase: str | None = None, code: bytes | None = None) -> Keyring:
    """Return the keyring of a slot file.

    WrongPassphrase if it is not for what was given; NotAuthentic if it is, but is damaged; Malformed or
    UnknownVersion if it can't be tried.
    """
    header, kind, cost = _read(data)
    if kind == PASSPHRASE and passphrase is not None:
        cost.check()
        secret = _stretch(passphrase, header.salt, cost)
    elif kind == RECOVERY and code is not None:
        secret = code
    else:
        raise WrongPassphrase("a slot for another way of unlocking")
    keys = derive(secret, header.salt, b"otpkeep/v1/slot" + header.vault, 64)
    if not hmac.compare_digest(keys[32:], header.commitment):
        raise WrongPassphrase("this passphrase or code does not fit the slot")
    keyring = keyrings.decode(unpad(decrypt(keys[:32], data[:SLOT_HEADER_SIZE], data[SLOT_HEADER_SIZE:])))
    if keyring.vault != header.vault or keyring.newest.id != header.epoch:
        raise Malformed("a slot that holds other keys than its header says")
    return keyring


def slot_kind(data: bytes) -> int:
    """Return PASSPHRASE or RECOVERY. Malformed or UnknownVersion for anything but a slot file."""
    return _read(data)[1]


def effort(data: bytes) -> int:
    """Return what trying a slot costs, in KiB times passes; 0 for a code, and for bytes that are no slot."""
    try:
        cost = _read(data)[2]
    except OtpkeepError:
        return 0
    return cost.memory * cost.passes


def _read(data: bytes) -> tuple[Header, int, Cost]:
    header = read_header(data)
    check_version(header)
    if header.type != SLOT or len(data) <= SLOT_HEADER_SIZE + TAG:
        raise Malformed("not a slot file")
    kind, extra = data[HEADER_SIZE], data[HEADER_SIZE + 1 : SLOT_HEADER_SIZE]
    if kind not in (PASSPHRASE, RECOVERY) or (kind == RECOVERY and any(extra)):
        raise Malformed("a slot of unknown kind")
    return header, kind, Cost(int.from_bytes(extra[:4], "big"), int.from_bytes(extra[4:8], "big"), extra[8])


def _make(keyring: Keyring, kind: int, cost: Cost, secret: bytes, salt: bytes) -> bytes:
    keys = derive(secret, salt, b"otpkeep/v1/slot" + keyring.vault, 64)
    header = prefix(SLOT, keyring.vault, keyring.newest.id) + salt + keys[32:] + bytes([kind]) + cost.to_bytes()
    return header + encrypt(keys[:32], header, pad(keyrings.encode(keyring)))


def _stretch(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    text = unicodedata.normalize("NFC", passphrase).encode()
    kdf = Argon2id(salt=salt, length=32, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory)
    return kdf.derive(text)


def code_text(code: bytes) -> str:
    """Return a 20-byte recovery code as eight groups of four digits and a check digit."""
    bits = int.from_bytes(code, "big")
    groups = []
    for number in range(8):
        group = (bits >> (140 - 20 * number)) & 0xFFFFF
        digits = "".join(ALPHABET[(group >> shift) & 31] for shift in (15, 10, 5, 0))
        groups.append(digits + _check_digit(number, digits))
    return "-".join(groups)


def read_code(text: str) -> bytes:
    """Return the 20 bytes of a typed recovery code. WrongPassphrase says which group has the slip."""
    plain = "".join(text.split()).replace("-", "").upper().replace("O", "0").replace("I", "1").replace("L", "1")
    if len(plain) != 40:
        raise WrongPassphrase(
            f"a recovery code has 8 groups of 5 characters; this one has {len(plain)} characters instead of 40",
            "Type it again from where you wrote it down.",
        )
    bits = 0
    for number in range(8):
        digits, check = plain[number * 5 : number * 5 + 4], plain[number * 5 + 4]
        if any(digit not in ALPHABET for digit in digits) or check != _check_digit(number, digits):
            raise WrongPassphrase(
                f"group {number + 1} of the recovery code has a slip", "Compare it with what you wrote down."
            )
        for digit in digits:
            bits = bits << 5 | ALPHABET.index(digit)
    return bits.to_bytes(CODE_SIZE, "big")


def _check_digit(number: int, digits: str) -> str:
    return ALPHABET[sha256(b"otpkeep/v1/code", bytes([number]), digits.encode())[0] >> 3]
