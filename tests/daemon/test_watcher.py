"""Hints: soon after a change, few for many, none for what is passed over, and none from our own reading."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otpkeep_daemon.debounce import Debounce
from otpkeep_daemon.folder import RealFolder
from otpkeep_daemon.watcher import Watcher
from otpkeep_protocol.naming import temporary_name
from support_folders import TAG

SOON_S = 10.0
QUIET_S = 0.5  # watched for hints that must not come: ten times the pause that leads to one
NAME = "0123456789abcdef0123456789abcdef.otpk"


class Hints:
    """Counts hints and waits for the next."""

    def __init__(self) -> None:
        self._semaphore = threading.Semaphore(0)

    def __call__(self) -> None:
        self._semaphore.release()

    def came(self, within_s: float = SOON_S) -> bool:
        return self._semaphore.acquire(timeout=within_s)


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


@pytest.fixture
def watcher(directory: Path, hints: Hints) -> Iterator[Watcher]:
    watcher = Watcher(directory, hints)
    watcher.start()
    yield watcher
    watcher.stop()


def until(condition: Callable[[], bool]) -> bool:
    """Wait for a condition that nothing announces."""
    end = time.monotonic() + SOON_S
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.01)
    return condition()


def rearmed_after_removal(watcher: Watcher) -> None:
    """Rearm as timed looks do, once watchdog has noticed that its directory is gone."""
    assert until(lambda: not watcher.armed)
    watcher.rearm()


@pytest.mark.parametrize("anonymous", [True, False])
def test_a_published_file_leads_to_a_hint(directory: Path, watcher: Watcher, hints: Hints, anonymous: bool) -> None:
    RealFolder(directory, TAG, anonymous=anonymous).publish(NAME, b"data")
    assert hints.came()


def test_every_kind_of_change_leads_to_a_hint(directory: Path, watcher: Watcher, hints: Hints) -> None:
    changes: list[Callable[[], object]] = [
        lambda: (directory / NAME).write_bytes(b"new"),
        lambda: (directory / NAME).write_bytes(b"changed"),
        lambda: (directory / NAME).rename(directory / "renamed"),
        lambda: (directory / "renamed").rename(directory.parent / "moved away"),
        lambda: (directory.parent / "moved away").rename(directory / NAME),
        (directory / NAME).unlink,
    ]
    for number, change in enumerate(changes):
        change()
        assert hints.came(), number
        while hints.came(QUIET_S):
            pass


def test_a_move_out_of_a_temporary_name_leads_to_a_hint(directory: Path, watcher: Watcher, hints: Hints) -> None:
    (directory / f".syncthing.{NAME}.tmp").write_bytes(b"data")
    assert not hints.came(QUIET_S)
    (directory / f".syncthing.{NAME}.tmp").rename(directory / NAME)
    assert hints.came()


def test_what_a_look_passes_over_leads_to_none(directory: Path, watcher: Watcher, hints: Hints) -> None:
    for name in (temporary_name(TAG, "cd34"), f"{NAME}.part", "README.txt"):
        (directory / name).write_bytes(b"data")
        (directory / name).unlink()
    assert not hints.came(QUIET_S)


def test_our_own_looking_and_reading_leads_to_none(directory: Path, hints: Hints) -> None:
    (directory / NAME).write_bytes(b"data")
    watcher = Watcher(directory, hints)
    watcher.start()
    folder = RealFolder(directory, TAG)
    folder.look()
    folder.read(NAME)
    assert not hints.came(QUIET_S)
    (directory / NAME).unlink()
    assert hints.came()
    watcher.stop()


def test_a_folder_that_is_a_link_is_watched(tmp_path: Path, directory: Path, hints: Hints) -> None:
    (tmp_path / "link").symlink_to(directory)
    watcher = Watcher(tmp_path / "link", hints)
    watcher.start()
    (directory / NAME).write_bytes(b"data")
    assert hints.came()
    watcher.stop()


def test_a_missing_directory_is_watched_once_it_is_there(tmp_path: Path, hints: Hints) -> None:
    watcher = Watcher(tmp_path / "later", hints)
    watcher.start()
    assert not watcher.armed
    watcher.rearm()
    (tmp_path / "later").mkdir()
    watcher.rearm()
    assert watcher.armed
    (tmp_path / "later" / NAME).write_bytes(b"data")
    assert hints.came()
    watcher.stop()


def test_a_directory_removed_and_made_again_is_watched_again(directory: Path, watcher: Watcher, hints: Hints) -> None:
    directory.rmdir()
    assert hints.came()
    directory.mkdir()
    rearmed_after_removal(watcher)
    (directory / NAME).write_bytes(b"data")
    assert hints.came()


def test_a_directory_exchanged_for_another_is_watched_instead(directory: Path, watcher: Watcher, hints: Hints) -> None:
    directory.rename(directory.parent / "unmounted")
    directory.mkdir()
    watcher.rearm()
    (directory.parent / "unmounted" / NAME).write_bytes(b"data")
    assert not hints.came(QUIET_S)
    (directory / NAME).write_bytes(b"data")
    assert hints.came()


def test_another_directory_is_watched_at_once_and_the_old_one_no_more(
    tmp_path: Path, directory: Path, watcher: Watcher, hints: Hints
) -> None:
    (tmp_path / "new").mkdir()
    watcher.watch(tmp_path / "new")
    (directory / NAME).write_bytes(b"old")
    assert not hints.came(QUIET_S)
    (tmp_path / "new" / NAME).write_bytes(b"new")
    assert hints.came()


def test_a_directory_named_before_the_start_is_the_one_watched(tmp_path: Path, directory: Path, hints: Hints) -> None:
    watcher = Watcher(tmp_path / "gone", hints)
    watcher.watch(directory)
    assert not watcher.armed
    watcher.start()
    (directory / NAME).write_bytes(b"new")
    assert hints.came()
    watcher.stop()


def test_rearming_what_is_well_changes_nothing(directory: Path, watcher: Watcher, hints: Hints) -> None:
    before = threading.enumerate()
    watcher.rearm()
    assert threading.enumerate() == before
    (directory / NAME).write_bytes(b"data")
    assert hints.came()


def test_a_stopped_watcher_is_silent_and_leaves_no_thread(directory: Path, hints: Hints) -> None:
    watcher = Watcher(directory, hints)
    watcher.start()
    watcher.stop()
    watcher.stop()
    watcher.rearm()
    assert not watcher.armed
    (directory / NAME).write_bytes(b"data")
    assert not hints.came(QUIET_S)
    assert not [t for t in threading.enumerate() if t.name == "otpkeep-debounce"]


def test_a_burst_becomes_few_hints(directory: Path, watcher: Watcher, hints: Hints) -> None:
    for number in range(500):
        (directory / f"{number:032x}.otpk").write_bytes(b"data")
    count = 0
    while hints.came(QUIET_S):
        count += 1
    assert 1 <= count <= 50


def test_touches_that_never_pause_fire_by_the_limit() -> None:
    # given a pause that never comes
    hints = Hints()
    debounce = Debounce(hints, quiet_s=60, limit_s=0.05)
    debounce.touch()
    # then the limit ends the waiting
    assert hints.came()
    assert not hints.came(0.2)
    debounce.close()


def test_touches_before_the_pause_are_one_call() -> None:
    hints = Hints()
    debounce = Debounce(hints, quiet_s=0.2, limit_s=60)
    for _ in range(100):
        debounce.touch()
    assert hints.came()
    assert not hints.came(QUIET_S)
    debounce.close()


def test_a_touch_during_the_call_leads_to_another() -> None:
    calls = threading.Semaphore(0)

    def fire() -> None:
        if calls.acquire(blocking=False):
            calls.release()
        else:
            debounce.touch()
        calls.release()

    debounce = Debounce(fire, quiet_s=0.01, limit_s=0.01)
    debounce.touch()
    assert all(calls.acquire(timeout=SOON_S) for _ in range(2))
    debounce.close()


def test_an_idle_watcher_takes_no_time(directory: Path, watcher: Watcher) -> None:
    begin = time.process_time()
    threading.Event().wait(0.5)
    assert time.process_time() - begin < 0.05


def test_another_pause_counts_for_a_watcher_that_runs(directory: Path, watcher: Watcher, hints: Hints) -> None:
    # given: a watcher that is told to wait for longer than anybody would
    watcher.pace(3600.0)
    (directory / NAME).write_bytes(b"1")
    assert not hints.came(QUIET_S)
    # when: the pause is short again
    watcher.pace(0.01)
    # then: what came meanwhile is told at once
    assert hints.came()
