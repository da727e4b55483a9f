"""The encryption of Aegis vault files: a master key under AES-256-GCM, wrapped by passwords through scrypt.

Facts from docs/vault.md of beemdevelopment/Aegis. All fields of the header are read as hostile: costs are
bounded before anything is derived.
"""

from __future__ import annotations

import binascii
import unicodedata
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from otpkeep_protocol.errors import Malformed, NotAuthentic, Refused, WrongPassphrase

KEY = 32
NONCE = 12
TAG = 16
SALT = 32
PASSWORD_SLOT = 1

DEFAULT_N = 2**15
DEFAULT_R = 8
DEFAULT_P = 1
MAX_N = 2**20
MAX_R = 32
MAX_P = 16
MAX_MEMORY = 2**30
"""Bytes that scrypt may need: 128 · r · (n + p)."""
MAX_WORK = 2**27
"""n · r · p of all slots together: 512 times the default, so that many slots can't stall the reader."""

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, repr=False)
class PasswordSlot:
    """A password slot of a header, its parameters within bounds. Lengths: key 32, nonce 12, tag 16 bytes."""

    key: bytes
    nonce: bytes
    tag: bytes
    salt: bytes
    n: int
    r: int
    p: int

    def __repr__(self) -> str:
        return f"PasswordSlot(n={self.n}, r={self.r}, p={self.p})"


def password_slot(master_key: bytes, passphrase: str, random: Random) -> dict[str, object]:
    """Return the slot (SPEC §9 `own`) that wraps the 32-byte `master_key` under `passphrase`.

    Keys: uuid str; key, nonce, tag, salt bytes; n, r, p ints. The passphrase is taken in NFC.
    """
    salt, nonce = random(SALT), random(NONCE)
    wrapping = _derive(_nfc(passphrase), salt, DEFAULT_N, DEFAULT_R, DEFAULT_P)
    key, tag = seal(wrapping, nonce, master_key)
    return {
        "uuid": str(uuid.UUID(bytes=random(16), version=4)),
        "key": key,
        "nonce": nonce,
        "tag": tag,
        "salt": salt,
        "n": DEFAULT_N,
        "r": DEFAULT_R,
        "p": DEFAULT_P,
    }


def slot_header(slot: Mapping[str, object]) -> dict[str, object]:
    """Return the JSON object of a slot that `password_slot` made."""
    key, nonce, tag, salt = (_bytes_of(slot, name).hex() for name in ("key", "nonce", "tag", "salt"))
    return {
        "type": PASSWORD_SLOT,
        "uuid": slot["uuid"],
        "key": key,
        "key_params": {"nonce": nonce, "tag": tag},
        "n": slot["n"],
        "r": slot["r"],
        "p": slot["p"],
        "salt": salt,
        "repaired": True,
        "is_backup": False,
    }


def seal(key: bytes, nonce: bytes, plain: bytes) -> tuple[bytes, bytes]:
    """Return (ciphertext, tag) of AES-256-GCM."""
    sealed = AESGCM(key).encrypt(nonce, plain, None)
    return sealed[:-TAG], sealed[-TAG:]


def unwrap(slots: object, passphrases: Sequence[str]) -> bytes:
    """Return the master key that one of `passphrases` opens in one of a header's password slots.

    Raises Malformed for slots that break the format or its bounds, Refused if no slot takes a password, and
    WrongPassphrase if none opens.
    """
    for slot in _password_slots(slots):
        for passphrase in passphrases:
            wrapping = _derive(passphrase.encode(), slot.salt, slot.n, slot.r, slot.p)
            try:
                return AESGCM(wrapping).decrypt(slot.nonce, slot.key + slot.tag, None)
            except InvalidTag:
                continue
    raise WrongPassphrase(
        "the password does not open this Aegis file", "check the password that the export was made with"
    )


def spellings(passphrase: str) -> tuple[str, ...]:
    """Return the passphrase as typed and in NFC, once if equal; raises WrongPassphrase if it is no text."""
    try:
        passphrase.encode()
    except UnicodeEncodeError:
        raise WrongPassphrase("the password is not valid text", "type it again in UTF-8") from None
    return tuple(dict.fromkeys((passphrase, unicodedata.normalize("NFC", passphrase))))


def open_db(master_key: bytes, params: object, sealed: bytes) -> bytes:
    """Return the plain bytes of an encrypted `db`; raises Malformed or NotAuthentic."""
    if not isinstance(params, Mapping):
        raise Malformed("the header has no params")
    nonce, tag = _hex(params, "nonce", NONCE), _hex(params, "tag", TAG)
    try:
        return AESGCM(master_key).decrypt(nonce, sealed + tag, None)
    except InvalidTag:
        raise NotAuthentic(
            "the password is right, but the file is damaged", "use an older copy of the export"
        ) from None


def _password_slots(slots: object) -> Sequence[PasswordSlot]:
    if not isinstance(slots, list):
        raise Malformed("the header's slots are not a list")
    found = [slot for slot in slots if isinstance(slot, Mapping) and slot.get("type") == PASSWORD_SLOT]
    if not found:
        raise Refused("no slot of this Aegis file takes a password", "export it again with a password")
    parsed = [_password_slot(slot) for slot in found]
    if sum(slot.n * slot.r * slot.p for slot in parsed) > MAX_WORK:
        raise Malformed("the slots ask for more scrypt work than is sane")
    return parsed


def _password_slot(slot: Mapping[str, object]) -> PasswordSlot:
    params = slot.get("key_params")
    if not isinstance(params, Mapping):
        raise Malformed("a slot has no key_params")
    n, r, p = (_cost(slot, name, most) for name, most in (("n", MAX_N), ("r", MAX_R), ("p", MAX_P)))
    # RFC 7914 §6: n is a power of two, above 1 and below 2^(128·r/8).
    if n < 2 or n & (n - 1) or n >= 2 ** (16 * r) or 128 * r * (n + p) > MAX_MEMORY:
        raise Malformed("a slot's scrypt parameters are out of bounds")
    return PasswordSlot(
        key=_hex(slot, "key", KEY),
        nonce=_hex(params, "nonce", NONCE),
        tag=_hex(params, "tag", TAG),
        salt=_hex(slot, "salt", None),
        n=n,
        r=r,
        p=p,
    )


def _cost(slot: Mapping[str, object], name: str, most: int) -> int:
    value = slot.get(name)
    if type(value) is not int or not 1 <= value <= most:
        raise Malformed(f"a slot's scrypt parameter {name} is not from 1 to {most}")
    return value


def _hex(fields: Mapping[str, object], name: str, size: int | None) -> bytes:
    """Return the bytes of a hexadecimal field of `size` bytes (None: up to 1,024)."""
    value = fields.get(name)
    try:
        found = binascii.unhexlify(value) if isinstance(value, str) else b""
    except ValueError:
        found = b""
    if not found or len(found) > 1024 or (size is not None and len(found) != size):
        raise Malformed(f"the header's {name} is not hexadecimal of the right length")
    return found


def _derive(passphrase: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    try:
        return Scrypt(salt=salt, length=KEY, n=n, r=r, p=p).derive(passphrase)
    except MemoryError:
        raise Refused("scrypt needs more memory than there is", "read the file on a larger machine") from None


def _nfc(passphrase: str) -> bytes:
    return spellings(passphrase)[-1].encode()


def _bytes_of(slot: Mapping[str, object], name: str) -> bytes:
    value = slot[name]
    if not isinstance(value, bytes):
        raise Malformed(f"the slot's {name} is not bytes")
    return value
