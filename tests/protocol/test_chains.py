"""Chains (SPEC §7): what is held, what is missing, where a writer forks, and what time it is."""

from __future__ import annotations

from itertools import permutations

import pytest

from otpkeep_protocol.chains import Chains
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import Dot, Piece
from support_vault import START_MS, Hand, add, edit

ACCOUNT = b"a" * 16


@pytest.fixture
def anna() -> Hand:
    made = Hand("anna")
    for number in range(6):
        made.write(edit(ACCOUNT, name=str(number)))
    return made


def newer(event: Event) -> Event:
    """The event as a reader has it who needs an update for it."""
    return event._replace(held=False, problem="it needs a newer otpkeep", seen=(), lamport=0, wall=0)


def fork() -> tuple[Hand, Hand]:
    """One writer with events 1 and 2, and then two different pairs of 3 and 4."""
    one = Hand("anna")
    one.write(add(ACCOUNT))
    other = one.copy("twin")
    for hand in (one, other):
        hand.write(edit(ACCOUNT, name="x"))
        hand.write(edit(ACCOUNT, name="y"))
    return one, other


class TestHolding:
    def test_an_unbroken_run_is_one_piece_in_any_order(self, anna: Hand) -> None:
        for order in permutations(anna.events[:4]):
            assert Chains(order).seen() == (anna.piece(1, 4),)

    def test_holes_part_the_pieces(self, anna: Hand) -> None:
        held = [anna.events[i] for i in (0, 1, 4, 6)]

        assert Chains(held).seen() == (anna.piece(1, 2), anna.piece(5, 5), anna.piece(7, 7))

    def test_pieces_of_all_writers_ascend(self, anna: Hand) -> None:
        ben = Hand("ben")

        assert Chains([*anna.events, *ben.events]).seen() == tuple(sorted([anna.piece(), ben.piece()]))

    def test_what_an_author_had_not_seen_is_left_out_alone(self, anna: Hand) -> None:
        chains = Chains(anna.events)

        assert chains.seen_but([anna.events[3].dot]) == (anna.piece(1, 3), anna.piece(5, 7))
        assert chains.seen_but([anna.events[0].dot]) == (anna.piece(2, 7),)
        assert chains.seen_but([anna.last.dot, anna.events[5].dot]) == (anna.piece(1, 5),)
        assert chains.seen_but([]) == chains.seen()
        # and: what is not held is not claimed anyway
        assert Chains(anna.events[:2]).seen_but([anna.last.dot]) == (anna.piece(1, 2),)

    def test_an_event_is_held_and_another_of_its_seq_is_not(self, anna: Hand) -> None:
        chains = Chains(anna.events[:2])

        assert chains.holds(anna.events[1].dot)
        assert not chains.holds(anna.events[2].dot)
        assert not chains.holds(Dot(anna.writer, 2, b"x" * 16))
        assert not chains.holds(Dot(b"w" * 16, 1, b"x" * 16))

    def test_holding_twice_is_holding_once(self, anna: Hand) -> None:
        chains = Chains(anna.events)
        clock = chains.clock

        assert [event for event in anna.events if chains.add(event)] == []
        assert (chains.clock, chains.seen()) == (clock, (anna.piece(),))

    def test_an_invalid_event_is_held(self, anna: Hand) -> None:
        events = [anna.events[0], anna.events[1]._replace(problem="x", lamport=0, seen=()), anna.events[2]]

        assert Chains(events).seen() == (anna.piece(1, 3),)

    def test_seen_stops_before_an_event_that_needs_an_update(self, anna: Hand) -> None:
        chains = Chains([*anna.events[:2], newer(anna.events[2]), *anna.events[3:5]])

        assert chains.seen() == (anna.piece(1, 2), anna.piece(4, 5))
        assert chains.missing() == {}

    def test_an_event_counts_as_held_once_the_update_is_there(self, anna: Hand) -> None:
        chains = Chains([*anna.events[:2], newer(anna.events[2])])

        chains.add(anna.events[2])

        assert chains.seen() == (anna.piece(1, 3),)


