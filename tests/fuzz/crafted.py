"""Hostile plaintexts in honest wrappings: what a device that was admitted, or a machine that lies, could write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otpkeep_protocol import content, sealing, slots, wire
from otpkeep_protocol.errors import Malformed
from otpkeep_protocol.ids import event_hash, sha256
from otpkeep_protocol.keyring import Keyring
from otpkeep_protocol.statements import sign
from support_vault import Random, keyring, make_author

RING: Keyring = keyring("fuzz")
AUTHOR = make_author("fuzz", RING)
CODE = bytes(range(slots.CODE_SIZE))
SALT = Random("fuzz salt")(32)


def sealed(padded: bytes) -> bytes:
    """Return a sealed file of these padded bytes, rightly padded or not."""
    start = sealing.prefix(sealing.SEALED, RING.vault, RING.newest.id)
    keys = sealing.derive(RING.newest.key, SALT, b"otpkeep/v1/file" + RING.vault, 64)
    header = start + SALT + keys[32:]
    return header + sealing.encrypt(keys[:32], header, padded)


def recovery_slot(plain: bytes) -> bytes:
    """Return a slot for CODE with these bytes where the keyring belongs."""
    keys = sealing.derive(CODE, SALT, b"otpkeep/v1/slot" + RING.vault, 64)
    start = sealing.prefix(sealing.SLOT, RING.vault, RING.newest.id)
    header = start + SALT + keys[32:] + bytes([slots.RECOVERY]) + bytes(9)
    return header + sealing.encrypt(keys[:32], header, sealing.pad(plain))


def signed(kind: str, payload: Any, nonce: bytes = AUTHOR.nonce) -> bytes:
    """Return content of this payload with the signature that it would need. Malformed if nothing can be signed."""
    message = b"otpkeep/v1/content" + wire.encode([RING.vault, kind, *_asserted(kind, payload)])
    whole = {
        "kind": kind,
        "device": AUTHOR.public_key,
        "nonce": nonce,
        "certificate": AUTHOR.certificate,
        "payload": payload,
        "signature": sign(AUTHOR.seed, message),
    }
    return wire.encode(whole)


def _asserted(kind: str, payload: Any) -> list[Any]:
    try:
        if kind == "run":
            last = wire.unpack(payload[-1][0])
            return [last["writer"], last["seq"], event_hash(payload[-1][0])]
        if kind == "beat":
            return [AUTHOR.writer, payload["wall"], payload["seen"]]
        return [AUTHOR.writer, sha256(payload["state"]), payload["seen"]]
    except (KeyError, IndexError, TypeError, AttributeError):
        return []


def chained(told: Any) -> list[content.Pair]:
    """Return a run of AUTHOR's events for an array of [envelope, body] maps: places, hashes and links are made right.

    Key by key an input may say otherwise under `!`: what stands there goes in as it is.
    """
    pairs: list[content.Pair] = []
    prev: bytes | None = None
    for seq, item in enumerate(told if isinstance(told, list) else [], start=1):
        envelope, body = _maps(item)
        sealed_body = bytes(16) + wire.encode(body)
        place = {"v": 1, "vault": RING.vault, "writer": AUTHOR.writer, "seq": seq, "body": sha256(sealed_body)}
        link = {} if prev is None else {"prev": prev}
        made = wire.encode({**envelope, **place, **link, **_maps([envelope.get("!"), None])[0]})
        pairs.append((made, sealed_body if body else None))
        prev = event_hash(made)
    if not pairs:
        raise Malformed("no events in it")
    return pairs


def _maps(item: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    both = [*item, None, None][:2] if isinstance(item, list) else [item, None]
    envelope, body = (part if isinstance(part, dict) else {} for part in both)
    return envelope, body
