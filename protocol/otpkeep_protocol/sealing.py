"""Sealed files: header, padding, key derivation, chunks (SPEC §8).

    header ‖ chunk 0 ‖ chunk 1 ‖ …        AES-256-GCM, 64 KiB of padded plaintext each
    nonce of chunk i = i (11 bytes) ‖ last?  and the header as additional data of every chunk

A chunk can't be moved, dropped or repeated, since its number and whether it is the last are in its nonce.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from otpkeep_protocol.errors import Malformed, NotAuthentic, UnknownVersion
from otpkeep_protocol.ids import EpochId, VaultId, sha256

MAGIC = b"otpkeep\x00"
HEADER_SIZE = 109
SLOT_HEADER_SIZE = HEADER_SIZE + 10
CHUNK = 65_536
TAG = 16
CONTENT_LIMIT = 67_108_864
SEALED, SLOT = 1, 2


@dataclass(frozen=True, slots=True)
class Header:
    """The plain part of a file; `raw` is its bytes as stored, which authenticate every chunk."""

    major: int
    critical: int
    type: int
    vault: VaultId
    epoch: EpochId
    salt: bytes
    commitment: bytes
    raw: bytes = field(repr=False)


def has_magic(data: bytes) -> bool:
    """Tell whether these bytes claim to be a file of otpkeep."""
    return data[: len(MAGIC)] == MAGIC


def is_whole(size: int, file_type: int) -> bool:
    """Tell whether a file of this type can have this size in bytes: the padding leaves few, so most cuts show."""
    body = size - (HEADER_SIZE if file_type == SEALED else SLOT_HEADER_SIZE)
    chunks = -(-body // (CHUNK + TAG))
    plain = body - chunks * TAG
    return plain > 0 and padded_size(plain) == plain


def read_header(data: bytes) -> Header:
    """Return the header of a stored file. Malformed if these are not the bytes of one."""
    if not has_magic(data):
        raise Malformed("not a file of otpkeep")
    if len(data) < HEADER_SIZE + TAG + 1:
        raise Malformed("a file cut short")
    return Header(
        data[8],
        int.from_bytes(data[10:12], "big"),
        data[12],
        data[13:29],
        data[29:45],
        data[45:77],
        data[77:109],
        data[:HEADER_SIZE],
    )


def check_version(header: Header) -> None:
    """Raise UnknownVersion if this program must not interpret the file, Malformed if its type is unknown."""
    if header.major > 1 or header.critical:
        raise UnknownVersion("a file of a newer otpkeep", "Update otpkeep on this device.")
    if header.major != 1 or header.type not in (SEALED, SLOT):
        raise Malformed("a file of unknown type")


def prefix(file_type: int, vault: VaultId, epoch: EpochId) -> bytes:
    """Return the 45 header bytes before the salt."""
    return MAGIC + bytes([1, 0, 0, 0, file_type]) + vault + epoch


def derive(secret: bytes, salt: bytes, label: bytes, size: int) -> bytes:
    """Return `size` bytes of HKDF-SHA-256; the label separates the uses of one secret."""
    return HKDF(algorithm=SHA256(), length=size, salt=salt, info=label).derive(secret)


def seal(content: bytes, *, vault: VaultId, epoch: EpochId, key: bytes, salt_secret: bytes, random: bytes) -> bytes:
    """Return the sealed file of `content`. `key` is the epoch's; `random` is 32 fresh random bytes.

    The salt also depends on the content and on a secret of the device: a cloned machine that repeats its random
    bytes repeats a salt only for the very same file, so no key and nonce ever meet two plaintexts.
    """
    padded = pad(content)
    start = prefix(SEALED, vault, epoch)
    salt = hmac.digest(salt_secret, b"salt" + random + sha256(start) + sha256(padded), "sha256")
    keys = derive(key, salt, b"otpkeep/v1/file" + vault, 64)
    header = start + salt + keys[32:]
    return header + encrypt(keys[:32], header, padded)


def open_sealed(data: bytes, header: Header, key: bytes) -> bytes:
    """Return the content of a sealed file under this epoch key.

    NotAuthentic if key, header or any chunk does not hold; Malformed if what was sealed is not padded rightly.
    """
    return unpad(decrypt(_opened_key(header, key), header.raw, data[HEADER_SIZE:]))


def open_start(data: bytes, header: Header, key: bytes) -> bytes:
    """Return the content of a file as far as its first chunk goes, authentic by itself; the rest may still be damaged.

    NotAuthentic as `open_sealed`.
    """
    first, more = data[HEADER_SIZE : HEADER_SIZE + CHUNK + TAG], len(data) > HEADER_SIZE + CHUNK + TAG
    try:
        padded = AESGCM(_opened_key(header, key)).decrypt(_nonce(0, not more), first, header.raw)
    except (InvalidTag, ValueError) as error:
        raise NotAuthentic("a file that was changed, cut short, or damaged") from error
    return padded[4 : 4 + int.from_bytes(padded[:4], "big")]


def _opened_key(header: Header, key: bytes) -> bytes:
    """Return the key of the chunks. NotAuthentic, or UnknownVersion, if this is not a file for that epoch key."""
    keys = derive(key, header.salt, b"otpkeep/v1/file" + header.vault, 64)
    if not hmac.compare_digest(keys[32:], header.commitment):
        raise NotAuthentic("a file that this vault's key does not open: its header is damaged or forged")
    check_version(header)
    return keys[:32]


def encrypt(key: bytes, header: bytes, padded: bytes) -> bytes:
    """Return the chunks of `padded` under a key that is used for nothing else."""
    cipher = AESGCM(key)
    starts = range(0, len(padded), CHUNK)
    last = len(starts) - 1
    return b"".join(
        cipher.encrypt(_nonce(i, i == last), padded[start : start + CHUNK], header) for i, start in enumerate(starts)
    )


def decrypt(key: bytes, header: bytes, chunks: bytes) -> bytes:
    """Return the padded plaintext once every tag has held; NotAuthentic, or Malformed for an empty last chunk."""
    cipher = AESGCM(key)
    size = CHUNK + TAG
    starts = range(0, len(chunks), size)
    last = len(starts) - 1
    try:
        padded = b"".join(
            cipher.decrypt(_nonce(i, i == last), chunks[start : start + size], header) for i, start in enumerate(starts)
        )
    except (InvalidTag, ValueError) as error:
        raise NotAuthentic("a file that was changed, cut short, or damaged") from error
    if len(chunks) % size == TAG:
        raise Malformed("a file whose last chunk is empty")
    return padded


def _nonce(index: int, last: bool) -> bytes:
    return index.to_bytes(11, "big") + bytes([last])


def padded_size(size: int) -> int:
    """Return the total size for `size` bytes including the length prefix: 1 KiB steps, above 16 KiB Padmé."""
    if size > 16_384:
        exponent = size.bit_length() - 1
        free = exponent - exponent.bit_length()
        size = -(-size >> free) << free
    return -(-size // 1024) * 1024


def pad(content: bytes) -> bytes:
    """Return length ‖ content ‖ zeros. Malformed if the content is too large for one file."""
    if len(content) > CONTENT_LIMIT:
        raise Malformed("content too large for one file")
    framed = len(content).to_bytes(4, "big") + content
    return framed.ljust(padded_size(len(framed)), b"\x00")


def unpad(padded: bytes) -> bytes:
    """Return the content of padded bytes. Malformed unless `pad` gives exactly these bytes."""
    size = int.from_bytes(padded[:4], "big")
    content = padded[4 : 4 + size]
    if len(padded) < 4 or pad(content) != padded:
        raise Malformed("padding that does not fit its content")
    return content
