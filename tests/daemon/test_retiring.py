"""Retired devices: they hold nothing up, and any other device looks after their files (SPEC §8)."""

from __future__ import annotations

import pytest

from otpkeep_daemon.problems import device_problems
from otpkeep_daemon.report import active_devices, devices
from otpkeep_protocol.content import merge
from otpkeep_protocol.events import Draft
from support_compaction import busy, compact, from_scratch
from support_vault import DAY_MS, Device, World, deliver, make_keys

MONTH_S = 30 * 24 * 3600


def retire(device: Device, other: Device) -> None:
    device.commit(Draft("device.retire", other.store.need("device"), values={"retired": True}))


def pass_days(world: World, days: float) -> None:
    for device in world.devices:
        device.clock.ms += int(days * DAY_MS)


def state_of(device: Device, other: Device) -> str:
    wanted = other.store.need("device").hex()
    return next(row["state"] for row in devices(device.store, device.accounts) if row["id"] == wanted)


@pytest.fixture
def three(world: World) -> tuple[Device, Device, Device]:
    """A laptop, a phone, and an old tablet that wrote much and was retired after all had it."""
    laptop, phone, tablet = (world.device(label) for label in ("laptop", "phone", "tablet"))
    world.sync()
    busy(tablet)
    world.sync()
    retire(laptop, tablet)
    world.sync()
    return laptop, phone, tablet


def files_of(device: Device, owner: Device) -> list[str]:
    return [file.name for file in device.store.files_of("run") if file.owner == owner.store.need("device")]


def test_a_retired_device_is_shown_so_and_nobody_is_told_that_it_is_silent(
    three: tuple[Device, Device, Device],
) -> None:
    laptop, phone, tablet = three
    for device in three:
        assert state_of(device, tablet) == "retired"
        assert state_of(device, phone) == "active"
    now = laptop.clock.ms + 40 * DAY_MS
    silent = [p["subject"] for p in device_problems(laptop.store, laptop.accounts, now, MONTH_S)]
    assert phone.store.need("device").hex() in silent
    assert tablet.store.need("device").hex() not in silent
    assert "retired" in [p["kind"] for p in device_problems(tablet.store, tablet.accounts, now, MONTH_S)]


def test_a_retired_device_holds_up_no_compaction(world: World, three: tuple[Device, Device, Device]) -> None:
    laptop, phone, tablet = three
    world.devices.remove(tablet)
    busy(laptop)
    compact(laptop)
    world.sync()
    pass_days(world, 15)
    phone.add("a word of the phone")
    world.sync()
    assert len(active_devices(laptop.store, laptop.replica.chains, laptop.replica.state, laptop.clock.ms)) == 1
    assert len(compact(laptop).removed) >= 40
    tablet.close()


def test_any_device_packs_for_a_retired_one_and_removes_what_it_packed(
    world: World, three: tuple[Device, Device, Device]
) -> None:
    laptop, phone, tablet = three
    before = files_of(phone, tablet)
    assert len(before) > 40
    # when
    compact(phone)
    world.sync()
    # then: few files stand for the same events, for everybody, the retired one included
    for device in three:
        assert len(files_of(device, tablet)) < 8
        assert from_scratch(device)[0] == laptop.state()
    pass_days(world, 15)
    laptop.add("a word of the laptop")
    world.sync()
    assert len(compact(phone).removed) >= 40
    assert not set(phone.folder.names()) & set(before[:40])


def test_two_devices_that_pack_for_a_retired_one_at_once_make_the_same_file(
    world: World, three: tuple[Device, Device, Device]
) -> None:
    laptop, phone, tablet = three
    compact(laptop)
    compact(phone)
    assert files_of(laptop, tablet) == files_of(phone, tablet)
    world.sync()
    pass_days(world, 15)
    for device in (laptop, phone):
        device.add(f"a word of {device.label}")
    world.sync()
    removed = [set(compact(device).removed) for device in (laptop, phone)]
    assert removed[0] == removed[1]
    assert len(removed[0]) >= 40
    assert laptop.held() == phone.held()
    assert from_scratch(phone)[0] == phone.state()


def test_two_that_had_not_the_same_files_at_hand_end_with_one_of_them_and_lose_nothing(world: World) -> None:
    # given: the phone lacks the tablet's last edits when both pack
    laptop, phone, tablet = (world.device(label) for label in ("laptop", "phone", "tablet"))
    world.sync()
    account = busy(tablet, 10)
    world.sync()
    for number in range(10):
        tablet.change(account, note=f"late {number}")
        tablet.engine.publish()
    deliver(tablet, laptop)
    laptop.run()
    world.devices.remove(tablet)
    retire(laptop, tablet)
    laptop.run()
    deliver(laptop, phone, [laptop.own_files()[-1]])
    phone.run()
    compact(laptop)
    compact(phone)
    assert files_of(laptop, tablet) != files_of(phone, tablet)
    # when: they hear of each other
    for _ in range(4):
        world.sync()
        for device in (laptop, phone):
            compact(device)
    pass_days(world, 15)
    for device in (laptop, phone):
        device.add(f"a word of {device.label}")
    world.sync()
    removed = {name for device in (laptop, phone) for name in compact(device).removed}
    for device in (laptop, phone):
        for name in removed:
            device.folder.take(name)
    world.sync()
    # then
    assert files_of(laptop, tablet) == files_of(phone, tablet)
    assert set(files_of(laptop, tablet)) <= set(laptop.folder.names())
    # and: the folder alone has everything
    fresh = world.device("fresh", introduced=False)
    deliver(laptop, fresh)
    fresh.run()
    assert fresh.held() == laptop.held() == phone.held()
    tablet.close()


