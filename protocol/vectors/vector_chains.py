"""chains.json: what a device that holds certain events lists as seen, its clock and what it waits for (SPEC §7)."""

from typing import Any

from vector_basis import LARGEST_INT, Case
from vector_cast import Event, device
from vector_fold import Lore
from vector_story import Author, three, union


def chain(length: int = 6) -> list[Event]:
    """A chain of `length` events of one writer."""
    a = Author(device("A")).open()
    while len(a.held) < length:
        a.edit({"position": len(a.held)})
    return a.held


def at(events: list[Event], *seqs: int) -> list[Event]:
    return [event for event in events if event.header["seq"] in seqs]


def forked() -> tuple[list[Event], list[Event], list[Event]]:
    """The common trunk 1 … 3 of A, then branch 4, 5 and branch 4', 5', 6'."""
    a = Author(device("A")).open()
    a.add()
    trunk, twin = list(a.held), a.clone()
    branch = [a.edit({"name": f"one {i}"}) for i in (4, 5)]
    other = [twin.edit({"name": f"two {i}"}) for i in (4, 5, 6)]
    return trunk, branch, other


def named_only() -> tuple[list[Event], list[Event]]:
    """B's events 1 … 3, the last of which names A's 1 … 5; and A's five."""
    a = Author(device("A")).open()
    a.add()
    a.edit({"name": "four"})
    a.edit({"name": "five"})
    b = Author(device("B")).open()
    b.hear(*a.held)
    b.edit({"note": "B has seen five"})
    return [event for event in b.held if event.header["writer"] == b.device.writer], a.held


def fork_named() -> tuple[list[Event], list[Event]]:
    """A's 1 … 4, and B's events, the last of which names another 4 of A, that nobody here holds."""
    trunk, branch, other = forked()
    b = Author(device("B")).open()
    b.hear(*trunk, other[0])
    b.edit({"note": "saw the other four"})
    return trunk + branch[:1], [event for event in b.held if event.header["writer"] == b.device.writer]


def forged_lamport() -> list[Event]:
    a = Author(device("A")).open()
    a.add()
    a.edit({"name": "forged"}, lamport=LARGEST_INT)
    a.edit({"name": "honest"})
    return a.held


def future_version() -> list[Event]:
    a = Author(device("A")).open()
    a.add()
    a.edit({"name": "from the future"}, critical=["time-travel"])
    return a.held


def chain_case(name: str, events: list[Event], not_held: tuple[Event, ...] = ()) -> Case:
    """`not_held` are events given that the reader keeps and passes on, and does not hold (SPEC §4)."""
    lore = Lore([event for event in events if event not in not_held])
    own = device("A").writer
    head = max((seq for writer, seq, _ in lore.held if writer == own), default=0)
    return {
        "name": name,
        "events": [event.stored() for event in events],
        "seen": [[writer.hex(), first, last, hash_.hex()] for writer, first, last, hash_ in lore.seen()],
        "clock": lore.clock(),
        "waiting": {writer.hex(): count for writer, count in sorted(lore.waiting().items())},
        "forked": sorted(writer.hex() for writer in lore.forked),
        "a_must_open_a_new_writer": own in lore.forked or lore.greatest().get(own, 0) > head,
    }


def document() -> dict[str, Any]:
    events = chain()
    trunk, branch, other = forked()
    b_events, a_events = named_only()
    fork_a, fork_b = fork_named()
    future = future_version()
    a, b, c, _ = three()
    return {
        "about": "What a device that holds exactly these events lists as seen, its clock, how many events of each"
        " writer it waits for, and whether the device of writer A must open a new writer (SPEC §7).",
        "given": {"a": device("A").writer.hex(), "b": device("B").writer.hex(), "c": device("C").writer.hex()},
        "good": [
            chain_case("nothing held", []),
            chain_case("one event", events[:1]),
            chain_case("a whole chain", events),
            chain_case("a whole chain, last first", events[::-1]),
            chain_case("a gap", at(events, 1, 2, 4, 5, 6)),
            chain_case("two gaps, and the end missing", at(events, 1, 3, 5)),
            chain_case("the beginning missing", at(events, 4, 5)),
            chain_case("only the last", at(events, 6)),
            chain_case("three writers", union(a, b, c)),
            chain_case("a writer known only from what another has seen", b_events),
            chain_case("named beyond what is held of it", b_events + a_events[:3]),
            chain_case("named, and all held", b_events + a_events),
            chain_case("a fork, both branches held", trunk + branch + other),
            chain_case("a fork, one branch held as far as the trunk", trunk + other),
            chain_case("a fork without its trunk", branch + other),
            chain_case("a fork known from a prev", trunk + branch[:1] + other[1:]),
            chain_case("a fork known from what another has seen", fork_a + fork_b),
            chain_case("a forged lamport moves no clock", forged_lamport()),
            chain_case("an event of an unknown feature is not held", future, (future[-1],)),
        ],
        "bad": [],
    }
