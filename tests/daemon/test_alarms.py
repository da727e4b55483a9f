"""What is told, and when: of a problem once, and again only after it was cleared or a day has passed."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from otpkeep_daemon.alarm_memory import AlarmMemory
from otpkeep_daemon.alarms import (
    ANY,
    LASTING_S,
    MANY,
    PAUSE_S,
    REPEAT_S,
    SETTLED_S,
    Key,
    Notice,
    Problem,
    Told,
    decide,
)
from otpkeep_daemon.turns import Turns
from support_vault import Device

NOW = 1_700_000_000.0
DAY = 86_400.0
HOUR = 3_600.0
STALE = DAY


class Machine:
    """What `decide` remembers, and the time."""

    def __init__(self) -> None:
        self.told: dict[Key, Told] = {}
        self.now = NOW

    def after(self, seconds: float, *found: Problem) -> list[Notice]:
        self.now += seconds
        notices, self.told = decide(found, self.told, self.now, STALE)
        return notices


def problem(kind: str = "disk", subject: str = "folder", message: str = "almost full") -> Problem:
    return Problem(kind, subject, message, "Free some space.")


def subjects(notices: Iterable[Notice]) -> list[set[str]]:
    return [{p.subject for p in notice.problems} for notice in notices]


def test_an_alarm_comes_at_once_and_then_once_a_day() -> None:
    machine = Machine()
    assert machine.after(0, problem()) == [Notice("disk", True, NOW, (problem(),))]
    assert all(machine.after(60, problem()) == [] for _ in range(1439))
    assert machine.after(60, problem()) == [Notice("disk", True, NOW, (problem(),))]


def test_another_number_in_the_words_makes_no_other_alarm() -> None:
    machine = Machine()
    machine.after(0, problem(message="100 MB are free"))
    assert machine.after(60, problem(message="99 MB are free")) == []


def test_it_comes_again_once_it_was_cleared_and_is_back() -> None:
    machine = Machine()
    machine.after(0, problem())
    assert machine.after(60) == []
    assert machine.after(SETTLED_S) == [Notice("disk", False, NOW)]
    assert machine.after(60) == []
    assert [notice.raised for notice in machine.after(60, problem())] == [True]


def test_what_comes_and_goes_is_told_once_a_day() -> None:
    machine = Machine()
    told = []
    for _ in range(50):
        told += machine.after(1700, problem())
        told += machine.after(1700)
    # then: at the beginning, and once more after the first of the two days that this took
    assert [notice.raised for notice in told] == [True, True]


def test_a_backup_that_stands_still_is_told_once_it_has_lasted() -> None:
    machine = Machine()
    stale = problem("stale")
    assert machine.after(0, stale) == []
    assert machine.after(STALE - 1, stale) == []
    assert machine.after(1, stale) == [Notice("stale", True, NOW, (stale,))]


def test_a_backup_that_has_gone_on_in_between_has_not_stood_still() -> None:
    machine = Machine()
    machine.after(0, problem("stale"))
    machine.after(STALE - 60, problem("stale"))
    machine.after(30)
    assert machine.after(30, problem("stale")) == []
    assert machine.after(STALE - 1, problem("stale")) == []


def test_kinds_that_nobody_has_thought_of_are_told_once_they_last() -> None:
    machine = Machine()
    assert machine.after(0, problem("a new kind")) == []
    assert len(machine.after(LASTING_S, problem("a new kind"))) == 1


def test_a_folder_that_is_away_for_a_moment_and_conflict_copies_are_for_status_alone() -> None:
    machine = Machine()
    assert machine.after(0, problem("folder-unreachable"), problem("conflict-copy")) == []
    assert machine.after(30 * DAY, problem("folder-unreachable"), problem("conflict-copy")) == []


def test_many_of_a_kind_are_told_as_one() -> None:
    machine = Machine()
    found = [problem("damaged", f"file {n}") for n in range(20)]
    assert subjects(machine.after(0, *found)) == [{p.subject for p in found}]
    assert machine.after(60, *found) == []


def test_new_ones_of_a_kind_that_was_just_told_wait_and_come_together() -> None:
    machine = Machine()
    machine.after(0, problem("damaged", "a"))
    assert machine.after(60, problem("damaged", "a"), problem("damaged", "b")) == []
    three = [problem("damaged", name) for name in "abc"]
    assert subjects(machine.after(PAUSE_S - 60, *three)) == [{"a", "b", "c"}]
    assert machine.after(DAY - 60, *three) == []
    assert len(machine.after(60, *three)) == 1


def test_thousands_are_one_alarm_and_little_to_remember() -> None:
    machine = Machine()
    found = [problem("damaged", f"file {n}", f"file {n} does not open") for n in range(5000)]
    (notice,) = machine.after(0, *found)
    assert [p.subject for p in notice.problems] == [ANY]
    assert "4999 more" in notice.problems[0].message
    assert len(machine.told) == 1
    # when their number goes up and down around the limit
    assert machine.after(PAUSE_S, *found[: MANY - 1]) == []
    assert machine.after(PAUSE_S, *found[: MANY + 1]) == []


def test_cleared_is_told_of_a_kind_once_the_last_is_gone() -> None:
    machine = Machine()
    machine.after(0, problem("damaged", "a"), problem("damaged", "b"))
    assert machine.after(SETTLED_S, problem("damaged", "a")) == []
    assert machine.after(SETTLED_S, problem("damaged", "a")) == []
    machine.after(1)
    assert machine.after(SETTLED_S) == [Notice("damaged", False, NOW)]


def test_a_new_device_is_told_once_and_never_as_over() -> None:
    machine = Machine()
    assert len(machine.after(0, problem("new-device", "ab"))) == 1
    assert all(machine.after(DAY, problem("new-device", "ab")) == [] for _ in range(6))
    assert machine.after(DAY) == []
    assert machine.after(DAY) == []


def test_a_silent_device_is_told_once_a_week() -> None:
    machine = Machine()
    told = [len(machine.after(DAY, problem("silent", "ab"))) for _ in range(15)]
    assert told == [1, 0, 0, 0, 0, 0, 0] * 2 + [1]


def test_a_clock_that_is_set_back_by_years_silences_nothing_for_long() -> None:
    machine = Machine()
    machine.after(0, problem())
    assert machine.after(-1000 * DAY, problem()) == []
    assert len(machine.after(DAY, problem())) == 1


def test_a_clock_that_jumps_ahead_repeats_once() -> None:
    machine = Machine()
    machine.after(0, problem())
    assert len(machine.after(365 * DAY, problem())) == 1
    assert machine.after(60, problem()) == []


@given(st.lists(st.tuples(st.floats(1, 3 * HOUR), st.booleans()), max_size=40))
def test_no_alarm_comes_twice_within_a_day_unless_it_was_told_as_cleared(steps: list[tuple[float, bool]]) -> None:
    machine = Machine()
    last: float | None = None
    for seconds, there in steps:
        for notice in machine.after(seconds, *([problem()] if there else [])):
            assert not notice.raised or last is None or machine.now - last >= REPEAT_S
            last = machine.now if notice.raised else None


def test_what_was_told_is_the_same_after_a_restart(laptop: Device) -> None:
    # given subjects that are file names of any kind
    machine = Machine()
    machine.after(0, problem(), problem("stale"), problem("damaged", "\\udcff\n é.otpk"))
    machine.after(60, problem("stale"))
    memory = AlarmMemory(laptop.store, Turns())
    assert memory.read() == {}

    memory.write(machine.told)

    assert AlarmMemory(laptop.store, Turns()).read() == machine.told
