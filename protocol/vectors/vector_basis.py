"""What every vector module stands on: canonical msgpack, labelled bytes, hashes and JSON renderings.

Written from SPEC.md alone, and importing nothing of otpkeep, so that an error in one is not repeated in the other.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Value = Any  # None, bool, int, str, bytes, list or dict with str keys: a value of SPEC §2
Json = Any
Case = dict[str, Json]

LARGEST_INT = 2**53 - 1
RUN_WORTH_FOLDING = 1024
UNSIGNED = ((0xFF, 0xCC, 1), (0xFFFF, 0xCD, 2), (0xFFFFFFFF, 0xCE, 4), (LARGEST_INT, 0xCF, 8))
SIGNED = ((-0x80, 0xD0, 1), (-0x8000, 0xD1, 2), (-0x80000000, 0xD2, 4), (-LARGEST_INT, 0xD3, 8))


def canonical(value: Value) -> bytes:
    """The one encoding of `value` (SPEC §2); TypeError or ValueError for what has none."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return _integer(value)
        case str():
            raw = value.encode()
            return _head(len(raw), 0xA0, 31, (0xD9, 0xDA, 0xDB)) + raw
        case bytes():
            return _head(len(value), 0, -1, (0xC4, 0xC5, 0xC6)) + value
        case list():
            return _head(len(value), 0x90, 15, (None, 0xDC, 0xDD)) + b"".join(map(canonical, value))
        case dict():
            pairs = sorted((canonical(key), canonical(item)) for key, item in value.items())
            return _head(len(value), 0x80, 15, (None, 0xDE, 0xDF)) + b"".join(k + v for k, v in pairs)
    raise TypeError(type(value).__name__)


def _integer(number: int) -> bytes:
    if -32 <= number <= 127:
        return number.to_bytes(1, "big", signed=True)
    for limit, mark, size in UNSIGNED if number >= 0 else SIGNED:
        if abs(number) <= abs(limit):
            return bytes([mark]) + number.to_bytes(size, "big", signed=number < 0)
    raise ValueError(number)


def _head(length: int, short: int, longest_short: int, marks: tuple[int | None, int, int]) -> bytes:
    if length <= longest_short:
        return bytes([short | length])
    for mark, size in zip(marks, (1, 2, 4), strict=True):
        if mark is not None and length < 1 << (8 * size):
            return bytes([mark]) + length.to_bytes(size, "big")
    raise ValueError(length)


def labelled(label: str, size: int) -> bytes:
    """`size` bytes that stand for random ones: H("otpkeep vectors" ‖ label ‖ counter), one after the other."""
    blocks = (sha(b"otpkeep vectors", label.encode(), bytes([i])) for i in range(-(-size // 32)))
    return b"".join(blocks)[:size]


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(parts), "sha256")


def hkdf(ikm: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=size, salt=salt, info=info).derive(ikm)


def private_key(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_key(seed: bytes) -> bytes:
    return private_key(seed).public_key().public_bytes_raw()


def sign(seed: bytes, message: bytes) -> bytes:
    return private_key(seed).sign(message)


def rendered(value: Value) -> Json:
    """JSON for `value`: bytes become {"bin": hex}, all else is itself."""
    match value:
        case bytes():
            return {"bin": packed_hex(value)}
        case list():
            return [rendered(item) for item in value]
        case dict():
            return {key: rendered(item) for key, item in value.items()}
    return value


def packed_hex(raw: bytes) -> Json:
    """Hex; or, where one byte repeats 1,024 times or more, a list of [hex, times] that are to be joined."""
    parts = list(_runs(raw))
    if all(times == 1 for _, times in parts):
        return raw.hex()
    return [[chunk.hex(), times] for chunk, times in parts]


def _runs(raw: bytes) -> Iterator[tuple[bytes, int]]:
    start = 0
    for found in re.finditer(rb"(.)\1{%d,}" % (RUN_WORTH_FOLDING - 1), raw, re.DOTALL):
        if found.start() > start:
            yield raw[start : found.start()], 1
        yield found[1], len(found[0])
        start = found.end()
    if start < len(raw):
        yield raw[start:], 1


def bad(name: str, why: str, effect: str, **facts: Json) -> Case:
    """A bad case; `effect` one of those that make_vectors names."""
    return {"name": name, "why": why, "effect": effect, **facts}
