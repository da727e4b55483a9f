"""Files whose bytes a cloud client takes off this machine in the middle of a pass: they are there, and waited for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otpkeep_daemon.memory_folder import MemoryFolder
from support_compaction import QUARANTINE_S, busy, compact
from support_vault import DAY_MS, Device, World, deliver


class Evicting(MemoryFolder):
    """A folder whose client evicts a file at the moment at which it is to be read, if `chosen` says so of its name."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.chosen: Callable[[str], bool] = lambda _name: False
        self.asked: list[str] = []

    def read(self, name: str) -> bytes | None:
        """See MemoryFolder."""
        self.asked.append(name)
        if self.chosen(name):
            self.evicted.add(name)
        return super().read(name)

    def download(self) -> None:
        """Have all bytes here again, for good."""
        self.chosen = lambda _name: False
        self.evicted.clear()


@pytest.fixture
def folder() -> Evicting:
    return Evicting("laptop")


@pytest.fixture
def laptop(world: World, folder: Evicting) -> Device:
    return world.device("laptop", folder=folder)


@pytest.fixture
def phone(world: World, laptop: Device) -> Device:
    return world.device("phone")


def looks(device: Device, number: int = 3) -> None:
    """Let some days pass with a look in each: time enough for whatever is put back."""
    for _ in range(number):
        device.clock.ms += DAY_MS
        outcome = device.run()
        assert outcome.trouble is None
        assert outcome.missing == ()


def test_a_new_file_that_is_evicted_between_listing_and_reading_is_read_once_it_is_back(
    laptop: Device, phone: Device, folder: Evicting
) -> None:
    # given
    phone.add("mail")
    phone.run()
    deliver(phone, laptop)
    late = phone.own_files()[-1]
    folder.chosen = lambda name: name == late
    # when
    looks(laptop)
    # then: nobody calls it damaged, and what only looks leaves it where it is
    assert late in folder.evicted
    assert laptop.names() == []
    assert laptop.problems() == []
    asked = folder.asked.count(late)
    looks(laptop)
    assert folder.asked.count(late) == asked
    # and: it is read when it is back
    folder.download()
    laptop.run()
    assert laptop.names() == ["mail"]


def test_known_files_that_are_evicted_while_they_are_read_again_are_neither_damaged_nor_put_back(
    laptop: Device, phone: Device, folder: Evicting
) -> None:
    # given: files of both devices that a client has written anew, so that they must be read again
    laptop.add("bank")
    phone.add("mail")
    phone.run()
    deliver(phone, laptop)
    laptop.run()
    known = folder.names()
    for name in known:
        folder.put(name, folder.read(name) or b"")
    before = folder.look()
    folder.chosen = lambda name: name in known[1:]
    # when
    looks(laptop)
    # then
    assert folder.evicted == set(known[1:])
    assert laptop.problems() == []
    folder.download()
    assert [found for found in folder.look().files if found.name in known] == list(before.files)
    assert laptop.names() == ["bank", "mail"]


def test_what_was_replaced_stays_while_what_replaces_it_is_evicted_before_it_was_read_back(
    laptop: Device, folder: Evicting
) -> None:
    # given: a compaction whose merged file goes when it is to be read back
    busy(laptop)
    before = set(laptop.own_files())
    assert compact(laptop).merged
    replaced = before - set(laptop.own_files())
    merged = {file.name for file in laptop.store.files_of("run") if laptop.store.replaces(file.hash)}
    laptop.clock.ms += QUARANTINE_S * 1000 + DAY_MS
    folder.chosen = lambda name: name in merged
    # when
    compact(laptop)
    # then
    assert merged <= folder.evicted
    assert replaced <= set(folder.names())
    # and: they go when it is back
    folder.download()
    compact(laptop)
    assert not replaced & set(folder.names())
