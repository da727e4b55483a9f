"""What is inside a sealed file: a run of events, a beat or a snapshot, with who vouches for it (SPEC §8)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

from otpkeep_protocol import events, state, wire
from otpkeep_protocol.errors import Malformed, NotAuthentic
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import DeviceId, Piece, VaultId, WriterId, device_id, event_hash, sha256, writer_id
from otpkeep_protocol.keyring import Keyring, public_key
from otpkeep_protocol.rules import FEATURES, check_pieces, is_bytes, is_certificate
from otpkeep_protocol.sealing import CONTENT_LIMIT
from otpkeep_protocol.state import State
from otpkeep_protocol.statements import check_certificate, check_signature, sign

Pair: TypeAlias = tuple[bytes, bytes | None]
"""An event as stored: envelope, and body or None."""

KEY_SIZE = 32
"""Bytes of a device's public key."""
_KEYS = {"kind", "device", "nonce", "certificate", "payload", "signature"}


@dataclass(frozen=True, slots=True)
class Author:
    """The device that signs: its private seed, its writer's nonce, its certificate, and what follows from these."""

    seed: bytes = field(repr=False)
    nonce: bytes
    certificate: list[bytes]
    public_key: bytes = field(init=False)
    device: DeviceId = field(init=False)
    writer: WriterId = field(init=False)

    def __post_init__(self) -> None:
        """Derive once what every event needs."""
        key = public_key(self.seed)
        object.__setattr__(self, "public_key", key)
        object.__setattr__(self, "device", device_id(key))
        object.__setattr__(self, "writer", writer_id(key, self.nonce))


@dataclass(frozen=True, slots=True)
class Run:
    """Events of one writer, in order."""

    device: DeviceId
    writer: WriterId
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Beat:
    """What a device had seen at a wall time (ms)."""

    device: DeviceId
    writer: WriterId
    wall: int
    seen: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The encoded state of what a device had seen: a cache, never evidence.

    `decoded` is that state as it is without forks, if reading it had to decode it anyway. It is not to be changed.
    """

    device: DeviceId
    writer: WriterId
    state: bytes = field(repr=False)
    seen: tuple[Piece, ...]
    decoded: State | None = field(default=None, repr=False, compare=False)


Content: TypeAlias = Run | Beat | Snapshot
EventReading: TypeAlias = Callable[[bytes, bytes | None], Event]
"""Makes the event of an envelope and a body, for one vault and one version of otpkeep."""


def make_run(author: Author, vault: VaultId, pairs: Sequence[Pair]) -> bytes:
    """Return the content of a run of the author's own events, given in order."""
    last = events.reread(*pairs[-1])
    return _make(author, vault, "run", [list(pair) for pair in pairs], [last.dot.writer, last.dot.seq, last.hash])


def make_beat(author: Author, vault: VaultId, wall: int, seen: Sequence[Piece]) -> bytes:
    """Return the content of a beat."""
    pieces = [list(piece) for piece in seen]
    return _make(author, vault, "beat", {"wall": wall, "seen": pieces}, [author.writer, wall, pieces])


def make_snapshot(author: Author, vault: VaultId, encoded: bytes, seen: Sequence[Piece]) -> bytes:
    """Return the content of a snapshot: the encoded state of exactly what `seen` covers."""
    pieces = [list(piece) for piece in seen]
    asserted = [author.writer, sha256(encoded), pieces]
    return _make(author, vault, "snapshot", {"state": encoded, "seen": pieces}, asserted)


def kind_of(data: bytes) -> str | None:
    """Return the kind that content says it has, of which the start is enough; None if it says none.

    It stands first, since canonical maps have their shortest keys first.
    """
    start = data[1:32]
    return next((kind for kind in _READERS if start.startswith(wire.encode("kind") + wire.encode(kind))), None)


def device_in(data: bytes) -> DeviceId | None:
    """Return the device that content says it is of, whether it is true or not; None if it says none."""
    try:
        value = wire.unpack(data)
    except Malformed:
        return None
    key = value.get("device") if isinstance(value, dict) else None
    return device_id(key) if isinstance(key, bytes) and len(key) == KEY_SIZE else None


def merge(contents: Sequence[bytes]) -> bytes:
    """Return one run of neighbouring runs of a writer, given in order: the last signature speaks for all of it."""
    runs = [wire.unpack(data) for data in contents]
    return wire.encode({**runs[-1], "payload": [pair for run in runs for pair in run["payload"]]})


def bodied(data: bytes) -> dict[bytes, bool]:
    """Return whether each event of a stored run has its body, by event hash."""
    return {event_hash(envelope): body is not None for envelope, body in wire.unpack(data)["payload"]}


def read(data: bytes, keyring: Keyring, understood: Collection[str] = FEATURES) -> Content:
    """Return content from outside, with every signature, certificate, hash and chain link checked.

    Malformed if it breaks the format; NotAuthentic if nobody whom the admin admitted vouches for it. `understood` are
    the critical features of events that this version knows.
    """
    value = wire.decode(data, CONTENT_LIMIT)
    _check_form(value)
    check_certificate(value["certificate"], value["device"], keyring)
    device, writer = device_id(value["device"]), writer_id(value["device"], value["nonce"])
    reading = partial(events.read, vault=keyring.vault, understood=understood)
    content, asserted = _READERS[value["kind"]](device, writer, value["payload"], reading)
    message = _message(keyring.vault, value["kind"], asserted)
    check_signature(value["device"], value["signature"], message, f"a {value['kind']}")
    return content


