"""Chains, contexts, clock and state (SPEC §6, §7), computed from a whole set of held events at once.

Nothing here is incremental: forks and proofs are looked up in all the held events, then the events are folded in the
order given. That any order gives the same bytes is checked when vectors are made.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from vector_basis import Value, canonical
from vector_cast import Event
from vector_identifiers import without_counter

Dot = tuple[bytes, int, bytes]  # writer, seq, first 16 bytes of the event hash
Piece = tuple[bytes, int, int, bytes]  # writer, first, last, first 16 bytes of the hash of the last
Survivor = tuple[int, bool, bool, Value]  # wall, weak, known, value


class Lore:
    """What a set of held events tells: who is forked, and who descends from whom."""

    def __init__(self, events: list[Event]) -> None:
        self.held: dict[Dot, Event] = {event.dot: event for event in events}
        self.named: dict[tuple[bytes, int], set[bytes]] = defaultdict(set)
        for event in self.held.values():
            self._learn(event)
        self.forked = {writer for (writer, _), hashes in self.named.items() if len(hashes) > 1}

    def _learn(self, event: Event) -> None:
        writer, seq, hash_ = event.dot
        self.named[writer, seq].add(hash_)
        if seq > 1:
            self.named[writer, seq - 1].add(event.header["prev"][:16])
        for other, _, last, last_hash in event.header["seen"]:
            self.named[other, last].add(last_hash)

    def parent(self, dot: Dot) -> Dot | None:
        """The dot before `dot` in its chain; None if `dot` is the first or not held."""
        if dot not in self.held or dot[1] == 1:
            return None
        return dot[0], dot[1] - 1, self.held[dot].header["prev"][:16]

    def ancestor_at(self, dot: Dot, seq: int) -> Dot | None:
        """Where a walk back from `dot` reaches `seq`; None if it meets an event that is not held."""
        at: Dot | None = dot
        while at is not None and at[1] > seq:
            at = self.parent(at)
        return at

    def covers(self, piece: Piece, dot: Dot) -> bool:
        writer, first, last, hash_ = piece
        if dot[0] != writer or not first <= dot[1] <= last:
            return False
        found = self.ancestor_at((writer, last, hash_), dot[1])
        return found is None or found == dot or writer not in self.forked

    def united(self, pieces: set[Piece]) -> set[Piece]:
        """Intervals united for a writer that is not forked; else pieces less those provably within another."""
        whole: set[Piece] = set()
        for writer in {piece[0] for piece in pieces}:
            own = {piece for piece in pieces if piece[0] == writer}
            whole |= self._maximal(own) if writer in self.forked else _intervals(own)
        return whole

    def _maximal(self, pieces: set[Piece]) -> set[Piece]:
        return {p for p in pieces if not any(p != other and self._within(p, other) for other in pieces)}

    def _within(self, small: Piece, large: Piece) -> bool:
        if not large[1] <= small[1] <= small[2] <= large[2]:
            return False
        end = (small[0], small[2], small[3])
        return self.ancestor_at((large[0], large[2], large[3]), small[2]) == end

    def seen(self) -> list[Value]:
        """Every unbroken run of held events, one for each held event that no held event follows."""
        followed = {self.parent(dot) for dot in self.held}
        runs = [self._run(dot) for dot in self.held if dot not in followed]
        return [list(piece) for piece in sorted(runs)]

    def _run(self, head: Dot) -> Piece:
        at = head
        while (before := self.parent(at)) is not None and before in self.held:
            at = before
        return head[0], at[1], head[1], head[2]

    def clock(self) -> int:
        """The greatest lamport that is not above the number of held events."""
        lamports = [event.header["lamport"] for event in self.held.values()]
        return max((lamport for lamport in lamports if lamport <= len(self.held)), default=0)

    def greatest(self) -> dict[bytes, int]:
        """The greatest seq that is named of each writer."""
        top: dict[bytes, int] = defaultdict(int)
        for writer, seq in self.named:
            top[writer] = max(top[writer], seq)
        return top

    def waiting(self) -> dict[bytes, int]:
        """How many events of each writer are known to exist and not held; writers without any are left out.

        Where several are known of one seq, each of another branch counts beside the one that is held.
        """
        seqs = {(writer, seq) for writer, seq, _ in self.held}
        counts = {
            writer: top - sum(1 for holder, _ in seqs if holder == writer) for writer, top in self.greatest().items()
        }
        for place in self.named.keys() & seqs:
            counts[place[0]] += sum((*place, hash_) not in self.held for hash_ in self.named[place])
        return {writer: count for writer, count in counts.items() if count}


def _intervals(pieces: set[Piece]) -> set[Piece]:
    united: list[Piece] = []
    for piece in sorted(pieces):
        if united and piece[1] <= united[-1][2] + 1:
            later = max(united[-1], piece, key=lambda p: p[2])
            united[-1] = (piece[0], united[-1][1], later[2], later[3])
        else:
            united.append(piece)
    return set(united)


@dataclass(slots=True)
class Register:
    """The surviving dots of one field, and what was seen by those who wrote it."""

    dots: dict[Dot, Survivor] = field(default_factory=dict)
    context: set[Piece] = field(default_factory=set)


@dataclass(slots=True)
class Subject:
    """The state of an account or device; `born` and `changed` None until a register is written."""

    born: int | None = None
    changed: int | None = None
    counters: dict[bytes, int] = field(default_factory=dict)
    registers: dict[str, Register] = field(default_factory=lambda: defaultdict(Register))

    def encoded(self, subject: bytes) -> list[Value]:
        counters = {key.hex(): counter for key, counter in self.counters.items()}
        registers = {name: _register_value(register) for name, register in self.registers.items()}
        return [subject, self.born, self.changed, counters, registers]


def _register_value(register: Register) -> list[Value]:
    dots = [[*dot, wall, weak, known, value] for dot, (wall, weak, known, value) in sorted(register.dots.items())]
    return [dots, [list(piece) for piece in sorted(register.context)]]


def fold(events: list[Event], invalid: frozenset[bytes] = frozenset()) -> dict[bytes, Subject]:
    """The state of these events, those with a hash in `invalid` occupying their seq only."""
    lore = Lore(events)
    state: dict[bytes, Subject] = defaultdict(Subject)
    for event in events:
        if "account" in event.header and event.hash not in invalid:
            apply(state[event.header["account"]], event, lore)
    return state


def apply(subject: Subject, event: Event, lore: Lore) -> None:
    header, values = event.header, event.values
    known = values is not None
    written = {name: (known, values["set"][name] if values else None) for name in header["fields"]}
    if "alive" in header:
        written["live"] = (True, True)
    for name, (name_known, value) in written.items():
        stays = name != "live" or header["alive"]
        survivor = (header["wall"], header.get("weak", False), name_known, value) if stays else None
        write(subject.registers[name], event, survivor, lore)
    if written:
        subject.born = min(header["wall"], subject.born if subject.born is not None else header["wall"])
        subject.changed = max(header["wall"], subject.changed or 0)
    for key, counter in counters_of(event):
        subject.counters[key] = max(counter, subject.counters.get(key, 0))


def write(register: Register, event: Event, survivor: Survivor | None, lore: Lore) -> None:
    register.context = lore.united(register.context | {tuple(piece) for piece in event.header["seen"]})
    if survivor is not None:
        kept = register.dots.get(event.dot)
        register.dots[event.dot] = kept if kept and kept[2] else survivor
    register.dots = {
        dot: value
        for dot, value in register.dots.items()
        if not any(lore.covers(piece, dot) for piece in register.context)
    }


def counters_of(event: Event) -> list[tuple[bytes, int]]:
    if event.values is None:
        return []
    found = [event.values["counter"]] if "counter" in event.values else []
    otp = event.values["set"].get("otp")
    if isinstance(otp, dict) and "counter_key" in otp:
        found.append([otp["counter_key"], otp["counter"]])
    return [(key, counter) for key, counter in found]


def encode(state: dict[bytes, Subject]) -> bytes:
    return canonical([state[subject].encoded(subject) for subject in sorted(state)])


def winner_and_conflicts(register: Register, name: str) -> tuple[Dot, list[Dot]]:
    """The winning dot and, greatest first, the dots in conflict with it; the register has a dot."""

    def rank(dot: Dot) -> tuple[bool, bool, int, Dot]:
        wall, weak, known, _ = register.dots[dot]
        return known, not weak, wall, dot

    def compared(dot: Dot) -> Value:
        value = register.dots[dot][3]
        return without_counter(value) if name == "otp" and isinstance(value, dict) else value

    ordered = sorted(register.dots, key=rank, reverse=True)
    all_weak = all(register.dots[dot][1] for dot in ordered)
    rivals = [dot for dot in ordered if (all_weak or not register.dots[dot][1]) and register.dots[dot][2]]
    return ordered[0], [dot for dot in rivals if canonical(compared(dot)) != canonical(compared(ordered[0]))]
