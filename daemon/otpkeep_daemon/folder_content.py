"""What all files of a folder say together, opened one after the other; of none is kept what it holds.

Of each event its hash and place stay in memory, some 300 bytes; bodies are read a second time where they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from otpkeep_daemon.keys import Keys
from otpkeep_protocol import content, statements, wire
from otpkeep_protocol.chains import Chains
from otpkeep_protocol.content import Beat, Content, Run, Snapshot
from otpkeep_protocol.context import Forks
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import DeviceId, Dot, Piece, WriterId
from otpkeep_protocol.state import State, encode

Open = Callable[[str], bytes | None]
"""Name of a sound file -> its content, None if it has gone meanwhile."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A file of a device that names an event."""

    file: str
    device: DeviceId
    last: int


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack event: the file `new` has what these files held."""

    file: str
    device: DeviceId
    dot: Dot
    new: bytes
    replaced: tuple[bytes, ...]


@dataclass(slots=True)
class FolderContent:
    """Grows by `take`, once for each sound file; then it can be asked."""

    keys: Keys
    chains: Chains = field(default_factory=Chains)
    events: set[bytes] = field(default_factory=set)
    """Hashes of the events whose body is in the folder, or that need none."""
    bare: dict[bytes, tuple[str, Dot, DeviceId]] = field(default_factory=dict)
    """Hash of each event that was met without its body."""
    devices: dict[WriterId, DeviceId] = field(default_factory=dict)
    claims: dict[WriterId, Claim] = field(default_factory=dict)
    """For each writer, who names the latest of its events."""
    packs: list[Pack] = field(default_factory=list)
    runs: dict[str, bool] = field(default_factory=dict)
    """Files with events by name, and whether any of these is invalid."""
    covers: dict[str, tuple[DeviceId, tuple[Piece, ...]]] = field(default_factory=dict)
    """Beats and snapshots by the name of the file: whose, and what it says was seen."""
    snapshots: list[str] = field(default_factory=list)
    statements: dict[bytes, wire.Value] = field(default_factory=dict)
    slots: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    """Hash of each whole slot file, with its name and kind."""
    invalid: list[tuple[str, Event]] = field(default_factory=list)

    def take(self, name: str, found: Content) -> None:
        """Take in the content of one sound file."""
        self.devices[found.writer] = found.device
        if isinstance(found, Run):
            self.runs[name] = False
            for event in found.events:
                self._take_event(name, found.device, self.keys.checked(event))
            return
        self.covers[name] = (found.device, found.seen)
        self.chains.note_seen(found.writer, found.seen, found.wall if isinstance(found, Beat) else 0)
        self._claim(name, found.device, found.seen)
        if isinstance(found, Snapshot):
            self.snapshots.append(name)

    def _take_event(self, name: str, device: DeviceId, event: Event) -> None:
        if event.problem is not None:
            self.invalid.append((name, event))
            self.runs[name] = True
        if event.values is None and event.problem is None:
            self.bare[event.hash] = (name, event.dot, device)
        else:
            self.events.add(event.hash)
        self.chains.add(event)
        self._claim(name, device, event.seen)
        if event.kind == "pack" and event.problem is None and event.values is not None:
            self.packs.append(Pack(name, device, event.dot, event.extra["file"], tuple(event.extra["replaced"])))
        if event.kind == "slot.set" and event.problem is None and event.values is not None:
            statement = event.extra["statement"]
            self.statements[statements.check_admin(statement, self.keys.keyring)] = statement

    def _claim(self, name: str, device: DeviceId, seen: Iterable[Piece]) -> None:
        for piece in seen:
            known = self.claims.get(piece.writer)
            if known is None or known.last < piece.last:
                self.claims[piece.writer] = Claim(name, device, piece.last)

    @property
    def count(self) -> int:
        """How many events the folder has, with their bodies or without."""
        return len(self.events) + len(self.bare.keys() - self.events)

    def has(self, event: bytes, *, bodied: bool) -> bool:
        """Tell whether the folder has this event, and its body if that is asked for."""
        return event in self.events or (not bodied and event in self.bare)

    # contexts

    def contradictions(self, opened: Open) -> list[tuple[str, DeviceId, Piece]]:
        """Return file, device and piece of each claim that names another event than those held at its place.

        Those of events have made a fork, and are found by reading again; of one device and event the first is enough.
        """
        found = [
            (name, device, piece)
            for name, (device, seen) in self.covers.items()
            for piece in seen
            if self.chains.contradicts([piece]) and not self.chains.holds(Dot(piece.writer, piece.last, piece.hash))
        ]
        lies = _unheld(self.chains.forks)
        for name in self.runs if lies else ():
            found += [(name, device, piece) for device, piece in self._claims_in(name, opened) if _place(piece) in lies]
        firsts: dict[tuple[DeviceId, Piece], str] = {}
        for name, device, piece in found:
            firsts.setdefault((device, piece), name)
        return [(name, device, piece) for (device, piece), name in firsts.items()]

    def _claims_in(self, name: str, opened: Open) -> list[tuple[DeviceId, Piece]]:
        data = opened(name)
        made = content.read(data, self.keys.keyring) if data is not None else None
        return [(made.device, p) for e in made.events for p in _named_by(e)] if isinstance(made, Run) else []

    # packs

    def unpacked(self, there: dict[bytes, str], opened: Open) -> list[tuple[Pack, str, str, int]]:
        """Return each pack with a file that it says is replaced, and that has what the new one lacks: pack, old and new
        name, number of events.

        `there` has the names of the sound files of the folder by their hash.
        """
        newest = {old: pack.new for pack in self.packs for old in pack.replaced if old != pack.new}
        bodied: dict[str, dict[bytes, bool]] = {}
        found = []
        for pack in self.packs:
            new = _latest(pack.new, newest, there)
            for old in pack.replaced:
                if old not in there or new is None or new == old:
                    continue
                lost = _lost(self._bodied(there[old], opened, {}), self._bodied(there[new], opened, bodied))
                if lost:
                    found.append((pack, there[old], there[new], lost))
        return found

    def _bodied(self, name: str, opened: Open, known: dict[str, dict[bytes, bool]]) -> dict[bytes, bool]:
        if name not in known:
            known.clear()
            data = opened(name) if name in self.runs else None
            known[name] = content.bodied(data) if data is not None else {}
        return known[name]

    # snapshots

    def lying_snapshots(self, opened: Open) -> list[str]:
        """Return the snapshots that are not the fold of what they cover; what the folder lacks can't be compared."""
        checkable = [name for name in self.snapshots if self._is_checkable(self.covers[name][1])]
        states = {name: State() for name in checkable}
        ends = {name: {p.writer: (p.first, p.last) for p in self.covers[name][1]} for name in checkable}
        for run in self.runs if checkable else ():
            for event in self._events_of(run, opened):
                for name in checkable:
                    first, last = ends[name].get(event.dot.writer, (1, 0))
                    if first <= event.dot.seq <= last:
                        states[name].apply(event)
        return [name for name in checkable if self._state_in(name, opened) not in (None, encode(states[name]))]

    def _is_checkable(self, seen: tuple[Piece, ...]) -> bool:
        forks = self.chains.forks
        one = len({piece.writer for piece in seen}) == len(seen) and self.bare.keys() <= self.events
        return one and self.chains.has_all(seen) and not any(piece.writer in forks for piece in seen)

    def _events_of(self, name: str, opened: Open) -> Iterable[Event]:
        data = opened(name)
        if data is None:
            return []
        if self.runs[name]:
            made = content.read(data, self.keys.keyring)
            return [self.keys.checked(event) for event in made.events] if isinstance(made, Run) else []
        return content.reread(data)

    def _state_in(self, name: str, opened: Open) -> bytes | None:
        data = opened(name)
        return content.reread_snapshot(data).state if data is not None else None


