"""The digest: the same for the same events, in whatever order they came, and honest about what it can't tell."""

from __future__ import annotations

import random

import pytest

from otpkeep_protocol import digests
from otpkeep_protocol.chains import Chains
from otpkeep_protocol.digests import Comparison, Verdict, compare, digest
from otpkeep_protocol.errors import Usage
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.wire import encode
from support_vault import Hand, add, edit

ACCOUNT = b"a" * 16


@pytest.fixture
def events() -> list[Event]:
    """Ben and Anna, each of whom has seen the other's in between."""
    ben, anna = Hand("ben"), Hand("anna")
    ben.write(add(ACCOUNT, name="1"))
    anna.write(edit(ACCOUNT, name="2"), [ben.piece()])
    ben.write(edit(ACCOUNT, name="3"), [anna.piece()])
    return [*ben.events, *anna.events]


def test_it_is_the_number_of_events_and_a_hash_as_the_specification_says(events: list[Event]) -> None:
    chains = Chains(events)
    pieces = [list(piece) for piece in chains.seen()]
    assert digest(chains) == f"5-{sha256(b'otpkeep/v1/digest', encode(pieces)).hex()[:16]}"


def test_it_depends_on_no_order_and_on_no_copies(events: list[Event]) -> None:
    forked = Hand("carl")
    twin = forked.copy("twin")
    for hand, name in ((forked, "x"), (twin, "y"), (twin, "z")):
        hand.write(edit(ACCOUNT, name=name))
    everything = [*events, *forked.events, *twin.events]
    expected = digest(Chains(everything))
    assert expected.startswith("9-")  # the opening of the forked writer counts once
    for seed in range(20):
        shuffled = everything * 2
        random.Random(seed).shuffle(shuffled)
        assert digest(Chains(shuffled)) == expected


@pytest.mark.parametrize("without", range(5))
def test_it_differs_if_any_event_is_missing(events: list[Event], without: int) -> None:
    assert digest(Chains(events[:without] + events[without + 1 :])) != digest(Chains(events))


class TestComparing:
    def test_the_same_is_the_same_however_it_is_typed(self, events: list[Event]) -> None:
        chains = Chains(events)
        number, _, hexed = digest(chains).partition("-")
        for typed in (f"{number}-{hexed}", hexed, f" {number}-{hexed.upper()}\n", f"{number}-{hexed[:8]} {hexed[8:]}"):
            assert compare(typed, chains, events) == Comparison(Verdict.SAME)

    def test_an_earlier_state_is_known_again(self, events: list[Event]) -> None:
        """What an author held right before and right after an event is in the event."""
        ben = [event for event in events if event.dot.writer == events[0].dot.writer]
        now = Chains(events)
        for early, fewer in ((ben[:1], 4), (ben[:2], 3)):
            found = compare(digest(Chains(early)), now, events)
            assert (found.verdict, found.events, found.is_doubtful) == (Verdict.AHEAD, fewer, False)
        anna = [event for event in events if event not in ben]
        assert compare(digest(Chains([*ben[:2], *anna])), now, events).verdict is Verdict.AHEAD
        without_number = digest(Chains(ben[:2])).partition("-")[2]
        assert compare(without_number, now, events).events == 3

    def test_an_earlier_state_that_a_beat_has_told_is_known_again(self, events: list[Event]) -> None:
        part = Chains(events[:1] + events[3:4])
        assert compare(digest(part), Chains(events), events).verdict is Verdict.UNCLEAR
        assert compare(digest(part), Chains(events), events, [part.seen()]).verdict is Verdict.AHEAD

    def test_of_an_earlier_state_that_is_not_wholly_here_nothing_is_claimed(self, events: list[Event]) -> None:
        """The last event tells what was held, but its beginning is withheld from this device."""
        whole, here = Chains(events), Chains(events[1:])
        found = compare(digest(whole), here, events[1:])
        assert (found.verdict, found.events, found.is_doubtful) == (Verdict.BEHIND, 1, True)

    def test_more_fewer_as_many_and_no_number(self, events: list[Event]) -> None:
        here = Chains(events[:3])
        others = [Hand(f"other {number}") for number in range(4)]
        for count, expected in ((4, Verdict.BEHIND), (3, Verdict.APART), (2, Verdict.UNCLEAR)):
            other = digest(Chains(hand.last for hand in others[:count]))
            found = compare(other, here, events[:3])
            assert (found.verdict, found.events, found.is_doubtful) == (expected, abs(count - 3), True)
            assert compare(other.partition("-")[2], here, events[:3]) == Comparison(Verdict.DIFFERENT)

    @pytest.mark.parametrize(
        "typed",
        ["", "5", "5-", "xyz", "5-0123456789abcde", "5-0123456789abcdef0", "-0123456789abcdef", "5-012345678:abcdef"],
    )
    def test_what_is_no_digest_is_said_to_be_none(self, typed: str) -> None:
        with pytest.raises(Usage, match="such as 57-9f86d081884c7d65"):
            digests.read(typed)