def test_a_retired_device_that_comes_back_puts_nothing_back_and_is_active_with_its_next_edit(
    world: World, three: tuple[Device, Device, Device]
) -> None:
    # given: a year in which the tablet was off, and its files were packed and removed
    laptop, phone, tablet = three
    world.devices.remove(tablet)
    old = set(files_of(tablet, tablet))
    compact(phone)
    world.sync()
    pass_days(world, 15)
    laptop.add("a word of the laptop")
    world.sync()
    gone = set(compact(phone).removed)
    assert gone & old
    for name in gone:
        laptop.folder.take(name)
        tablet.folder.take(name)
    pass_days(world, 350)
    tablet.clock.ms = phone.clock.ms
    # when: it is back, sees first only that they are gone, and then all the rest
    tablet.run()
    world.devices.append(tablet)
    for _ in range(3):
        world.sync()
        tablet.clock.ms += 2 * DAY_MS
    # then
    assert not gone & set(tablet.folder.names())
    assert tablet.engine.last.missing == ()
    assert state_of(tablet, tablet) == "retired"
    # when: somebody uses it
    tablet.add("an edit on the tablet")
    world.sync()
    # then
    assert {state_of(device, tablet) for device in three} == {"active"}
    assert len({device.state() for device in three}) == 1


def test_what_a_retired_device_does_by_itself_does_not_make_it_active(
    world: World, three: tuple[Device, Device, Device]
) -> None:
    _, phone, tablet = three
    phone.add("news")
    pass_days(world, 30)
    world.sync()
    compact(tablet)
    world.sync()
    assert not tablet.store.files_of("beat") or all(
        file.owner != tablet.store.need("device") for file in tablet.store.files_of("beat")
    )
    assert state_of(phone, tablet) == "retired"


def test_a_retired_device_packs_and_removes_nothing_of_other_retired_ones(
    world: World, three: tuple[Device, Device, Device]
) -> None:
    laptop, phone, _tablet = three
    retire(laptop, phone)
    world.sync()
    before = files_of(phone, three[2])
    compact(phone)
    assert files_of(phone, three[2]) == before


def test_its_snapshot_goes_once_another_device_has_one_that_covers_as_much(world: World) -> None:
    laptop, tablet = world.device("laptop"), world.device("tablet")
    world.sync()
    account = tablet.add("mail")
    for number in range(300):
        tablet.change(account, note=f"{number}")
    assert compact(tablet).snapshot
    world.sync()
    snapshot = tablet.store.files_of("snapshot")[0].name
    retire(laptop, tablet)
    laptop.run()
    assert compact(laptop).snapshot
    assert not laptop.folder.has(snapshot)
    assert laptop.run().missing == ()
    laptop.restart()
    assert laptop.state() == from_scratch(laptop)[0]


def test_a_device_packs_the_runs_of_its_own_older_writers(world: World) -> None:
    # given: a device that opened a new writer after a rollback
    laptop, phone = world.device("laptop"), world.device("phone")
    world.sync()
    account = busy(laptop, 20)
    world.sync()
    older = laptop.replica.keys.author.writer
    with laptop.store.transaction():
        author = laptop.replica._new_writer()
    laptop.replica.keys = type(laptop.replica.keys)(
        laptop.replica.keys.keyring, author, laptop.replica.keys.salt_secret, laptop.replica.keys.local_key
    )
    for number in range(20):
        laptop.change(account, note=f"by the new writer {number}")
        laptop.engine.publish()
    # when
    done = compact(laptop)
    # then
    assert {group[0].writer for group in done.merged} == {older, laptop.replica.keys.author.writer}
    world.sync()
    assert phone.state() == laptop.state() == from_scratch(phone)[0]


def test_merged_runs_are_sealed_alike_by_all_and_otherwise_for_other_content(laptop: Device) -> None:
    laptop.run()
    busy(laptop, 3)
    runs = [laptop.replica.archive.run(file.hash) for file in laptop.store.files_of("run")]
    one, other = make_keys("laptop"), make_keys("phone")
    assert one.seal_merged(merge(runs[:2])) == other.seal_merged(merge(runs[:2]))
    assert one.seal_merged(merge(runs[:2]))[45:77] != one.seal_merged(merge(runs[1:3]))[45:77]
