"""A folder whose client only receives: all looks well here, until somebody asks who has seen it."""

from __future__ import annotations

import pytest

from otpkeep_daemon.problems import device_problems
from otpkeep_protocol.events import Draft
from support_vault import DAY_MS, Device, World, deliver

MONTH_S = 30 * 24 * 3600


def told(device: Device) -> list[str]:
    """The messages about what nobody has seen."""
    found = device_problems(device.store, device.accounts, device.clock.ms, MONTH_S)
    return [problem["message"] for problem in found if problem["kind"] == "unseen"]


def week(world: World, *, sends: bool) -> None:
    """Let a week pass in which the phone's folder gets everything, and gives what it has if it sends."""
    laptop, phone = world.devices
    for device in world.devices:
        device.clock.ms += 7 * DAY_MS
        device.run()
    if sends:
        deliver(phone, laptop)
    deliver(laptop, phone)
    for device in world.devices:
        device.run()


@pytest.fixture
def devices(world: World) -> tuple[Device, Device]:
    """A laptop and a phone that know each other."""
    laptop, phone = world.device("laptop"), world.device("phone")
    world.sync()
    return laptop, phone


def test_a_device_whose_files_get_to_nobody_is_told_so_after_two_weeks(
    world: World, devices: tuple[Device, Device]
) -> None:
    # given: a phone whose folder only receives, and which writes an edit
    laptop, phone = devices
    phone.add("mail")
    week(world, sends=False)
    assert told(phone) == []
    # when
    week(world, sends=False)
    week(world, sends=False)
    # then: it is told there, with since when; the laptop, which everybody hears, is fine
    (message,) = told(phone)
    assert "no other device has seen what this one wrote since 20" in message
    assert told(laptop) == []
    # when: the folder sends again
    week(world, sends=True)
    week(world, sends=True)
    # then
    assert told(phone) == []


def test_who_hears_from_nobody_is_told_of_silence_and_not_of_this(world: World, devices: tuple[Device, Device]) -> None:
    _, phone = devices
    phone.add("mail")
    for _ in range(8):
        phone.clock.ms += 7 * DAY_MS
        phone.run()
    assert told(phone) == []


def test_one_device_that_has_seen_it_is_enough(world: World, devices: tuple[Device, Device]) -> None:
    # given: a third device that never hears of the phone, as behind a folder of its own
    laptop, phone = devices
    tablet = world.device("tablet")
    for _ in range(4):
        for device in world.devices:
            device.clock.ms += 7 * DAY_MS
            device.run()
        for target in (laptop, phone):
            deliver(tablet, target)
        deliver(phone, laptop)
        deliver(laptop, phone)
        laptop.run()
        laptop.clock.ms += DAY_MS
    phone.run()
    assert told(phone) == []


def test_what_is_not_in_the_folder_was_not_to_be_seen(world: World, devices: tuple[Device, Device]) -> None:
    _, phone = devices
    with phone.store.transaction():
        phone.store.put("backup", b"off")
    phone.add("mail")
    for _ in range(5):
        week(world, sends=False)
    assert told(phone) == []


def test_a_retired_device_need_not_have_seen_anything(world: World, devices: tuple[Device, Device]) -> None:
    laptop, phone = devices
    phone.commit(Draft("device.retire", laptop.store.need("device"), values={"retired": True}))
    for _ in range(5):
        week(world, sends=False)
    assert told(phone) == []
