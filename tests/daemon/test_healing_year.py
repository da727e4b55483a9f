"""A simulated year: devices that heal, compact and delete under a cloud that errs never chase each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from otpkeep_protocol.events import Draft
from support_cloud import Cloud, CountingFolder
from support_compaction import compact, from_scratch
from support_vault import DAY_MS, START_MS, Device, World, new_world

DAYS = 365
AWAY = range(70, 210)
"""Longer than the quarantine, and than a silent device holds anything up."""
RETIRED = 185
QUIET_DAYS = 40
"""Without edits and errors: longer than any waiting."""
pytestmark = pytest.mark.xdist_group("healing-year")


class Year:
    """Four devices, one away for months, one retired in the middle."""

    def __init__(self, world: World) -> None:
        self.cloud = Cloud(5)
        self.world = world
        labels = ("laptop", "desktop", "phone", "tablet")
        self.devices = [world.device(label, folder=CountingFolder(label)) for label in labels]
        self.laptop, self.desktop, self.phone, self.tablet = self.devices
        self.accounts: dict[str, str] = {}

    def live(self) -> None:
        for day in range(DAYS + QUIET_DAYS):
            for device in self.devices:
                device.clock.ms = START_MS + day * DAY_MS
            if day == RETIRED:
                retired = self.tablet.store.need("device")
                self.laptop.commit(Draft("device.retire", retired, values={"retired": True}))
            for device in self.present(day):
                self.spend_a_day(device, day)
            if day < DAYS:
                self.err()

    def present(self, day: int) -> list[Device]:
        away = {self.phone.label} if day in AWAY else set()
        gone = {self.tablet.label} if day >= RETIRED - 10 else set()
        return [device for device in self.devices if device.label not in away | gone]

    def spend_a_day(self, device: Device, day: int) -> None:
        number = self.devices.index(device)
        self.cloud.sync(device)
        if day < DAYS:
            self.edit(device, day)
        if day % 97 == 90 + number:
            device.restart()
        if (day + number) % 3:
            device.run()
        else:
            compact(device)
        self.cloud.sync(device)

    def edit(self, device: Device, day: int) -> None:
        if device.label not in self.accounts:
            self.accounts[device.label] = device.add(device.label)
        device.change(self.accounts[device.label], note=f"{day}")
        device.engine.publish()

    def err(self) -> None:
        chance = self.cloud.chance.random()
        if chance < 0.3:
            self.cloud.drop()
        elif chance < 0.4:
            self.cloud.spoil()
        elif chance < 0.6:
            self.cloud.resurrect()

    def counted(self, what: str) -> Counter[str]:
        """Return how often each file was written, or deleted, by any device."""
        total = Counter[str]()
        for device in self.devices:
            total.update(getattr(device.folder, what))
        return total


@pytest.fixture(scope="module")
def year() -> Iterator[Year]:
    with new_world() as world:
        made = Year(world)
        made.live()
        yield made


def test_each_file_is_written_once_and_once_more_for_each_time_that_the_cloud_lost_it(year: Year) -> None:
    written, dropped = year.counted("written"), year.cloud.dropped
    assert [name for name in written if written[name] > 1 + dropped[name]] == []
    # and: the year was hostile enough to mean something
    assert sum(dropped.values()) > 100
    assert sum(written.values()) > 800


def test_each_file_is_deleted_once_and_once_more_for_each_time_that_the_cloud_brought_it_back(year: Year) -> None:
    deleted, resurrected = year.counted("deleted"), year.cloud.resurrected
    assert [name for name in deleted if deleted[name] > 1 + resurrected[name]] == []
    assert sum(resurrected.values()) > 100
    assert sum(deleted.values()) > 800


def test_no_device_writes_or_deletes_more_than_its_edits_and_the_errors_account_for(year: Year) -> None:
    errors = sum(year.cloud.dropped.values()) + sum(year.cloud.resurrected.values())
    for device in year.devices:
        edits = DAYS if device in (year.laptop, year.desktop) else DAYS // 2 + 30
        folder = device.folder
        assert isinstance(folder, CountingFolder)
        assert sum(folder.written.values()) <= 1.5 * edits + errors
        assert sum(folder.deleted.values()) <= 1.5 * edits + errors


def test_nothing_that_was_replaced_comes_back_to_stay(year: Year) -> None:
    # then: after the quiet days there is only what the stores hold, though the cloud brought hundreds of files back
    held = {file.name for file in year.laptop.store.files()}
    year.cloud.sync(year.laptop)
    compact(year.laptop)
    assert set(year.laptop.folder.names()) - held == set()
    assert all(not device.engine.last.missing for device in year.present(DAYS))
    assert len(held) < 80


def test_others_put_back_what_a_retired_device_can_t(year: Year) -> None:
    own = year.tablet.store.need("device")
    of_tablet = {file.name for file in year.laptop.store.files() if file.owner == own}
    assert of_tablet <= year.cloud.files.keys()
    assert len(of_tablet) < 20


def test_all_converge_and_every_event_is_there(year: Year) -> None:
    active = year.present(DAYS)
    assert len({device.state() for device in active}) == 1
    everything = set[bytes]().union(*[device.held() for device in year.devices])
    for device in active:
        assert device.held() == everything
        assert from_scratch(device)[0] == device.state()
    # and: from the folder alone
    fresh = year.world.device("fresh", introduced=False)
    year.cloud.sync(fresh)
    for _ in range(3):
        fresh.run()
    assert fresh.held() == everything
    assert fresh.state() == active[0].state()
