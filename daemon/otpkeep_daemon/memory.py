"""What an unlocked replica keeps in memory: the chains, and the state folded from all held events.

    this device's newest snapshot + later events   at the start, instead of the whole history
    others' snapshots                              shown until the events that they stand for are here

A snapshot is a cache and never evidence (SPEC §8): as soon as the events are held, the fold of them is what counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from otpkeep_daemon.archive import Archive
from otpkeep_daemon.collecting import no_search
from otpkeep_daemon.store import CAUGHT_UP, FOLDED, Store
from otpkeep_protocol.chains import Chains
from otpkeep_protocol.content import Beat, Snapshot
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.state import State, decode


def digest_of(index: Iterable[tuple[bytes, int, bytes, int, int]]) -> bytes:
    """Return a digest of which events these are, given as the store's index has them."""
    return sha256(b"".join(writer + seq.to_bytes(8) + digest for writer, seq, digest, _, _ in index))


class Memory:
    """Follows the store and never runs ahead of it: what comes in here has been committed there."""

    def __init__(self, store: Store, archive: Archive, device: bytes) -> None:
        """Load what the store holds; `device` is this one."""
        self.chains = Chains()
        self.state = State()
        self.version = 0
        self._folded = self.state
        self._standing: list[Snapshot] = []
        self._store = store
        self._archive = archive
        self._device = device
        self._fresh = store.get(CAUGHT_UP) is None
        with no_search():
            self._load()

    def absorb(self, events: Sequence[Event], beats: Iterable[Beat] = (), snapshots: Iterable[Snapshot] = ()) -> None:
        """Fold what the store has just committed."""
        anew = False
        for event in events:
            anew |= event.problem is not None and self.chains.holds(event.dot)
            anew |= self.chains.add(event)
        self._apply(events)
        for beat in beats:
            self.chains.note_seen(beat.writer, beat.seen, beat.wall)
        if anew:
            self._refold()
        for snapshot in snapshots:
            self._stand_on(snapshot)
        self._stand_free()

    def own_snapshots(self) -> list[Snapshot]:
        """Return the snapshots that this device has made, oldest first."""
        return [made for _, made in self._archive.snapshots() if made.device == self._device]

    def _load(self) -> None:
        snapshots = dict(self._archive.snapshots())
        later = self._resume(snapshots)
        for events in self._archive.batches(later):
            new = events if later is None else [event for event in events if not self.chains.holds(event.dot)]
            for event in new:
                self.chains.add(event)
            self._folded.apply_all(new)
        for beat in self._archive.beats():
            self.chains.note_seen(beat.writer, beat.seen, beat.wall)
        if self.chains.forks:
            self._refold()
        for snapshot in snapshots.values():
            self._stand_on(snapshot)

    def _resume(self, snapshots: Mapping[bytes, Snapshot]) -> set[int] | None:
        """Begin with this device's newest snapshot. Return the numbers of the files with later events, None for all.

        Only the very file that this store's own fold became is believed so, and only if the same events are held now.
        """
        folded = self._store.get(FOLDED) or b""
        base = snapshots.get(folded[:32])
        if base is None:
            return None
        ends = {piece.writer: piece.last for piece in base.seen}
        index = self._store.index()
        covered = [row for row in index if row[1] <= ends.get(row[0], 0)]
        if digest_of(covered) != folded[32:]:
            return None
        tips = [event for piece in base.seen for event in self._archive.find(piece.writer.hex(), piece.last)]
        self.chains.resume([row[:4] for row in covered], tips)
        self.state = self._folded = decode(base.state)
        return {row[4] for row in index if row[1] > ends.get(row[0], 0)}

    def _apply(self, events: Sequence[Event]) -> None:
        self.version += len(events)
        self._folded.apply_all(events)
        if self.state is not self._folded:
            self.state.apply_all(events)

    def _refold(self) -> None:
        """Fold all events anew: a fork changed what contexts cover, or a late body took an event's effect away."""
        self._folded = State(self.chains.forks)
        for events in self._archive.batches():
            self._folded.apply_all(events)
        self._show()

    def _stand_on(self, snapshot: Snapshot) -> None:
        """Show what a snapshot holds while events are missing, on a device that never held all that it knew of.

        Later it could only hide what other events say; one that contradicts what is held is not believed at all.
        """
        if self._fresh and not self.chains.contradicts(snapshot.seen) and not self.chains.has_all(snapshot.seen):
            self.chains.note_seen(snapshot.writer, snapshot.seen, 0)
            self._standing.append(snapshot)
            self._show()

    def _stand_free(self) -> None:
        """Let go of the snapshots whose events are all here, or are other ones than those that are here."""
        chains = self.chains
        left = [s for s in self._standing if not chains.has_all(s.seen) and not chains.contradicts(s.seen)]
        if len(left) < len(self._standing):
            self._standing = left
            self._show()

    @property
    def catches_up(self) -> bool:
        """Tell whether this device holds, for the first time, everything that it knows of."""
        return self._fresh and not self._standing and bool(self._folded.subjects) and self.chains.whole

    def caught_up(self) -> None:
        """Take in that the store has recorded that."""
        self._fresh = False

    @property
    def folded(self) -> State | None:
        """The state of the held events alone, None while a snapshot is shown besides."""
        return None if self._standing else self._folded

    @property
    def of_events(self) -> State:
        """The state of the held events alone, also while a snapshot is shown besides."""
        return self._folded

    def _show(self) -> None:
        self.version += 1
        self.state = self._folded
        if self._standing:
            self.state = State(self.chains.forks)
            self.state.join(self._folded)
            for snapshot in self._standing:
                self.state.join(decode(snapshot.state, self.chains.forks))
