"""Causal contexts: which events were seen (SPEC §6 and §7).

A context maps a writer to its pieces. For a writer with one chain, pieces unite as intervals. For a forked one
they are kept apart, and a dot is not covered when held links prove it to lie on another branch:

    1 ── 2 ── 3a ── 4a      a piece 1…4 ending in 4a covers 3a, and not 3b
          └── 3b
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from otpkeep_protocol.ids import Dot, Piece, WriterId

Context: TypeAlias = dict[WriterId, tuple[Piece, ...]]


class Link(NamedTuple):
    """A known event of a forked writer; `prev` is the 16-byte hash before it, None for the first or if not held."""

    prev: bytes | None
    held: bool


Place: TypeAlias = tuple[int, bytes]
"""Seq and 16-byte hash: where an event of a known writer stands."""

Forks: TypeAlias = Mapping[WriterId, Mapping[Place, Link]]
"""For each forked writer, the links of its known events; other writers are absent."""

NO_FORKS: Forks = {}
MOST_PIECES = 1024
"""Of 42 bytes or so each, in an envelope of 65,536."""


def unite(context: Context, pieces: Iterable[Piece], forks: Forks = NO_FORKS) -> bool:
    """Add `pieces` to `context`, which stays in its one canonical form. Return whether it grew by that."""
    grew = False
    scattered: dict[WriterId, list[Piece]] = {}
    for piece in pieces:
        writer, first, last, _ = piece
        old = context.get(writer)
        if old is None:
            context[writer] = (piece,)
            grew = True
        elif writer not in forks and len(old) == 1 and old[0].first <= first <= old[0].last + 1:
            if last > old[0].last:
                context[writer] = (piece if first == old[0].first else piece._replace(first=old[0].first),)
                grew = True
        else:
            scattered.setdefault(writer, []).append(piece)
    # All at once: one after the other would take a time that grows with the square of a hostile number of pieces.
    for writer, more in scattered.items():
        every = (*context[writer], *more)
        new = _maximal(set(every), forks[writer]) if writer in forks else _intervals(every)
        if new != context[writer]:
            context[writer] = new
            grew = True
    return grew


def covers(context: Context, dot: Dot, forks: Forks = NO_FORKS) -> bool:
    """Tell whether `dot` is among what `context` has seen."""
    writer, seq, digest = dot
    for _, first, last, tip in context.get(writer, ()):
        if first <= seq <= last:
            if writer not in forks:
                return True
            ancestor = _ancestor(forks[writer], tip, last, seq)
            if ancestor is None or ancestor == digest:
                return True
    return False


def surely_covers(context: Context, dot: Dot, forks: Forks = NO_FORKS) -> bool:
    """Tell whether `context` has seen `dot` beyond doubt; of a forked writer, only as far as held links prove it."""
    links = forks.get(dot.writer)
    if links is None:
        return covers(context, dot)
    reaching = [piece for piece in context.get(dot.writer, ()) if piece.first <= dot.seq <= piece.last]
    return any(_ancestor(links, piece.hash, piece.last, dot.seq) == dot.hash for piece in reaching)


def pieces_of(context: Context) -> list[Piece]:
    """Return all pieces of `context`, ascending."""
    return sorted(piece for pieces in context.values() for piece in pieces)


def within_budget(pieces: Iterable[Piece], own: WriterId) -> list[Piece]:
    """Return the pieces that an event has room for, ascending: the own writer's first, then the widest.

    To claim less than one holds only makes events concurrent that were not; it loses nothing.
    """
    order = sorted(pieces, key=lambda p: (p.writer != own, p.first - p.last))
    return sorted(order[:MOST_PIECES])


def from_pieces(pieces: Iterable[Piece], forks: Forks = NO_FORKS) -> Context:
    """Return the context of `pieces`."""
    context: Context = {}
    unite(context, pieces, forks)
    return context


def _intervals(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """Unite overlapping and touching pieces of one unforked chain."""
    merged: list[Piece] = []
    for piece in sorted(pieces):
        if merged and piece.first <= merged[-1].last + 1:
            end = max(merged[-1], piece, key=lambda p: p.last)
            merged[-1] = Piece(piece.writer, merged[-1].first, end.last, end.hash)
        else:
            merged.append(piece)
    return tuple(merged)


def _maximal(pieces: set[Piece], links: Mapping[Place, Link]) -> tuple[Piece, ...]:
    """Return `pieces` without those contained in another that provably descends from them."""
    return tuple(sorted(p for p in pieces if not any(_contains(q, p, links) for q in pieces if q != p)))


def _contains(outer: Piece, inner: Piece, links: Mapping[Place, Link]) -> bool:
    if outer.first > inner.first or outer.last < inner.last:
        return False
    return _ancestor(links, outer.hash, outer.last, inner.last) == inner.hash


def _ancestor(links: Mapping[Place, Link], tip: bytes, seq: int, target: int) -> bytes | None:
    """Walk back from the event `tip` at `seq` to `target`; return the hash there, None where a link is not held."""
    while seq > target:
        link = links.get((seq, tip))
        if link is None or link.prev is None:
            return None
        tip, seq = link.prev, seq - 1
    return tip
