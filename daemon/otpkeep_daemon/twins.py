"""Whether another machine writes as this device: its files were copied there, and both went on.

A device that was restored from a backup meets events of its own that it does not know: those that it lost. Only of a
twin that lives can one of these have seen what this store wrote after it first met that writer:

    here    w.7 ── w.8 ─────── (w.9) sees x.1           x.1 says nothing: it may be from before a restore
    there         └── x.1 ──────────────── x.2 sees w.9 and so is not from the past
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from otpkeep_daemon.store import Store
from otpkeep_protocol import wire
from otpkeep_protocol.ids import Piece, WriterId

_KEY = "twins"
_LIMIT = 1_048_576


@dataclass(frozen=True, slots=True)
class Twin:
    """A writer of this device that this store did not open, and where its own writer stood when that was first met.

    `proven` is when (ms) an event of it was last met that has seen what was written here since then, 0 if never;
    `accepted` is up to when a person knows of that.
    """

    writer: WriterId
    own: WriterId
    seq: int
    proven: int = 0
    accepted: int = 0


def known(store: Store) -> list[Twin]:
    """Return the writers of this device that others have opened or gone on with, proven to live or not."""
    kept = store.get(_KEY)
    return [] if kept is None else [Twin(*row) for row in wire.decode(kept, _LIMIT)]


def alive(store: Store) -> list[Twin]:
    """Return those of which a person has to hear."""
    return [twin for twin in known(store) if twin.proven > twin.accepted]


def accept_all(store: Store) -> list[Twin]:
    """Take what is proven for accepted, inside a transaction. Return what of it was news."""
    news = alive(store)
    if news:
        _put(store, [replace(twin, accepted=twin.proven) for twin in known(store)])
    return news


def meet(
    store: Store, met: Iterable[tuple[WriterId, Sequence[Piece]]], own: WriterId, now_ms: int, *, forked: bool
) -> None:
    """Take in what came from this device's key and was not made here: each with its writer and what it had seen.

    `own` is this store's writer from now on; it is another one than before if the old one `forked`. Inside the
    transaction that keeps it, before it is known to be held.
    """
    before = {twin.writer: twin for twin in known(store)}
    # events of the old writer may be somebody else's as well: only what comes after them proves anything
    after = {w: replace(twin, own=own, seq=0) for w, twin in before.items()} if forked else dict(before)
    for writer, seen in met:
        if writer in before and any(_is_proof(store, after[writer], piece) for piece in seen):
            twin = after[writer]
            after[writer] = replace(twin, proven=max(now_ms, twin.proven, twin.accepted + 1))
        elif writer != own:
            after.setdefault(writer, Twin(writer, own, _head(store, own)))
    if after != before:
        _put(store, after.values())


def _is_proof(store: Store, twin: Twin, piece: Piece) -> bool:
    """Tell whether a piece names an event that was written here after the twin was met."""
    return piece.writer == twin.own and piece.last > twin.seq and store.holds(piece.writer, piece.last, piece.hash)


def _head(store: Store, writer: WriterId) -> int:
    head = store.head(writer)
    return 0 if head is None else head[0]


def _put(store: Store, twins: Iterable[Twin]) -> None:
    rows: list[wire.Value] = [[t.writer, t.own, t.seq, t.proven, t.accepted] for t in twins]
    store.put(_KEY, wire.encode(rows))
