"""A day of a daemon, simulated: jobs at their times, alarms once, and a memory that does not grow."""

from __future__ import annotations

import gc
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from otpkeep_daemon.calls import call
from otpkeep_daemon.parts import condition
from support_day import Day, Disk
from support_vault import World, memory_directory, new_world

pytestmark = pytest.mark.xdist_group("day")  # they share one day

BATCH, BATCHES = 500, 10
FULL = Disk(free=10**8)
SAME = [f"{hour:02}:00" for hour in range(24)]


@pytest.fixture(scope="module")
def lived() -> Iterator[tuple[Day, list[int]]]:
    """A day with trouble: the folder away from 3 to 9, another device at 11, a full disk at 14, a restart at 15,
    a job that fails from 16 to 18, and sleep from 20 to 22. Until 9:30 there are 5,000 edits.
    """
    memory: list[int] = []
    with new_world() as world, memory_directory() as directory:
        day = Day(
            world,
            directory,
            look_every_s=300,
            stale_after_s=3600,
            verify_every_s=6 * 3600,
            quarantine_s=1,
        )
        for batch in range(BATCHES):
            day.at(batch + 0.5, lambda: _edit(day, memory))
        day.at(3, day.away)
        day.at(9, day.back)
        day.at(11, lambda: day.join(world, "phone"))
        day.at(14, lambda: setattr(day, "disk", FULL))
        day.at(14.9, lambda: memory.append(_blocks()))
        day.at(15, day.restart)
        day.at(15.1, lambda: memory.append(_blocks()))
        day.at(15.9, lambda: setattr(day, "broken", True))
        day.at(17.9, lambda: setattr(day, "broken", False))
        day.until(20)
        day.sleep(2)
        day.until(24)
        memory.append(_blocks())
        yield day, memory


def _edit(day: Day, memory: list[int]) -> None:
    day.edit(BATCH)
    memory.append(_blocks())


def _blocks() -> int:
    """Return how many blocks of memory Python has in use: everything of up to 512 bytes."""
    gc.collect()
    return sys.getallocatedblocks()


def test_every_alarm_comes_once_and_is_cleared_once(lived: tuple[Day, list[int]]) -> None:
    day, _ = lived
    assert day.seen.notices == [
        ("04:01", "raised", "stale"),
        ("10:01", "cleared", "stale"),
        ("11:01", "raised", "new-device"),
        ("14:00", "raised", "disk"),
        ("16:01", "raised", "job"),
        ("19:01", "cleared", "job"),
    ]
    assert day.kinds() == ["disk", "disk", "new-device"]


def test_jobs_run_at_their_times_and_what_sleep_has_missed_once(lived: tuple[Day, list[int]]) -> None:
    day, _ = lived
    awake = [at for at in SAME if at not in ("20:00", "21:00")]
    assert day.seen.times("compact") == awake
    assert day.seen.times("beat") == awake
    assert day.seen.times("broken") == awake
    assert len(day.seen.times("look")) == 22 * 12
    assert len(day.seen.times("alarms")) == 22 * 60


def test_a_verification_that_finds_the_folder_away_is_tried_until_it_is_back(lived: tuple[Day, list[int]]) -> None:
    day, _ = lived
    assert day.seen.times("verify") == ["00:00", "06:00", "07:00", "08:00", "09:00", "15:00", "22:00"]
    found = day.status()
    assert found["verified"]["ok"]
    assert found["verified"]["depth"] == "content"
    (row,) = [row for row in found["jobs"] if row["name"] == "verify"]
    assert (row["last"][11:16], row["next"][11:16], row["ok"]) == ("22:00", "04:00", True)


def test_memory_does_not_grow_with_edits(lived: tuple[Day, list[int]]) -> None:
    """Of each event the chains keep a number and a hash; nothing else may stay, nor grow while nothing happens."""
    day, memory = lived
    first, last, restarted, end = memory[1], *memory[-3:]
    assert day.status()["events"] >= BATCH * BATCHES
    assert (last - first) / (BATCH * (BATCHES - 2)) < 4
    assert end - restarted < 4 * len(day.seen.runs)  # which is what this test itself remembers


def test_the_facts_of_an_alarm_name_no_account(lived: tuple[Day, list[int]]) -> None:
    day, _ = lived
    for document in day.seen.facts:
        assert {"kind", "state", "message", "hint", "device", "vault", "time", "since"} <= document.keys()
        assert "account " not in json.dumps(document)


def test_after_a_restart_nothing_is_told_again_and_jobs_wait_for_their_time(world: World, tmp_path: Path) -> None:
    day = Day(world, tmp_path)
    day.disk = FULL
    day.until(1)
    before = len(day.seen.runs)

    day.restart()
    day.until(1.99)

    assert [kind for _, _, kind in day.seen.notices] == ["disk"]
    assert {name for _, name in day.seen.runs[before:]} == {"look", "alarms"} | {"compact", "beat", "broken"}
    assert [day.seen.times(name) for name in ("compact", "verify")] == [["00:00", "01:00"], ["00:00"]]


def test_a_failed_job_is_a_problem_and_tried_again_within_the_hour(world: World, tmp_path: Path) -> None:
    day = Day(world, tmp_path)
    day.broken = True

    day.until(0.01)

    (problem,) = day.status()["problems"]
    assert (problem["kind"], problem["subject"]) == ("job", "broken")
    assert "the machine under it is broken" in problem["message"]


