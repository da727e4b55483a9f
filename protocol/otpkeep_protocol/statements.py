"""What the admin key signs: certificates and admin statements (SPEC §9).

They are signed by a command in its own process, and carried by daemons, which never hold the admin key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from otpkeep_protocol import wire
from otpkeep_protocol.errors import NotAuthentic, Refused
from otpkeep_protocol.ids import EpochId, VaultId, sha256
from otpkeep_protocol.keyring import Keyring


def sign(seed: bytes, message: bytes) -> bytes:
    """Return the Ed25519 signature (64 bytes) of `message`."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def check_signature(public_key: bytes, signature: bytes, message: bytes, what: str) -> None:
    """Raise NotAuthentic, naming `what`, if the signature does not hold."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise NotAuthentic(f"{what} with a signature that does not hold") from error


def make_statement(
    keyring: Keyring, kind: str, values: Mapping[str, wire.Value], supersedes: Iterable[bytes] = ()
) -> dict[str, wire.Value]:
    """Return a signed statement. Refused without the admin seed."""
    if keyring.seed is None:
        raise Refused("this needs the vault's admin key", "Give the passphrase to a command of its own.")
    epoch, older = keyring.newest.id, sorted(supersedes)
    signature = sign(keyring.seed, _message(keyring.vault, epoch, kind, values, older))
    return {"epoch": epoch, "kind": kind, "values": dict(values), "supersedes": older, "signature": signature}


def check_admin(statement: Mapping[str, wire.Value], keyring: Keyring) -> bytes:
    """Return the id (32 bytes) of a well-formed statement. NotAuthentic if its epoch's admin did not sign it."""
    vault, epoch = keyring.vault, statement["epoch"]
    message = _message(vault, epoch, statement["kind"], statement["values"], statement["supersedes"])
    check_signature(_admin(keyring, epoch), statement["signature"], message, "an admin statement")
    return sha256(message)


def current(statements: Iterable[tuple[bytes, Mapping[str, wire.Value]]]) -> list[Mapping[str, wire.Value]]:
    """Return the (id, statement) pairs' statements that no other supersedes, the one to use first."""
    known = dict(statements)
    superseded = {older for statement in known.values() for older in statement["supersedes"]}
    return [known[key] for key in sorted(known.keys() - superseded, reverse=True)]


def make_certificate(keyring: Keyring, device_public_key: bytes) -> list[bytes]:
    """Return the certificate by which the admin admits a device."""
    statement = make_statement(keyring, "device.add", {"device": device_public_key})
    return [statement["epoch"], statement["signature"]]


def check_certificate(certificate: list[bytes], device_public_key: bytes, keyring: Keyring) -> None:
    """Raise NotAuthentic unless the admin of the epoch that the certificate names admitted this device."""
    epoch, signature = certificate
    message = _message(keyring.vault, epoch, "device.add", {"device": device_public_key}, [])
    check_signature(_admin(keyring, epoch), signature, message, "a device certificate")


def _admin(keyring: Keyring, epoch_id: EpochId) -> bytes:
    epoch = keyring.epoch(epoch_id)
    if epoch is None:
        raise NotAuthentic("a statement under an epoch that this keyring does not have")
    return epoch.admin


def _message(
    vault: VaultId, epoch: EpochId, kind: str, values: Mapping[str, wire.Value], supersedes: list[bytes]
) -> bytes:
    return b"otpkeep/v1/statement" + wire.encode([vault, epoch, kind, dict(values), supersedes])
