"""A device whose files were copied to another machine is told so by both; one that was restored is not."""

from __future__ import annotations

import pytest

from support_restore import ask, copy_device, found, restore, save
from support_vault import DAY_MS, Device, World, deliver


@pytest.fixture
def twin(world: World, laptop: Device, phone: Device) -> Device:
    """The laptop's disk on another machine."""
    laptop.add("mail")
    world.sync()
    return copy_device(world, laptop, "twin")


def go_on(world: World, *devices: Device, rounds: int = 3) -> None:
    for number in range(rounds):
        for device in devices:
            device.clock.ms += 1000
            device.add(f"{device.label} {number}")
            world.sync()


def test_both_machines_are_told_what_happened_and_what_to_do(world: World, laptop: Device, twin: Device) -> None:
    go_on(world, laptop, twin)
    for device in (laptop, twin):
        (problem,) = found(device, "copied")
        assert problem["message"].startswith("another machine writes as this device, laptop, and was heard of on 2023-")
        assert problem["message"].endswith(": its files were copied there; no edit is lost")
        assert problem["hint"] == (
            "On the machine that is the copy: `otpkeep backup now`, then stop otpkeep there, move its OTPKEEP_HOME (or "
            "the store) aside, and run `otpkeep recover FOLDER`: it becomes a device of its own. Then `otpkeep "
            "accept-rollback` ends this notice."
        )
    # and: no label goes into a log
    (unlabelled,) = found(laptop, "copied", labels=False)
    assert "laptop" not in unlabelled["message"]


def test_a_machine_that_only_reads_is_found_by_its_beats(world: World, laptop: Device, twin: Device) -> None:
    go_on(world, laptop, rounds=2)
    go_on(world, twin, rounds=1)
    for _ in range(3):
        for device in world.devices:
            device.clock.ms += 2 * DAY_MS
        laptop.add(f"at {laptop.clock.ms}")
        world.sync()
    assert len(found(laptop, "copied")) == 1


def test_a_device_that_was_restored_is_not_told_of_a_copy(world: World, laptop: Device, phone: Device) -> None:
    # given: two restores, the second from between two writers of the laptop
    images = []
    for number in range(4):
        images.append(save(laptop, f"image {number}"))
        laptop.add(f"first {number}")
        world.sync()
    restore(laptop, images[1], folder=False)
    laptop.add("forks")
    world.sync()
    between = save(laptop, "between")
    go_on(world, laptop, phone)
    restore(laptop, images[3], folder=False)
    laptop.add("forks again")
    go_on(world, laptop, phone)
    restore(laptop, between, folder=False)
    go_on(world, laptop, phone)
    # then: all of its own lost events have come back, and none of them is from another machine
    for device in (laptop, phone):
        assert [*found(device, "copied"), *found(device, "fork")] == []
        assert device.state() == laptop.state()


def test_the_notice_ends_when_it_is_accepted_and_comes_back_if_the_copy_goes_on(
    world: World, laptop: Device, twin: Device
) -> None:
    go_on(world, laptop, twin)
    (before,) = found(laptop, "copied")
    assert ask(laptop, "accept-rollback")["copies"] == ["laptop"]
    assert found(laptop, "copied") == []
    # when: nothing more comes from there, and then something does
    go_on(world, laptop)
    assert found(laptop, "copied") == []
    go_on(world, twin, rounds=1)
    (after,) = found(laptop, "copied")
    assert after["subject"] != before["subject"]


def test_old_files_of_this_device_that_come_back_prove_nothing(world: World, laptop: Device, phone: Device) -> None:
    # given: every file that the laptop has ever published, its beats included
    ever: dict[str, bytes] = {}
    for number in range(4):
        laptop.clock.ms += 2 * DAY_MS
        laptop.add(f"{number}")
        world.sync()
        laptop.run()
        ever |= {name: laptop.folder.read(name) or b"" for name in laptop.folder.names()}
    for name, data in ever.items():
        laptop.folder.put(name, data)
    go_on(world, laptop, rounds=1)
    for name, data in ever.items():
        laptop.folder.put(name, data)
    go_on(world, laptop, phone)
    assert [*found(laptop, "copied"), *found(laptop, "fork")] == []


def test_a_copy_that_became_a_device_of_its_own_is_heard_of_no_more(world: World, laptop: Device, twin: Device) -> None:
    go_on(world, laptop, twin)
    ask(laptop, "accept-rollback")
    world.devices.remove(twin)
    twin.close()
    fresh = world.device("tablet")
    deliver(laptop, fresh)
    go_on(world, laptop, fresh)
    assert found(laptop, "copied") == []
    assert {"twin 0", "twin 2"} <= set(fresh.names())
