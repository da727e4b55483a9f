"""The vault as it was: which events belong to a moment."""

from __future__ import annotations

from itertools import permutations

from otpkeep_protocol.chains import Chains
from otpkeep_protocol.events import Event
from otpkeep_protocol.moments import as_of_event, as_of_time
from otpkeep_protocol.state import encode, fold
from support_vault import START_MS, Hand, edit

ACCOUNT = b"a" * 16


def test_as_of_a_time_has_what_the_clocks_admit_and_the_moment_itself(anna: Hand) -> None:
    first = anna.write(edit(ACCOUNT, name="y"), wall=START_MS + 10)
    later = anna.write(edit(ACCOUNT, name="z"), wall=START_MS + 11)

    moment = as_of_time(anna.events, START_MS + 10)

    assert encode(moment.state) == encode(fold(anna.events[:-1]))
    assert (moment.has(first), moment.has(later)) == (True, False)
    assert as_of_time(anna.events, START_MS - 1).state.subjects == {}


def test_what_an_event_of_the_time_had_seen_belongs_to_it_though_its_clock_was_ahead(anna: Hand) -> None:
    ahead = anna.write(edit(ACCOUNT, name="ahead"), wall=START_MS + 99_999)
    ben = Hand("ben")
    ben.write(edit(ACCOUNT, note="n"), [anna.piece()])
    anna.write(edit(ACCOUNT, name="not seen"), wall=START_MS + 99_999)

    moment = as_of_time([*anna.events, *ben.events], START_MS)

    assert moment.has(ahead)
    assert encode(moment.state) == encode(fold([*anna.events[:-1], *ben.events]))


def test_as_of_an_event_is_what_its_author_had(anna: Hand) -> None:
    ben = Hand("ben")
    missed = ben.write(edit(ACCOUNT, name="missed"))
    event = anna.write(edit(ACCOUNT, note="n"), [ben.piece(1, 1)])
    anna.write(edit(ACCOUNT, note="later"))
    events = [*anna.events, *ben.events]

    moment = as_of_event(events, event)

    assert encode(moment.state) == encode(fold([*anna.events[:-1], ben.events[0]]))
    assert (moment.has(event), moment.has(missed)) == (True, False)


def test_a_moment_is_the_same_whatever_the_order_and_copies_of_the_events(anna: Hand) -> None:
    ben = Hand("ben")
    ben.write(edit(ACCOUNT, note="n"), [anna.piece()], wall=START_MS + 5)
    anna.write(edit(ACCOUNT, name="y"), wall=START_MS + 9)
    events = [*anna.events, *ben.events]

    times = {encode(as_of_time([*order, *order[:2]], START_MS + 5).state) for order in permutations(events)}
    after = {encode(as_of_event([*order, *order[:2]], ben.last).state) for order in permutations(events)}

    assert (len(times), len(after)) == (1, 1)


def test_of_a_fork_only_the_branch_that_was_there_counts(anna: Hand) -> None:
    twin = anna.copy("twin")
    mine, theirs = anna.write(edit(ACCOUNT, name="mine")), twin.write(edit(ACCOUNT, name="theirs"))
    events: list[Event] = [*anna.events, theirs]
    forks = Chains(events).forks

    moment = as_of_event(events, mine, forks)

    assert (moment.has(mine), moment.has(theirs)) == (True, False)
    assert encode(moment.state) == encode(fold(anna.events, forks))
