"""Events as values, and their canonical bytes (SPEC §4).

`compose` makes the envelope and body of a new event; `read` turns stored bytes back into an Event. Three things may
be wrong with an event, and they are told apart:

    Malformed raised    no chain can be read from it: the whole file is spoilt
    event.held = False  it needs a newer otpkeep; kept, passed on, not counted as held
    event.problem       it breaks another rule: it occupies its seq and has no effect
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any, NamedTuple

from otpkeep_protocol import wire
from otpkeep_protocol.errors import Malformed
from otpkeep_protocol.ids import Dot, Piece, VaultId, event_hash, sha256
from otpkeep_protocol.rules import FEATURES, check_body, check_envelope, is_bytes, needs_update

ENVELOPE_LIMIT = 65_536
BODY_LIMIT = 1_048_576
SALT_SIZE = 16
NEEDS_UPDATE = "it needs a newer otpkeep"
"""The problem of an event that is not held."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What an author wants to record; `values` maps field names to wire values, None meaning unset.

    `seen` is given only for what is written again: what it had seen, instead of all that is held now. `unseen` are
    events that are held, and that whoever made the edit did not know. `critical` are the features without which nobody
    may take the event for what it seems.
    """

    kind: str
    account: bytes | None = None
    alive: bool | None = None
    weak: bool = False
    values: Mapping[str, wire.Value] = field(default_factory=dict, repr=False)
    extra: Mapping[str, wire.Value] = field(default_factory=dict, repr=False)
    seen: tuple[Piece, ...] | None = None
    critical: tuple[str, ...] = ()
    unseen: tuple[Dot, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands: chain position, causal context, clocks; `salt` is 16 random bytes."""

    vault: VaultId
    writer: bytes
    seq: int
    prev: bytes | None
    lamport: int
    wall: int
    seen: tuple[Piece, ...]
    salt: bytes = field(repr=False)


class Event(NamedTuple):
    """An event as it was read. `values` is None where the body was dropped; `extra` has the body's other keys.

    A tuple, since a long history makes very many of them.
    """

    dot: Dot
    hash: bytes
    prev: bytes | None
    lamport: int
    wall: int
    seen: tuple[Piece, ...]
    kind: str
    account: bytes | None
    alive: bool | None
    weak: bool
    fields: tuple[str, ...]
    values: Mapping[str, wire.Value] | None
    extra: Mapping[str, wire.Value]
    problem: str | None = None
    held: bool = True

    def __repr__(self) -> str:
        """Name the event, and tell nothing of what it says."""
        return f"Event({self.kind} {self.dot.writer.hex()}.{self.dot.seq})"


def compose(draft: Draft, place: Place) -> tuple[bytes, bytes, Event]:
    """Return (envelope, body) of a new event as they are stored, and the event. Malformed if it would be invalid."""
    body = place.salt + wire.encode({"set": dict(draft.values), **draft.extra})
    content: dict[str, Any] = {
        "v": 1,
        "vault": place.vault,
        "writer": place.writer,
        "seq": place.seq,
        "prev": place.prev,
        "lamport": place.lamport,
        "wall": place.wall,
        "seen": [list(piece) for piece in sorted(place.seen)],
        "kind": draft.kind,
        "account": draft.account,
        "alive": draft.alive,
        "weak": True if draft.weak else None,
        "critical": sorted(draft.critical, key=str.encode) or None,
        "fields": sorted(draft.values, key=str.encode),
        "body": sha256(body),
    }
    envelope = wire.encode({key: value for key, value in content.items() if value is not None})
    event = read(envelope, body, place.vault, draft.critical)
    if event.problem is not None:
        raise Malformed(f"this edit can't be recorded: {event.problem}", "Nothing was changed.")
    return envelope, body, event


def read(envelope: bytes, body: bytes | None, vault: VaultId, understood: Collection[str] = FEATURES) -> Event:
    """Return the event of bytes from outside. Malformed if not even its place in a chain can be read.

    One that needs a feature that is not among the `understood` is not held. An envelope that keeps the rules is
    canonical by them; only one that breaks them is asked whether it is canonical.
    """
    content = wire.parse(envelope, ENVELOPE_LIMIT)
    prev = _check_place(content, vault)
    if content["v"] != 1 or needs_update(content.get("critical"), understood):
        wire.check(content)
        return _needs_update(content, envelope, prev)
    if body is not None and hashlib.sha256(body).digest() != content.get("body"):
        raise Malformed("a body that is not the one its envelope names")
    try:
        check_envelope(content)
        values = _open_body(content, body)
    except Malformed as error:
        wire.check(content)
        return _invalid(content, envelope, prev, error.message)
    return _event(content, envelope, values)


def reread(envelope: bytes, body: bytes | None) -> Event:
    """Return the event of bytes that once passed `read` without a problem: nothing is checked again."""
    values = None if body is None else wire.unpack(body[SALT_SIZE:])
    return _event(wire.unpack(envelope), envelope, values)


def _check_place(content: wire.Value, vault: VaultId) -> bytes | None:
    """Check the keys that chain an event, and return `prev`."""
    if not isinstance(content, dict):
        raise Malformed("an envelope that is not a map")
    version, seq, prev = content.get("v"), content.get("seq"), content.get("prev")
    if type(version) is not int:
        raise Malformed("an envelope without a version")
    if content.get("vault") != vault:
        raise Malformed("an event of another vault")
    if not is_bytes(content.get("writer"), 16) or type(seq) is not int or not 1 <= seq <= wire.MAX_INT:
        raise Malformed("an envelope without writer and seq")
    if not ("prev" not in content if seq == 1 else is_bytes(prev, 32)):
        raise Malformed("an envelope whose prev does not fit its seq")
    return prev


def _open_body(content: Mapping[str, Any], body: bytes | None) -> Mapping[str, Any] | None:
    if body is None:
        return None
    if not SALT_SIZE < len(body) <= BODY_LIMIT:
        raise Malformed("a body too short or too long")
    values = wire.decode(body[SALT_SIZE:], BODY_LIMIT)
    check_body(content, values)
    assert isinstance(values, dict)
    return values


def _event(content: Mapping[str, Any], envelope: bytes, body: Mapping[str, Any] | None) -> Event:
    digest, get = event_hash(envelope), content.get
    return Event(
        Dot(content["writer"], content["seq"], digest[:16]),
        digest,
        get("prev"),
        content["lamport"],
        content["wall"],
        tuple([Piece(*piece) for piece in content["seen"]]),
        intern(content["kind"]),
        get("account"),
        get("alive"),
        "weak" in content,
        tuple(content["fields"]),
        None if body is None else body["set"],
        {} if body is None else body,
    )


def _bare(content: Mapping[str, Any], envelope: bytes, prev: bytes | None) -> Event:
    """Return an event of which nothing but its place is believed."""
    digest = event_hash(envelope)
    dot = Dot(content["writer"], content["seq"], digest[:16])
    return Event(dot, digest, prev, 0, 0, (), "", None, None, False, (), None, {})


def _invalid(content: Mapping[str, Any], envelope: bytes, prev: bytes | None, problem: str) -> Event:
    return _bare(content, envelope, prev)._replace(problem=problem)


def _needs_update(content: Mapping[str, Any], envelope: bytes, prev: bytes | None) -> Event:
    return _bare(content, envelope, prev)._replace(problem=NEEDS_UPDATE, held=False)