class TestGaps:
    def test_events_before_a_held_one_are_waited_for(self, anna: Hand) -> None:
        assert Chains([anna.events[4]]).missing() == {anna.writer: 4}
        assert Chains([anna.events[0], anna.events[4]]).missing() == {anna.writer: 3}

    def test_what_another_had_seen_is_waited_for(self, anna: Hand) -> None:
        ben = Hand("ben")
        ben.write(add(ACCOUNT), [anna.piece(last=5)])

        chains = Chains(ben.events)

        assert chains.missing() == {anna.writer: 5}
        assert chains.last_known(anna.writer) == 5

    def test_a_beat_makes_known_what_is_withheld(self, anna: Hand) -> None:
        chains = Chains()
        chains.note_seen(Hand("ben").writer, (anna.piece(),), START_MS)

        assert chains.missing() == {anna.writer: 7}

    def test_nothing_is_missing_when_all_is_there(self, anna: Hand) -> None:
        assert Chains(anna.events).missing() == {}

    def test_holes_are_told_as_runs_however_far_a_claim_reaches(self, anna: Hand) -> None:
        chains = Chains([anna.events[0], anna.events[3]])
        assert chains.holes(anna.writer) == [(2, 3)]

        chains.note_seen(b"w" * 16, (Piece(anna.writer, 1, 2**53 - 1, b"?" * 16),), 0)

        assert chains.holes(anna.writer) == [(2, 3), (5, 2**53 - 1)]
        assert chains.holes(anna.writer, {2, 5, 2**53 - 1}) == [(3, 3), (6, 2**53 - 2)]
        assert chains.holes(b"x" * 16) == []


class TestClock:
    def test_it_is_the_greatest_lamport_of_an_honest_history(self, anna: Hand) -> None:
        assert Chains(anna.events).clock == 7

    def test_it_begins_at_nought(self) -> None:
        assert Chains().clock == 0

    def test_a_forged_lamport_moves_nobody(self, anna: Hand) -> None:
        forged = Hand("thief")
        forged.write(add(ACCOUNT), lamport=2**53 - 1)

        assert Chains([*anna.events, *forged.events]).clock == 7

    def test_it_is_bounded_by_the_number_of_held_events(self) -> None:
        thief = Hand("thief")
        for _ in range(3):
            thief.write(edit(ACCOUNT, name="x"), lamport=4)

        assert Chains(thief.events[:3]).clock == 1
        assert Chains(thief.events).clock == 4

    def test_it_does_not_depend_on_order(self, anna: Hand) -> None:
        ahead = Hand("ahead")
        ahead.write(add(ACCOUNT), lamport=5)
        events = [*anna.events[:3], *ahead.events]

        assert {Chains(order).clock for order in permutations(events)} == {5}

    def test_events_that_need_an_update_count_as_held_in_any_order(self) -> None:
        ahead = Hand("ahead")
        ahead.write(add(ACCOUNT), lamport=3)
        ben = Hand("ben")
        events = [*ahead.events, newer(ben.events[0])]

        assert {Chains(order).clock for order in permutations(events)} == {3}

    def test_copies_do_not_count(self) -> None:
        ahead = Hand("ahead")
        ahead.write(add(ACCOUNT), lamport=4)
        opaque = newer(Hand("ben").events[0])

        assert Chains([*ahead.events, opaque, opaque, *ahead.events, opaque]).clock == 1


