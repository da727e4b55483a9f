"""What is known of each writer's chain: what is held, what is missing, where it forks (SPEC §7).

held     1 ── 2 ── 3           6 ── 7        → `seen` pieces 1…3 and 6…7
missing                4 ── 5                → waiting for 2 events
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from otpkeep_protocol.context import Context, Forks, Link, Place, covers, from_pieces, pieces_of
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import Dot, Piece, WriterId


@dataclass(slots=True)
class Chain:
    """One writer: a hash for each known seq, the held seqs, the links once it forked, and what it last had seen."""

    hashes: dict[int, bytes] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    opaque: set[int] = field(default_factory=set)
    last: int = 0
    links: dict[Place, Link] | None = None
    tip: tuple[int, int, tuple[Piece, ...]] = (0, 0, ())
    beat: tuple[int, tuple[Piece, ...]] = (0, ())

    def note(self, seq: int, digest: bytes) -> bool:
        """Take in that `seq` has this 16-byte hash. Return True if that made, or extends, a fork."""
        self.last = max(self.last, seq)
        if self.hashes.setdefault(seq, digest) == digest and self.links is None:
            return False
        if self.links is None:
            self._fork()
        assert self.links is not None
        if (seq, digest) in self.links:
            return False
        self.links[seq, digest] = Link(None, held=False)
        return True

    def hold(self, dot: Dot, prev: bytes | None) -> bool:
        """Take in a held event. Return True if knowledge of a fork changed."""
        changed = self.note(dot.seq, dot.hash)
        if prev is not None:
            changed |= self.note(dot.seq - 1, prev)
        self.held.add(dot.seq)
        if self.links is not None:
            link = Link(prev, held=True)
            changed |= self.links.get((dot.seq, dot.hash)) != link
            self.links[dot.seq, dot.hash] = link
        return changed

    def _fork(self) -> None:
        hashes, held = self.hashes, self.held
        self.links = {
            (seq, digest): Link(hashes.get(seq - 1) if seq in held else None, held=seq in held)
            for seq, digest in hashes.items()
        }

    def holds(self, dot: Dot) -> bool:
        """Tell whether this very event is held."""
        if self.links is not None:
            link = self.links.get((dot.seq, dot.hash))
            return link is not None and link.held
        return dot.seq in self.held and self.hashes[dot.seq] == dot.hash

    def before(self, dot: Dot) -> bytes | None:
        """Return the 16-byte hash of the event before a held one, None if there is none."""
        return self.hashes.get(dot.seq - 1) if self.links is None else self.links[dot.seq, dot.hash].prev

    def held_count(self) -> int:
        """Return how many events are held, those of every branch."""
        return len(self.held) if self.links is None else sum(link.held for link in self.links.values())

    def missing(self) -> int:
        """Return how many events are known to exist and are not held, those of other branches included."""
        waiting = self.last - len(self.held | self.opaque)
        if self.links is None:
            return waiting
        return waiting + sum(not link.held and seq in self.held for (seq, _), link in self.links.items())

    def pieces(self, writer: WriterId) -> list[Piece]:
        """Return the unbroken held runs, each with the hash of its last event."""
        if self.links is not None:
            return self._branch_pieces(writer, self.links)
        runs: list[Piece] = []
        for seq in sorted(self.held):
            first = runs.pop().first if runs and runs[-1].last == seq - 1 else seq
            runs.append(Piece(writer, first, seq, self.hashes[seq]))
        return runs

    def _branch_pieces(self, writer: WriterId, links: dict[Place, Link]) -> list[Piece]:
        held = {place for place, link in links.items() if link.held}
        parents = {_parent(place, links[place]) for place in held}
        runs = []
        for tip in held - parents:
            first, before = tip, _parent(tip, links[tip])
            while before in held:
                first, before = before, _parent(before, links[before])
            runs.append(Piece(writer, first[0], *tip))
        return runs


def _parent(place: Place, link: Link) -> Place | None:
    return None if link.prev is None else (place[0] - 1, link.prev)


class Chains:
    """All writers of a vault. Grows by `add`; everything else is a question."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._chains: dict[WriterId, Chain] = {}
        self._clock = 0
        self._count = 0
        self._ahead: list[int] = []
        self._seen: Context | None = None
        for event in events:
            self.add(event)

    def add(self, event: Event) -> bool:
        """Take in an event. Return True if knowledge of forks changed, so that states must be folded anew."""
        dot = event.dot
        chain = self._chain(dot.writer)
        if not event.held:
            self._hold_opaque(chain, dot)
            return False
        if chain.holds(dot):
            return False
        changed = chain.hold(dot, event.prev[:16] if event.prev is not None else None)
        for writer, _, last, digest in event.seen:
            changed |= self._chain(writer).note(last, digest)
        if dot.seq >= chain.tip[0]:
            chain.tip = max(chain.tip, (dot.seq, event.wall, event.seen))
        self._tick(event.lamport)
        self._extend(dot, changed)
        return changed

    def resume(self, index: Iterable[tuple[WriterId, int, bytes, int]], tips: Iterable[Event]) -> None:
        """Take in held events of unforked chains by (writer, seq, 16-byte hash, lamport) alone, all at once.

        What they had seen must be among them; `tips` are the last event of each writer.
        """
        lamports = []
        for writer, seq, digest, lamport in index:
            chain = self._chain(writer)
            chain.hashes[seq] = digest
            lamports.append(lamport)
        for chain in self._chains.values():
            chain.held = set(chain.hashes)
            chain.last = max(chain.hashes)
        for event in tips:
            self._chains[event.dot.writer].tip = (event.dot.seq, event.wall, event.seen)
        self._count = len(lamports)
        self._clock = max((lamport for lamport in lamports if lamport <= self._count), default=0)
        self._ahead = [lamport for lamport in lamports if lamport > self._count]
        heapq.heapify(self._ahead)

    def has_all(self, pieces: Iterable[Piece]) -> bool:
        """Tell whether every event of these pieces is held."""
        held = self.context()
        return all(
            self.holds(Dot(piece.writer, piece.last, piece.hash))
            and any(p.first <= piece.first and piece.last <= p.last for p in held.get(piece.writer, ()))
            for piece in pieces
        )

    def contradicts(self, pieces: Iterable[Piece]) -> bool:
        """Tell whether one of these pieces ends in another event than the one that is known at its place."""
        known = ((self._chains.get(piece.writer), piece) for piece in pieces)
        return any(chain is not None and chain.hashes.get(p.last, p.hash) != p.hash for chain, p in known)

    @property
    def whole(self) -> bool:
        """Tell whether all that is named is held, without forks, and nothing needs a newer otpkeep."""
        return not self.forks and not self.missing() and not any(c.opaque for c in self._chains.values())

    def _hold_opaque(self, chain: Chain, dot: Dot) -> None:
        """Count an event that needs an update: it is there, so nobody waits for it; nothing else is known of it."""
        if dot.seq not in chain.opaque:
            chain.opaque.add(dot.seq)
            chain.last = max(chain.last, dot.seq)
            self._tick(None)

    def note_seen(self, writer: WriterId, seen: tuple[Piece, ...], wall: int) -> None:
        """Take in a beat: what its author had seen, and that this exists. A beat proves no fork (SPEC §7)."""
        chain = self._chain(writer)
        chain.beat = max(chain.beat, (wall, seen))
        for piece in seen:
            named = self._chain(piece.writer)
            named.last = max(named.last, piece.last)

    def holds(self, dot: Dot) -> bool:
        """Tell whether this very event is held."""
        chain = self._chains.get(dot.writer)
        return chain is not None and chain.holds(dot)

    def seen(self) -> tuple[Piece, ...]:
        """Return the pieces that an event written now would list, ascending."""
        return tuple(pieces_of(self.context()))

    def seen_but(self, dots: Collection[Dot]) -> tuple[Piece, ...]:
        """Return the same for an event whose author had not seen these held ones."""
        pieces = list(self.seen())
        for dot in dots:
            pieces = [part for piece in pieces for part in self._around(piece, dot)]
        return tuple(sorted(pieces))

    def _around(self, piece: Piece, dot: Dot) -> list[Piece]:
        """Return what is left of a piece without one event."""
        writer, first, last, tip = piece
        if writer != dot.writer or not covers({writer: (piece,)}, dot, self.forks):
            return [piece]
        before = self._chains[writer].before(dot)
        head = [Piece(writer, first, dot.seq - 1, before)] if dot.seq > first and before is not None else []
        return [*head, *([Piece(writer, dot.seq + 1, last, tip)] if dot.seq < last else [])]

    def context(self) -> Context:
        """Return all that is held, as a context."""
        if self._seen is None:
            pieces = [piece for writer, chain in self._chains.items() for piece in chain.pieces(writer)]
            self._seen = from_pieces(pieces, self.forks)
        return self._seen

    @property
    def clock(self) -> int:
        """The greatest lamport of a held event that is not above the number of held events."""
        return self._clock

    @property
    def forks(self) -> Forks:
        """The links of the forked writers, as contexts need them."""
        return {writer: chain.links for writer, chain in self._chains.items() if chain.links is not None}

    def missing(self) -> dict[WriterId, int]:
        """Return, for each writer with gaps, how many events are known to exist and are not held."""
        counts = {writer: chain.missing() for writer, chain in self._chains.items()}
        return {writer: count for writer, count in counts.items() if count > 0}

    @property
    def held_count(self) -> int:
        """How many events are held, without those that need an update."""
        return sum(chain.held_count() for chain in self._chains.values())

    def holes(self, writer: WriterId, besides: Collection[int] = ()) -> list[tuple[int, int]]:
        """Return first and last seq of each run of events of `writer` that are named and not held.

        Those whose seq is in `besides` are somewhere else, and left out.
        """
        chain = self._chains.get(writer, Chain())
        runs, first = [], 1
        for seq in sorted({*chain.held, *chain.opaque, *besides, chain.last + 1}):
            if first < seq <= chain.last + 1:
                runs.append((first, seq - 1))
            first = max(first, seq + 1)
        return runs

    def last_known(self, writer: WriterId) -> int:
        """Return the highest seq that anything names of `writer`, 0 if nothing does."""
        chain = self._chains.get(writer)
        return chain.last if chain is not None else 0

    def last_seen_by(self, writer: WriterId) -> tuple[Context, int]:
        """Return what `writer` had seen at its latest event or beat, and the wall time (ms) of that."""
        chain = self._chains.get(writer, Chain())
        _, wall, seen = chain.tip
        return from_pieces((*seen, *chain.beat[1]), self.forks), max(wall, chain.beat[0])

    def seen_at_head(self, writer: WriterId) -> Context:
        """Return what `writer` had seen at its latest held event; unlike a beat, that stays the same for ever."""
        chain = self._chains.get(writer, Chain())
        return from_pieces(chain.tip[2], self.forks)

    def writers(self) -> list[WriterId]:
        """Return every writer that is held or named, ascending."""
        return sorted(self._chains)

    def _chain(self, writer: WriterId) -> Chain:
        chain = self._chains.get(writer)
        if chain is None:
            chain = self._chains[writer] = Chain()
        return chain

    def _tick(self, lamport: int | None) -> None:
        self._count += 1
        if lamport is not None and lamport > self._count:
            heapq.heappush(self._ahead, lamport)
        elif lamport is not None and lamport > self._clock:
            self._clock = lamport
        while self._ahead and self._ahead[0] <= self._count:
            self._clock = max(self._clock, heapq.heappop(self._ahead))

    def _extend(self, dot: Dot, changed: bool) -> None:
        """Keep the cached context up to date in the common case, the next event of an unforked writer."""
        if changed or self._seen is None:
            self._seen = None
            return
        chain, pieces = self._chains[dot.writer], self._seen.get(dot.writer)
        grown = Piece(dot.writer, pieces[-1].first if pieces else dot.seq, dot.seq, dot.hash)
        if chain.links is None and (pieces is None or (len(pieces) == 1 and pieces[0].last == dot.seq - 1)):
            self._seen[dot.writer] = (grown,)
        else:
            self._seen = None
