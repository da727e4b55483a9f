"""The vault, keys and people that the vectors play with, and how they write events and statements (SPEC §4, §9)."""

from dataclasses import dataclass, field, replace
from typing import Any

from vector_basis import Case, Value, canonical, labelled, packed_hex, public_key, rendered, sha, sign
from vector_identifiers import counter_key, device_id, event_hash, vault_id, writer_id

ADMIN_SEED = labelled("admin", 32)
ADMIN = public_key(ADMIN_SEED)
OTHER_ADMIN_SEED = labelled("another admin", 32)
VAULT = vault_id(ADMIN)
EPOCH, EPOCH_KEY = labelled("epoch", 16), labelled("epoch key", 32)
ID_KEY = labelled("id key", 32)
WALL = 1_700_000_000_000
ACCOUNT, ACCOUNT_2 = labelled("account", 16), labelled("account 2", 16)
SECRET = b"12345678901234567890"


@dataclass(frozen=True, slots=True)
class Device:
    """A device key and the nonce of its current writer."""

    label: str
    seed: bytes
    nonce: bytes

    @property
    def public(self) -> bytes:
        return public_key(self.seed)

    @property
    def id(self) -> bytes:
        return device_id(self.public)

    @property
    def writer(self) -> bytes:
        return writer_id(self.public, self.nonce)


def device(letter: str) -> Device:
    return Device(f"Device {letter}", labelled(f"device {letter}", 32), labelled(f"nonce {letter}", 16))


@dataclass(frozen=True, slots=True)
class Event:
    """The stored bytes of one event; `body` None when it was dropped."""

    envelope: bytes
    body: bytes | None
    header: dict[str, Value] = field(repr=False)
    values: dict[str, Value] | None = field(repr=False)

    @property
    def hash(self) -> bytes:
        return event_hash(self.envelope)

    @property
    def dot(self) -> tuple[bytes, int, bytes]:
        return self.header["writer"], self.header["seq"], self.hash[:16]

    def without_body(self) -> "Event":
        return replace(self, body=None, values=None)

    def stored(self) -> Case:
        return {"envelope": packed_hex(self.envelope), "body": None if self.body is None else packed_hex(self.body)}

    def decoded(self) -> Case:
        body = None if self.body is None else {"salt": self.body[:16].hex(), "map": rendered(self.values)}
        return {"hash": self.hash.hex(), "envelope": rendered(self.header), "body": body}


def make_event(header: dict[str, Value], values: dict[str, Value], salt: bytes) -> Event:
    """An event of these envelope keys (without `body`, which is added) and body keys."""
    body = salt + canonical(values)
    whole = {**header, "body": sha(body)}
    return Event(canonical(whole), body, whole, values)


def statement_message(
    epoch: bytes, kind: str, values: dict[str, Value], supersedes: list[bytes], vault: bytes = VAULT
) -> bytes:
    return b"otpkeep/v1/statement" + canonical([vault, epoch, kind, values, supersedes])


def statement(
    kind: str,
    values: dict[str, Value],
    supersedes: list[bytes] | None = None,
    seed: bytes = ADMIN_SEED,
    vault: bytes = VAULT,
) -> dict[str, Any]:
    message = statement_message(EPOCH, kind, values, supersedes or [], vault)
    return {
        "epoch": EPOCH,
        "kind": kind,
        "values": values,
        "supersedes": supersedes or [],
        "signature": sign(seed, message),
    }


def statement_id(made: dict[str, Any], vault: bytes = VAULT) -> bytes:
    return sha(statement_message(made["epoch"], made["kind"], made["values"], made["supersedes"], vault))


def certificate(public: bytes, seed: bytes = ADMIN_SEED) -> list[bytes]:
    return [EPOCH, statement("device.add", {"device": public}, None, seed)["signature"]]


def otp_of(kind: str = "totp", /, **changes: Value) -> dict[str, Value]:
    """A valid otp of `kind`; a change to ... removes the key."""
    base: dict[str, Value] = {"type": kind, "secret": SECRET, "algorithm": "SHA1", "digits": 6, "period": 30}
    fixed: dict[str, dict[str, Value]] = {
        "hotp": {"period": ..., "counter": 0, "counter_key": counter_key(SECRET)},
        "steam": {"digits": 5},
        "motp": {"algorithm": "MD5", "period": 10, "pin": "1234"},
        "yandex": {"algorithm": "SHA256", "digits": 8, "pin": "1234567890123456"},
    }
    return without_ellipsis({**base, **fixed.get(kind, {}), **changes})


def placeholder_of(kind: str = "totp", /, **changes: Value) -> dict[str, Value]:
    removed = {"secret": ..., "counter": ..., "counter_key": ..., "pin": ...}
    return without_ellipsis({**otp_of(kind), **removed, "placeholder": "secret", **changes})


def without_ellipsis(values: dict[str, Value]) -> dict[str, Value]:
    return {key: value for key, value in values.items() if value is not ...}
