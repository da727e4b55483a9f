"""Whether the clock was moved: a pure function of two clocks and of where they stood."""

from __future__ import annotations

import pytest

from otpkeep_daemon import clocks
from otpkeep_daemon.clocks import DAY_MS, SETTLING_MS, Anchor, Reading, follow

NOW = 1_800_000_000_000
HOUR_MS = 3_600_000
STARTED = NOW - 10 * DAY_MS


def reading(*, after: int = 0, moved: int = 0, boot: str = "one") -> Reading:
    """Both clocks `after` ms from NOW, the wall clock moved by so much."""
    return Reading(NOW + after + moved, NOW + after - STARTED, boot)


def anchored() -> Anchor:
    anchor, moved = follow(None, reading())
    assert moved == 0
    return anchor


@pytest.mark.parametrize("moved", [365 * DAY_MS, -365 * DAY_MS, DAY_MS, -DAY_MS])
def test_a_clock_that_is_moved_far_is_told_by_how_much_until_it_is_moved_back(moved: int) -> None:
    anchor, found = follow(anchored(), reading(after=HOUR_MS, moved=moved))
    assert found == moved
    anchor, found = follow(anchor, reading(after=2 * HOUR_MS, moved=moved))
    assert found == moved
    assert follow(anchor, reading(after=3 * HOUR_MS))[1] == 0


def test_a_clock_that_stays_where_it_was_moved_to_is_taken_for_right_after_a_day() -> None:
    anchor, found = follow(anchored(), reading(after=HOUR_MS, moved=30 * DAY_MS))
    anchor, found = follow(anchor, reading(after=HOUR_MS + DAY_MS - 1, moved=30 * DAY_MS))
    assert found == 30 * DAY_MS
    anchor, found = follow(anchor, reading(after=HOUR_MS + DAY_MS, moved=30 * DAY_MS))
    assert found == 0
    # and: moving it back is news then
    assert follow(anchor, reading(after=2 * DAY_MS))[1] == -30 * DAY_MS


def test_many_small_steps_are_no_great_one() -> None:
    anchor = anchored()
    for hours in range(100):
        anchor, found = follow(anchor, reading(after=hours * HOUR_MS, moved=hours * HOUR_MS))
        assert found == 0


def test_a_clock_that_is_set_while_the_machine_starts_is_no_news() -> None:
    # given: a machine without a battery clock
    anchor, _ = follow(None, Reading(0, 20_000, "one"))
    # when: it learns the time from the network
    anchor, found = follow(anchor, Reading(NOW, SETTLING_MS - 1, "one"))
    assert found == 0
    # then: only what comes later counts
    assert follow(anchor, Reading(NOW + 30 * DAY_MS, SETTLING_MS + 1, "one"))[1] == pytest.approx(30 * DAY_MS, abs=10)


def test_another_start_of_the_machine_begins_anew() -> None:
    assert follow(anchored(), reading(after=DAY_MS, moved=400 * DAY_MS, boot="two"))[1] == 0


def test_what_the_store_keeps_reads_back_and_anything_else_is_nothing() -> None:
    anchor = Anchor("0f-boot", -5, moved_at=7)
    assert Anchor.decode(anchor.encode()) == Anchor("0f-boot", -5)
    for kept in (None, b"", b"boot", b"boot x", b"boot 1 2", b"\xff\xfe"):
        assert Anchor.decode(kept) is None


def test_the_clocks_of_this_machine_can_be_read() -> None:
    first, second = clocks.read(), clocks.read()
    assert first.boot == second.boot
    assert first.since_start <= second.since_start
    assert abs(first.constant - second.constant) < HOUR_MS