def test_a_verification_that_finds_damage_is_an_alarm_until_one_finds_none(world: World, tmp_path: Path) -> None:
    # given a damaged file of another device, which nobody here puts right
    day = Day(world, tmp_path)
    other = day.join(world, "phone")
    day.until(0.1)
    name = other.own_files()[0]
    whole = (day.folder / name).read_bytes()
    (day.folder / name).write_bytes(whole[:-1] + b"?")

    # when the week is over
    day.sleep(7 * 24)
    day.until(7 * 24 + 1)

    # then it is told, and looked at again a day later
    assert "verify" in {kind for _, _, kind in day.seen.notices}
    (problem,) = [p for p in day.status()["problems"] if p["kind"] == "verify"]
    assert name in problem["message"]
    (day.folder / name).write_bytes(whole)
    day.until(8 * 24 + 1)
    assert "verify" not in day.kinds()
    assert day.status()["verified"]["ok"]


def test_a_restore_drill_that_failed_is_made_again_until_one_succeeds(world: World, tmp_path: Path) -> None:
    # given: a drill that found a file of another device gone, which is back since
    day = Day(world, tmp_path)
    other = day.join(world, "phone")
    day.until(0.1)
    file = day.folder / other.own_files()[0]
    whole = file.read_bytes()
    file.unlink()
    assert not call(day.service, "verify", {"depth": "rebuild", "repair": False})["ok"]
    file.write_bytes(whole)
    # when: a day is over
    day.until(24.2)
    # then
    assert "drill" not in day.kinds()
    assert day.status()["drill"]["ok"]
    # and: the weekly verification makes no more of them
    day.sleep(7 * 24)
    day.until(8 * 24 + 1)
    assert day.status()["verified"]["depth"] == "content"


def test_a_locked_daemon_verifies_names_and_a_deeper_one_follows(world: World, tmp_path: Path) -> None:
    day = Day(world, tmp_path)
    day.service.lock_keys()
    day.until(0.01)
    assert day.status()["verified"]["depth"] == "names"
    assert day.maintenance.shallow()


def test_a_verification_ends_when_the_daemon_does_and_counts_as_not_run(world: World, tmp_path: Path) -> None:
    day = Day(world, tmp_path)
    day.until(0.001)
    day.sleep(8 * 24)
    before = day.status()["verified"]

    day.maintenance.stop()
    day.timetable.run("verify")

    assert day.status()["verified"] == before
    assert [row["ok"] for row in day.status()["jobs"] if row["name"] == "verify"] == [True]


def test_another_device_that_says_nothing_for_a_month_is_silent_unless_it_is_retired(
    world: World, tmp_path: Path
) -> None:
    day = Day(world, tmp_path, silent_after_s=3 * 3600)
    other = day.join(world, "phone")
    day.until(2.9)
    assert "silent" not in day.kinds()

    day.until(3.1)

    (problem,) = [p for p in day.status()["problems"] if p["kind"] == "silent"]
    assert problem["subject"] == other.store.need("device").hex()
    assert ("03:00", "raised", "silent") in day.seen.notices


def test_a_device_never_alarms_about_itself_nor_about_those_it_found(world: World, tmp_path: Path) -> None:
    # given a vault with two devices from the beginning
    day = Day(world, tmp_path)
    day.join(world, "phone")
    day.until(0.5)

    # then the first look, by which `recover` joins, has made all of them known
    assert day.seen.notices == []
    assert day.kinds() == []


def test_a_new_device_is_shown_for_a_week(world: World, tmp_path: Path) -> None:
    day = Day(world, tmp_path, silent_after_s=10**8, look_every_s=3600)
    day.until(0.01)
    other = day.join(world, "phone")
    day.until(1.5)
    (problem,) = day.status()["problems"]
    assert (problem["kind"], problem["subject"]) == ("new-device", other.store.need("device").hex())

    day.sleep(7 * 24)

    assert day.kinds() == []


def test_what_only_the_keys_show_is_not_told_as_over_because_it_is_locked(world: World, tmp_path: Path) -> None:
    # given an alarm that is found with the keys
    day = Day(world, tmp_path, silent_after_s=3 * 3600, stale_after_s=10**7)
    day.join(world, "phone")
    day.until(3.1)
    assert ("03:00", "raised", "silent") in day.seen.notices

    # when it is locked for hours, and unlocked again
    keys = day.service.open.replica.keys
    day.service.lock_keys()
    day.until(8)
    day.service.unlock(keys)
    day.until(9)

    # then nothing is over, and nothing is told again
    assert [notice for notice in day.seen.notices if notice[2] == "silent"] == [("03:00", "raised", "silent")]


def test_a_store_that_can_t_be_read_is_an_alarm_itself(world: World, tmp_path: Path) -> None:
    day = Day(world, tmp_path)
    day.until(0.1)
    # when: SQLite denies every read, as it does of a damaged file
    day.service.store._db.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
    day.until(0.5)
    # then: people are told, once
    assert [(state, kind) for _, state, kind in day.seen.notices] == [("raised", "integrity")]
    # and: the line for systemd says so, and does not end the engine's thread
    assert "the store" in condition(day.service)