def reread(data: bytes, doubtful: Collection[bytes] = (), reading: EventReading = events.reread) -> list[Event]:
    """Return the events of a run that once passed `read`; no events for other content.

    Those whose hash is `doubtful` had a problem then: `reading` must check every rule of these again.
    """
    value = wire.unpack(data)
    if value["kind"] != "run":
        return []

    def one(envelope: bytes, body: bytes | None) -> Event:
        again = doubtful and event_hash(envelope) in doubtful
        return reading(envelope, body) if again else events.reread(envelope, body)

    return [one(envelope, body) for envelope, body in value["payload"]]


def ends(data: bytes) -> tuple[WriterId, int, int]:
    """Return the writer, the first and the last seq of a run that once passed `read`."""
    payload = wire.unpack(data)["payload"]
    first, last = wire.unpack(payload[0][0]), wire.unpack(payload[-1][0])
    return first["writer"], first["seq"], last["seq"]


def reread_snapshot(data: bytes) -> Snapshot:
    """Return a snapshot that once passed `read`: nothing is checked again, and its state is not opened yet."""
    value = wire.unpack(data)
    seen = tuple(Piece(*piece) for piece in value["payload"]["seen"])
    device, nonce = value["device"], value["nonce"]
    return Snapshot(device_id(device), writer_id(device, nonce), value["payload"]["state"], seen)


def passing_rank(data: bytes) -> int:
    """Return what orders the beats, or the snapshots, of one device that once passed `read`: the greatest counts."""
    payload = wire.unpack(data)["payload"]
    return int(payload["wall"]) if "wall" in payload else sum(last - first + 1 for _, first, last, _ in payload["seen"])


def _make(author: Author, vault: VaultId, kind: str, payload: Any, asserted: list[Any]) -> bytes:
    return wire.encode(
        {
            "kind": kind,
            "device": author.public_key,
            "nonce": author.nonce,
            "certificate": author.certificate,
            "payload": payload,
            "signature": sign(author.seed, _message(vault, kind, asserted)),
        }
    )


def _message(vault: VaultId, kind: str, asserted: list[Any]) -> bytes:
    return b"otpkeep/v1/content" + wire.encode([vault, kind, *asserted])


def _check_form(value: Any) -> None:
    if not isinstance(value, dict) or value.keys() != _KEYS:
        raise Malformed("content with other keys than it should have")
    if value["kind"] not in _READERS:
        raise Malformed("content of unknown kind")
    if not is_bytes(value["device"], 32) or not is_bytes(value["nonce"], 16):
        raise Malformed("content without its device and writer")
    if not is_certificate(value["certificate"]) or not is_bytes(value["signature"], 64):
        raise Malformed("content without certificate and signature")


def _read_run(device: DeviceId, writer: WriterId, payload: Any, reading: EventReading) -> tuple[Run, list[Any]]:
    if type(payload) is not list or not payload or not all(_is_pair(pair) for pair in payload):
        raise Malformed("a run that is not an array of events")
    run = tuple([reading(envelope, body) for envelope, body in payload])
    for before, event in pairwise(run):
        follows = event.dot.writer == before.dot.writer and event.dot.seq == before.dot.seq + 1
        if not follows or event.prev != before.hash:
            raise Malformed("a run whose events do not follow each other")
    if run[0].dot.writer != writer:
        raise NotAuthentic("a run of events by another writer than its file says")
    last = run[-1]
    return Run(device, writer, run), [last.dot.writer, last.dot.seq, last.hash]


def _is_pair(pair: Any) -> bool:
    return (
        type(pair) is list and len(pair) == 2 and type(pair[0]) is bytes and (pair[1] is None or type(pair[1]) is bytes)
    )


def _read_beat(device: DeviceId, writer: WriterId, payload: Any, _: EventReading) -> tuple[Beat, list[Any]]:
    if type(payload) is not dict or payload.keys() != {"wall", "seen"}:
        raise Malformed("a beat with other keys than it should have")
    wall, seen = payload["wall"], _read_pieces(payload["seen"])
    if type(wall) is not int or wall < 0:
        raise Malformed("a beat without its time")
    return Beat(device, writer, wall, seen), [writer, wall, payload["seen"]]


def _read_snapshot(device: DeviceId, writer: WriterId, payload: Any, _: EventReading) -> tuple[Snapshot, list[Any]]:
    if type(payload) is not dict or payload.keys() != {"state", "seen"} or type(payload["state"]) is not bytes:
        raise Malformed("a snapshot with other keys than it should have")
    seen = _read_pieces(payload["seen"])
    decoded = state.decode(payload["state"])
    asserted = [writer, sha256(payload["state"]), payload["seen"]]
    return Snapshot(device, writer, payload["state"], seen, decoded), asserted


def _read_pieces(pieces: Any) -> tuple[Piece, ...]:
    check_pieces(pieces)
    return tuple(Piece(*piece) for piece in pieces)


_READERS: Mapping[str, Callable[[DeviceId, WriterId, Any, EventReading], tuple[Content, list[Any]]]] = {
    "run": _read_run,
    "beat": _read_beat,
    "snapshot": _read_snapshot,
}
