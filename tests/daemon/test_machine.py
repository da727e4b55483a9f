"""What `status` says of the machine, and of a crowded folder, with real stores and a folder in memory."""

from __future__ import annotations

from typing import Any

import support_service
from otpkeep_daemon.calls import call
from otpkeep_daemon.clocks import DAY_MS
from otpkeep_daemon.memory_folder import MemoryFolder
from otpkeep_daemon.retries import EVERY_S
from otpkeep_daemon.service import Service
from otpkeep_protocol.plan import PATIENCE_S
from support_vault import Device, World

HOUR_MS = 3_600_000


def serve(device: Device) -> Service:
    """A daemon's service on the device's store and folder."""
    with device.store.transaction():
        device.store.put("folder", b"/in/memory")
    return support_service.serve(device)


class Counting(MemoryFolder):
    """A folder that remembers which files were read."""

    def __init__(self) -> None:
        super().__init__("counting")
        self.were_read: set[str] = set()

    def read(self, name: str) -> bytes | None:
        self.were_read.add(name)
        return super().read(name)


def read_by_a_look(service: Service, folder: Counting) -> int:
    folder.were_read.clear()
    service.engine.run()
    return len(folder.were_read)


def problems(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call(service, "status", {})["problems"]
    return found


def test_a_device_whose_clock_is_behind_its_own_last_edit_is_told_until_the_next_edit(
    world: World, laptop: Device
) -> None:
    # given: an edit that was made while the clock was a year ahead
    service = serve(laptop)
    laptop.clock.ms += 365 * DAY_MS
    laptop.add("mail")
    laptop.clock.ms -= 365 * DAY_MS
    # then: it is named, also while locked, as this machine's clock
    (found,) = [one for one in problems(service) if one["kind"] == "clock"]
    assert "this machine's clock is 365 days behind" in found["message"]
    service.lock_keys()
    assert [one["kind"] for one in problems(service)] == ["clock", "locked"]
    # when: the next edit is made by the right clock
    laptop.add("bank")
    # then: that is all
    assert [one["kind"] for one in problems(service)] == ["locked"]


def test_the_clock_of_another_device_is_named_as_its_own(world: World, laptop: Device) -> None:
    phone = world.device("phone")
    phone.clock.ms += 365 * DAY_MS
    phone.add("mail")
    phone.run()
    for name in phone.folder.names():
        laptop.folder.put(name, phone.folder.read(name) or b"")
    service = serve(laptop)
    service.engine.run()
    (found,) = [one for one in problems(service) if one["kind"] == "clock"]
    assert "the clock of phone is ahead" in found["message"]
    # and: what goes into the log says its id instead
    (told,) = [row for row in call(service, "problems", {}) if row["kind"] == "clock"]
    assert "phone" not in told["message"]
    assert phone.store.need("device").hex()[:8] in told["message"]


def test_files_that_never_open_are_told_in_one_line_and_read_once_an_hour(world: World, laptop: Device) -> None:
    # given: many files with names like ours that are not
    folder = Counting()
    laptop.folder = folder
    for number in range(200):
        folder.put(f"copy {number}.otpk", b"not a file of otpkeep" + number.to_bytes(2))
    service = serve(laptop)
    service.engine.run()
    laptop.clock.ms += (PATIENCE_S + 1) * 1000
    service.engine.run()
    # then: one line says so
    (found,) = [one for one in problems(service) if one["kind"] == "damaged"]
    assert "200 files" in found["message"]
    # and: a look does not read them again, until an hour is over
    assert read_by_a_look(service, folder) == 0
    laptop.clock.ms += EVERY_S * 1000
    assert read_by_a_look(service, folder) == 200
    # and: one that changes is read at once
    folder.put("copy 7.otpk", b"another content")
    assert read_by_a_look(service, folder) == 1