class TestForks:
    def test_two_events_of_one_seq_are_a_fork_with_a_piece_for_each_branch(self) -> None:
        one, other = fork()
        events = {event.hash: event for event in [*one.events, *other.events]}.values()

        for order in permutations(events):
            chains = Chains(order)
            assert chains.forks.keys() == {one.writer}
            assert chains.seen() == tuple(sorted([one.piece(), other.piece()]))

    def test_a_branch_with_a_hole_is_parted_there(self) -> None:
        one, other = fork()
        events = [one.events[0], *one.events[2:], *other.events[1:]]

        seen = Chains(events).seen()

        assert set(seen) == {one.piece(1, 4), other.piece(1, 4)}  # event 2 is on both branches and held
        without = Chains([one.events[0], *one.events[2:], *other.events[2:]]).seen()
        assert set(without) == {one.piece(1, 1), one.piece(3, 4), other.piece(3, 4)}

    def test_what_was_not_seen_of_one_branch_leaves_the_other_whole(self) -> None:
        one, other = fork()
        chains = Chains([*one.events, *other.events])

        claimed = chains.seen_but([one.events[2].dot])

        assert claimed == tuple(sorted([one.piece(1, 2), one.piece(4, 4), other.piece(1, 4)]))

    def test_a_fork_shows_by_prev_alone(self) -> None:
        one, other = fork()

        assert Chains([one.events[2], other.events[3]]).forks.keys() == {one.writer}

    def test_a_fork_shows_by_what_somebody_saw(self) -> None:
        one, other = fork()
        ben = Hand("ben")
        ben.write(add(ACCOUNT), [other.piece()])

        assert Chains([*one.events, *ben.events]).forks.keys() == {one.writer}

    def test_learning_of_a_fork_asks_for_folding_anew(self) -> None:
        one, other = fork()
        chains = Chains(one.events)

        assert chains.add(other.events[2])
        assert chains.add(other.events[3])

    def test_both_branches_are_held(self) -> None:
        one, other = fork()
        chains = Chains([*one.events, *other.events])

        assert all(chains.holds(event.dot) for event in [*one.events, *other.events])

    def test_an_event_that_needs_an_update_can_fork_too(self) -> None:
        one, other = fork()
        chains = Chains(one.events)
        chains.seen()

        chains.add(newer(other.events[2]))

        again = Chains([newer(other.events[2]), *one.events])
        assert chains.seen() == again.seen()
        assert chains.forks == again.forks

    def test_a_hash_named_at_two_places_hides_no_event(self) -> None:
        """A device that lies in `seen` must not take events from others."""
        one, other = fork()
        liar = Hand("liar")
        liar.write(add(ACCOUNT), [Piece(one.writer, 1, 9, one.events[2].dot.hash)])
        events = {event.hash: event for event in [*one.events[:3], other.events[2], *liar.events]}.values()

        made = {
            (Chains(order).seen(), all(Chains(order).holds(e.dot) for e in events)) for order in permutations(events)
        }

        assert len(made) == 1
        assert made.pop()[1]


class TestLastSeen:
    def test_it_is_what_the_newest_event_had_seen(self, anna: Hand) -> None:
        ben = Hand("ben")
        ben.write(add(ACCOUNT), [anna.piece()], wall=START_MS + 5)
        for order in permutations(ben.events):
            seen, wall = Chains(order).last_seen_by(ben.writer)
            assert (seen[anna.writer], wall) == ((anna.piece(),), START_MS + 5)

    def test_a_later_beat_says_more_in_any_order(self, anna: Hand) -> None:
        ben = Hand("ben")
        ben.write(add(ACCOUNT), wall=START_MS)
        before, after = Chains(), Chains(ben.events)
        before.note_seen(ben.writer, (anna.piece(),), START_MS + 5)
        after.note_seen(ben.writer, (anna.piece(),), START_MS + 5)
        for event in ben.events:
            before.add(event)

        assert before.last_seen_by(ben.writer) == after.last_seen_by(ben.writer)
        assert anna.writer in after.last_seen_by(ben.writer)[0]

    def test_an_unknown_writer_has_seen_nothing(self) -> None:
        assert Chains().last_seen_by(b"w" * 16) == ({}, 0)

    def test_writers_are_all_that_are_held_or_named(self, anna: Hand) -> None:
        ben = Hand("ben")
        ben.write(add(ACCOUNT), [anna.piece()])

        assert Chains(ben.events).writers() == sorted([anna.writer, ben.writer])


def test_the_cached_context_is_the_one_that_would_be_built_anew(anna: Hand) -> None:
    ben = Hand("ben")
    one, other = fork()
    events = [anna.events[0], ben.events[0], *anna.events[1:3], anna.events[5], anna.events[4], *anna.events[3:]]
    chains, held = Chains(), []
    for event in [*events, *one.events, *other.events]:
        chains.add(event)
        held.append(event)
        assert chains.seen() == Chains(held).seen()
