"""The keys of a vault, what is derived from them, and their wrapping on a device (SPEC §9 and §10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otpkeep_protocol import wire
from otpkeep_protocol.errors import Malformed, NotAuthentic
from otpkeep_protocol.ids import EpochId, VaultId, vault_id
from otpkeep_protocol.rules import is_bytes
from otpkeep_protocol.sealing import derive

KEYRING_LIMIT = 1_048_576
_ZERO_NONCE = bytes(12)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One generation of keys: its id, its symmetric key, the public key of its admin."""

    id: EpochId
    key: bytes = field(repr=False)
    admin: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Everything that a slot opens. `seed` is the admin's private key, and None wherever a daemon runs."""

    vault: VaultId
    id_key: bytes = field(repr=False)
    epochs: tuple[Epoch, ...] = field(repr=False)
    seed: bytes | None = field(repr=False)

    @property
    def newest(self) -> Epoch:
        """The epoch under which new files are sealed."""
        return self.epochs[-1]

    def epoch(self, epoch_id: EpochId) -> Epoch | None:
        """Return the epoch of that id, None if this keyring does not have it."""
        return next((epoch for epoch in self.epochs if epoch.id == epoch_id), None)

    def without_seed(self) -> Keyring:
        """Return the keyring as a daemon may hold it."""
        return replace(self, seed=None)

    def own_master_key(self) -> bytes:
        """Return the 32-byte master key of the own vault file."""
        return derive(self.newest.key, b"", b"otpkeep/v1/own" + self.vault, 32)

    def store_label(self) -> bytes:
        """Return the label under which a store wraps its device secrets with the newest epoch key."""
        return b"otpkeep/v1/store" + self.vault


def new_keyring(random: bytes) -> Keyring:
    """Return the keyring of a new vault made of 112 random bytes."""
    seed, id_key, epoch_key, epoch_id = random[:32], random[32:64], random[64:96], random[96:112]
    admin = public_key(seed)
    return Keyring(vault_id(admin), id_key, (Epoch(epoch_id, epoch_key, admin),), seed)


def public_key(seed: bytes) -> bytes:
    """Return the Ed25519 public key (32 bytes) of a private seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def encode(keyring: Keyring) -> bytes:
    """Return the canonical bytes of a keyring."""
    epochs = [{"id": e.id, "key": e.key, "admin": e.admin} for e in keyring.epochs]
    return wire.encode({"vault": keyring.vault, "id_key": keyring.id_key, "epochs": epochs, "seed": keyring.seed})


def decode(data: bytes) -> Keyring:
    """Return the keyring of canonical bytes. Malformed for others."""
    value = wire.decode(data, KEYRING_LIMIT)
    if not _is_keyring(value):
        raise Malformed("a keyring with other keys than it should have")
    epochs = tuple(Epoch(e["id"], e["key"], e["admin"]) for e in value["epochs"])
    return Keyring(value["vault"], value["id_key"], epochs, value["seed"])


def _is_keyring(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"vault", "id_key", "epochs", "seed"}
        and is_bytes(value["vault"], 16)
        and is_bytes(value["id_key"], 32)
        and (value["seed"] is None or is_bytes(value["seed"], 32))
        and isinstance(value["epochs"], list)
        and len(value["epochs"]) > 0
        and all(_is_epoch(epoch) for epoch in value["epochs"])
    )


def _is_epoch(value: Mapping[str, Any]) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"id", "key", "admin"}
        and is_bytes(value["id"], 16)
        and is_bytes(value["key"], 32)
        and is_bytes(value["admin"], 32)
    )


def unlock_label(vault: VaultId) -> bytes:
    """Return the label under which a store wraps its keys with the key that the daemon unlocks itself with."""
    return b"otpkeep/v1/unlock" + vault


def wrap(key: bytes, label: bytes, plaintext: bytes, random: bytes) -> bytes:
    """Return `plaintext` sealed under `key` for one labelled use. `random` is 32 fresh random bytes.

    Each call derives a key of its own from them, so the nonce may be constant and no count of uses is needed.
    """
    return random + AESGCM(derive(key, random, label, 32)).encrypt(_ZERO_NONCE, plaintext, label)


def unwrap(key: bytes, label: bytes, wrapped: bytes) -> bytes:
    """Return what `wrap` sealed. NotAuthentic for any other key, label or bytes; Malformed if they are too few."""
    if len(wrapped) < 48:
        raise Malformed("a sealed value cut short")
    try:
        return AESGCM(derive(key, wrapped[:32], label, 32)).decrypt(_ZERO_NONCE, wrapped[32:], label)
    except (InvalidTag, ValueError) as error:
        raise NotAuthentic("a sealed value of this store that its key does not open") from error
