"""After a rollback: which of a device's own events must be written again (SPEC §7).

A device that was restored from a backup writes on from an older head. Others have seen its lost events:

    lost   6 ── 7 ── 8      a piece 1…8 of another device means these,
         ╱                  and seems to cover 6', which it never saw
    1 ─ 5 ── 6'

What is covered by such claims alone is written again by a new writer, with the `seen` that it had: concurrent with
whatever was made meanwhile, so nothing is lost, and nobody's edit is overridden.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from otpkeep_protocol import wire
from otpkeep_protocol.context import Forks, Place, covers, from_pieces
from otpkeep_protocol.events import Draft, Event
from otpkeep_protocol.ids import WriterId, sha256

MARK = 16
"""Bytes of a mark."""


def drafts(history: Iterable[Event], writer: WriterId, held: Collection[Place], forks: Forks) -> list[Draft]:
    """Return what to write again of `writer`'s events in one account's history; `held` is all that is held of it."""
    events = [event for event in history if event.problem is None and event.held]
    own = [event for event in events if event.dot.writer == writer and event.values is not None]
    found = (_again(event, events, held, forks) for event in own)
    return [draft for draft in found if draft is not None]


def mark(draft: Draft) -> bytes:
    """Return MARK bytes that stand for a draft, so that it is written once."""
    parts: list[wire.Value] = [draft.kind, draft.account, draft.alive, draft.weak, dict(draft.values)]
    return sha256(wire.encode([*parts, [list(piece) for piece in draft.seen or ()]]))[:MARK]


def _again(event: Event, events: list[Event], held: Collection[Place], forks: Forks) -> Draft | None:
    fields = [n for n in event.fields if _doubtful(event, [e for e in events if n in e.fields], held, forks)]
    lives = event.alive is not None and _doubtful(event, [e for e in events if e.alive is not None], held, forks)
    if not fields and not lives:
        return None
    assert event.values is not None
    values = {name: event.values[name] for name in fields}
    kind = event.kind if event.alive is False else "account.edit"
    return Draft(kind, event.account, event.alive if lives else None, event.weak, values, seen=event.seen)


def _doubtful(event: Event, writes: list[Event], held: Collection[Place], forks: Forks) -> bool:
    """Tell whether `event` is covered in a register by claims about lost events, and by none that surely knew it."""
    dot = event.dot
    claims = [
        piece
        for write in writes
        for piece in write.seen
        if piece.writer == dot.writer and piece.first <= dot.seq <= piece.last
    ]
    sure = [piece for piece in claims if (piece.last, piece.hash) in held]
    return len(sure) < len(claims) and not any(covers(from_pieces([p], forks), dot, forks) for p in sure)
