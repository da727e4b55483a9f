"""How a stored file is made (SPEC §8, §9), with an opening for each thing that a bad vector does wrong."""

import unicodedata
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from vector_basis import Value, canonical, hkdf, labelled, mac, public_key, sha, sign
from vector_cast import ADMIN, EPOCH, EPOCH_KEY, ID_KEY, VAULT, Device, Event, certificate
from vector_padding import padded

CHUNK = 65_536
EPOCH_2, EPOCH_2_KEY = labelled("epoch 2", 16), labelled("epoch key 2", 32)
ADMIN_2_SEED = labelled("admin 2", 32)
ADMIN_2 = public_key(ADMIN_2_SEED)
SALT_SECRET, RANDOM = labelled("salt secret", 32), labelled("random of a file", 32)
PASSPHRASE, CODE = "Cafe\u0301 zum Löffel", labelled("code", 20)
Chunks = list[tuple[bytes, bool]]


@dataclass(frozen=True, slots=True)
class Start:
    """The first 45 bytes of a header."""

    major: int = 1
    minor: int = 0
    critical: int = 0
    type: int = 1
    vault: bytes = VAULT
    epoch: bytes = EPOCH

    def encoded(self) -> bytes:
        numbers = bytes([self.major, self.minor]) + self.critical.to_bytes(2, "big") + bytes([self.type])
        return b"otpkeep\x00" + numbers + self.vault + self.epoch


def keyring(seed: bytes | None = ADMIN_2_SEED) -> dict[str, Value]:
    epochs = [
        {"id": EPOCH, "key": EPOCH_KEY, "admin": ADMIN},
        {"id": EPOCH_2, "key": EPOCH_2_KEY, "admin": ADMIN_2},
    ]
    return {"vault": VAULT, "id_key": ID_KEY, "epochs": epochs, "seed": seed}


def cut(plain: bytes) -> Chunks:
    """Chunks of 65,536 bytes, each with whether it is the last."""
    starts = range(0, len(plain), CHUNK)
    return [(plain[at : at + CHUNK], at == starts[-1]) for at in starts]


def encrypted(chunks: Chunks, key: bytes, header: bytes) -> bytes:
    def nonce(i: int, last: bool) -> bytes:
        return i.to_bytes(11, "big") + bytes([last])

    return b"".join(AESGCM(key).encrypt(nonce(i, last), plain, header) for i, (plain, last) in enumerate(chunks))


def sealed(
    content: bytes,
    start: Start = Start(),
    key: bytes = EPOCH_KEY,
    plain: bytes | None = None,
    chunks: Chunks | None = None,
) -> bytes:
    """The stored file of `content`; `plain` replaces the padded content, `chunks` what is cut from it."""
    plain = padded(content) if plain is None else plain
    begin = start.encoded()
    salt = mac(SALT_SECRET, b"salt", RANDOM, sha(begin), sha(plain))
    secrets = hkdf(key, salt, b"otpkeep/v1/file" + start.vault, 64)
    header = begin + salt + secrets[32:]
    return header + encrypted(cut(plain) if chunks is None else chunks, secrets[:32], header)


def content_of(kind: str, author: Device, payload: Value, asserted: list[Value], **changes: Value) -> dict[str, Value]:
    """A content signed over `asserted`; changes replace keys afterwards, `signer` the signing seed."""
    signer = changes.pop("signer", author.seed)
    made = {
        "kind": kind,
        "device": author.public,
        "nonce": author.nonce,
        "certificate": certificate(author.public),
        "payload": payload,
        "signature": sign(signer, b"otpkeep/v1/content" + canonical([VAULT, kind, *asserted])),
    }
    return {key: value for key, value in {**made, **changes}.items() if value is not ...}


def run_of(author: Device, events: list[Event], **changes: Value) -> dict[str, Value]:
    last = events[-1]
    asserted = [last.header["writer"], last.header["seq"], last.hash]
    return content_of("run", author, [[e.envelope, e.body] for e in events], asserted, **changes)


def beat_of(author: Device, wall: int, seen: Value, **changes: Value) -> dict[str, Value]:
    return content_of("beat", author, {"wall": wall, "seen": seen}, [author.writer, wall, seen], **changes)


def snapshot_of(author: Device, state: bytes, seen: Value, **changes: Value) -> dict[str, Value]:
    asserted = [author.writer, sha(state), seen]
    return content_of("snapshot", author, {"state": state, "seen": seen}, asserted, **changes)


def argon2(passphrase: str, salt: bytes, memory: int, passes: int, lanes: int) -> bytes:
    normal = unicodedata.normalize("NFC", passphrase).encode()
    return Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory).derive(normal)


@dataclass(frozen=True, slots=True)
class Slot:
    """What a slot file is made from; `params` are memory in KiB, passes, lanes; `code` None for a passphrase."""

    salt: bytes
    params: tuple[int, int, int] = (19_456, 2, 1)
    code: bytes | None = None
    kind: int | None = None
    start: Start = Start(type=2, epoch=EPOCH_2)
    ring: bytes = canonical(keyring())

    def secret(self) -> bytes:
        return self.code if self.code is not None else argon2(PASSPHRASE, self.salt, *self.params)

    def stored(self) -> bytes:
        secrets = hkdf(self.secret(), self.salt, b"otpkeep/v1/slot" + self.start.vault, 64)
        memory, passes, lanes = self.params
        kind = self.kind or (1 if self.code is None else 2)
        numbers = bytes([kind]) + memory.to_bytes(4, "big") + passes.to_bytes(4, "big") + bytes([lanes])
        header = self.start.encoded() + self.salt + secrets[32:] + numbers
        return header + encrypted(cut(padded(self.ring)), secrets[:32], header)