def _named_by(event: Event) -> list[Piece]:
    """Return what an event says was before: what it had seen, and by `prev` the one before it."""
    if event.prev is None:
        return list(event.seen)
    writer, before = event.dot.writer, event.dot.seq - 1
    return [*event.seen, Piece(writer, before, before, event.prev[:16])]


def _place(piece: Piece) -> tuple[WriterId, int, bytes]:
    return piece.writer, piece.last, piece.hash


def _unheld(forks: Forks) -> set[tuple[WriterId, int, bytes]]:
    """Return the places of forked writers where another event is held than the one that is named."""
    held = {(writer, seq) for writer, links in forks.items() for (seq, _), link in links.items() if link.held}
    return {
        (writer, seq, digest)
        for writer, links in forks.items()
        for (seq, digest), link in links.items()
        if not link.held and (writer, seq) in held
    }


def _latest(new: bytes, newest: dict[bytes, bytes], there: dict[bytes, str]) -> bytes | None:
    """Return the last file in a chain of replacements that is in the folder, None if none of it is."""
    passed: set[bytes] = set()
    while new not in there and new in newest and new not in passed:
        passed.add(new)
        new = newest[new]
    return new if new in there else None


def _lost(old: dict[bytes, bool], new: dict[bytes, bool]) -> int:
    return sum(digest not in new or new[digest] < bodied for digest, bodied in old.items())
