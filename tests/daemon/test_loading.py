"""Taking in a whole folder on a new device: what is read when, and what is believed."""

from __future__ import annotations

import pytest

from otpkeep_daemon.folder_file import FIRST_CHUNK_SIZE
from otpkeep_daemon.found import read_all
from otpkeep_daemon.loading import BATCH_BYTES, take_in, take_in_snapshots
from otpkeep_daemon.memory_folder import MemoryFolder
from otpkeep_protocol import content
from otpkeep_protocol.naming import file_name
from support_compaction import compact
from support_vault import Device, World, deliver


class Reading(MemoryFolder):
    """A folder that notes which files are read whole, and how much of others is."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.whole: list[str] = []
        self.most = 0

    def head(self, name: str, size: int = 16) -> bytes | None:
        """See MemoryFolder."""
        self.most = max(self.most, size)
        data = super().read(name)
        return None if data is None else data[:size]

    def read(self, name: str) -> bytes | None:
        """See MemoryFolder."""
        self.whole.append(name)
        return super().read(name)


@pytest.fixture
def laptop(world: World) -> Device:
    """A device with a snapshot of 300 edits in its folder."""
    made = world.device("laptop")
    made.run()
    account = made.add("mail")
    for number in range(300):
        made.change(account, note=f"{number}")
    assert compact(made).snapshot
    return made


def fresh(world: World) -> tuple[Device, Reading]:
    folder = Reading("phone")
    return world.device("phone", folder=folder, introduced=False), folder


def test_only_the_snapshot_is_read_before_the_accounts_are_here(world: World, laptop: Device) -> None:
    phone, folder = fresh(world)
    deliver(laptop, phone)
    folder.whole.clear()
    # when
    files, pending = read_all(folder)
    shown = take_in_snapshots(phone.replica, files.values())
    # then: of all others no more than a chunk was read
    assert (shown, pending) == (1, 0)
    assert phone.names() == ["mail"]
    assert folder.whole == [laptop.store.files_of("snapshot")[0].name]
    assert folder.most == FIRST_CHUNK_SIZE


def test_a_file_is_read_when_it_is_its_turn(world: World, laptop: Device) -> None:
    phone, folder = fresh(world)
    deliver(laptop, phone)
    for number in range(3):  # no runs of this vault, but as large as a batch
        folder.put(f"{number:032x}.otpk", b"otpkeep\x00" + bytes(BATCH_BYTES))
    files, _ = read_all(folder)
    folder.whole.clear()
    read: list[int] = []
    # when
    take_in(phone.replica, files.values(), lambda _done, _total: read.append(len(folder.whole)))
    # then: one after the other, the largest first
    assert read[:3] == [1, 2, 3]
    assert read[-1] == len(files)
    assert phone.state() == laptop.state()


def test_a_file_that_goes_before_it_is_read_stops_nothing(world: World, laptop: Device) -> None:
    phone, folder = fresh(world)
    deliver(laptop, phone)
    files, _ = read_all(folder)
    folder.take(laptop.store.files_of("snapshot")[0].name)
    # when
    assert take_in_snapshots(phone.replica, files.values()) == 0
    take_in(phone.replica, files.values(), lambda _done, _total: None)
    # then
    assert phone.state() == laptop.state()


def test_a_snapshot_that_is_not_believed_is_not_counted(world: World, laptop: Device) -> None:
    phone, folder = fresh(world)
    author, seen = laptop.replica.keys.author, laptop.replica.chains.seen()
    forged = laptop.replica.seal(content.make_snapshot(author, laptop.ring.vault, b"not a state", seen))
    folder.put(file_name(forged), forged)
    files, _ = read_all(folder)
    assert take_in_snapshots(phone.replica, files.values()) == 0
    assert phone.names() == []


def test_the_first_look_reads_nothing_again_that_was_taken_in(world: World, laptop: Device) -> None:
    phone, folder = fresh(world)
    deliver(laptop, phone)
    take_in(phone.replica, read_all(folder)[0].values(), lambda _done, _total: None)
    stored = {file.name for file in phone.store.files()}
    assert len(stored) > 1
    folder.whole.clear()
    # when
    outcome = phone.run()
    # then
    assert outcome.trouble is None
    assert not stored & set(folder.whole)
