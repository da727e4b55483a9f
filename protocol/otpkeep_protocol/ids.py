"""Identifiers and the two ways to point at events (SPEC §3).

All ids are raw bytes: 16 for vault, device, writer, account and epoch; 32 for event and file hashes.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple, TypeAlias

from otpkeep_protocol import wire

VaultId: TypeAlias = bytes
DeviceId: TypeAlias = bytes
WriterId: TypeAlias = bytes
AccountId: TypeAlias = bytes
EpochId: TypeAlias = bytes


class Dot(NamedTuple):
    """One event: its writer, its seq from 1, and the first 16 bytes of its hash."""

    writer: WriterId
    seq: int
    hash: bytes


class Piece(NamedTuple):
    """An unbroken run `first`…`last` of a writer's events; `hash` is that of the last (16 bytes)."""

    writer: WriterId
    first: int
    last: int
    hash: bytes


def sha256(*parts: bytes) -> bytes:
    """Return SHA-256 of the concatenation of `parts`, 32 bytes."""
    return hashlib.sha256(b"".join(parts)).digest()


def vault_id(admin_public_key: bytes) -> VaultId:
    """Return the id of the vault whose first admin key this is."""
    return sha256(b"otpkeep/v1/vault", admin_public_key)[:16]


def device_id(device_public_key: bytes) -> DeviceId:
    """Return the id of the device with this Ed25519 public key."""
    return sha256(b"otpkeep/v1/device", device_public_key)[:16]


def writer_id(device_public_key: bytes, nonce: bytes) -> WriterId:
    """Return the id of one incarnation of a device's log; `nonce` is 16 random bytes."""
    return sha256(b"otpkeep/v1/writer", device_public_key, nonce)[:16]


def event_hash(envelope: bytes) -> bytes:
    """Return the 32-byte hash that names and chains an event."""
    return hashlib.sha256(b"otpkeep/v1/event" + envelope).digest()


def imported_id(id_key: bytes, identity: list[wire.Value]) -> AccountId:
    """Return the id that every device gives to one imported entry (SPEC §3 on `identity`)."""
    return hmac.digest(id_key, b"otpkeep/v1/account" + wire.encode(identity), "sha256")[:16]


def event_name(writer: WriterId, seq: int) -> str:
    """Return the short name of an event for people, such as `9f86d0.17`; any longer prefix works too."""
    return f"{writer.hex()[:6]}.{seq}"


def full_event_name(dot: Dot) -> str:
    """Return the name of an event of a forked writer, where the hash says which of two is meant: `9f86d0.17.3fa2c1`."""
    return f"{event_name(dot.writer, dot.seq)}.{dot.hash.hex()[:6]}"
