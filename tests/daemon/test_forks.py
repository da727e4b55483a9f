"""A device that was restored or copied: no edit is lost, nothing is made twice, and its fork is settled."""

from __future__ import annotations

import pytest

from otpkeep_daemon.pointing import find_event
from otpkeep_protocol.errors import Usage
from support_restore import (
    Recorded,
    ask,
    assert_no_salt_repeats,
    copy_device,
    found,
    restore,
    save,
    twice_made,
)
from support_vault import Device, World, deliver


@pytest.fixture
def laptop(world: World) -> Device:
    return world.device("laptop", folder=Recorded("laptop", {}))


@pytest.fixture
def phone(world: World, laptop: Device) -> Device:
    assert isinstance(laptop.folder, Recorded)
    made = world.device("phone", folder=Recorded("phone", laptop.folder.ever))
    world.sync()
    return made


def ever(device: Device) -> dict[bytes, bytes]:
    assert isinstance(device.folder, Recorded)
    return device.folder.ever


def notes(device: Device, account: str) -> set[str]:
    """All values of the note that the device shows."""
    shown = device.accounts.view(bytes.fromhex(account))
    return {shown.values["note"], *(loser.written.value for loser in shown.conflicts.get("note", ()))}


def assert_alike(*devices: Device) -> None:
    first, *others = devices
    for other in others:
        assert other.state() == first.state()
        assert other.held() == first.held()


RESTORED = {
    "the store": {"store": True, "folder": False},
    "the folder": {"store": False, "folder": True},
    "store and folder": {"store": True, "folder": True},
}


@pytest.mark.parametrize("what", RESTORED)
@pytest.mark.parametrize("first", ["edits", "looks"])
def test_no_edit_is_lost_and_nothing_made_twice_when_a_device_is_restored(
    world: World, laptop: Device, phone: Device, what: str, first: str
) -> None:
    # given: edits of the laptop since its backup, of which the phone has seen the first two
    account = laptop.add("mail")
    laptop.run()
    image = save(laptop)
    for number in range(3):
        laptop.clock.ms += 1000
        laptop.change(account, note=f"lost {number}")
        laptop.add(f"new {number}")
        laptop.run()
        if number == 1:
            deliver(laptop, phone)
            phone.run()
    phone.change(account, note="by the phone")
    phone.run()
    # when: it is restored, and goes on
    restore(laptop, image, **RESTORED[what])
    if first == "looks":
        laptop.run()
    laptop.add("after the restore")
    laptop.run()
    world.sync()
    world.sync()
    # then: what anybody still had is everywhere
    assert {"mail", "new 0", "new 1", "after the restore"} <= set(laptop.names())
    assert "by the phone" in notes(laptop, account)
    assert ("new 2" in laptop.names()) == (what != "store and folder")
    assert_alike(laptop, phone)
    assert_no_salt_repeats(ever(laptop))
    # and: once it is in step, nobody has anything to be told, and nothing more is made twice
    before = twice_made([laptop, phone])
    for number in range(3):
        laptop.add(f"later {number}")
        world.sync()
    assert twice_made([laptop, phone]) == before
    for device in (laptop, phone):
        assert [*found(device, "fork"), *found(device, "gap"), *found(device, "copied")] == []


def test_a_restored_device_that_looks_first_forks_nothing(world: World, laptop: Device, phone: Device) -> None:
    image = save(laptop)
    laptop.add("mail")
    laptop.run()
    restore(laptop, image, folder=False)
    laptop.run()
    laptop.add("more")
    world.sync()
    assert twice_made([laptop, phone]) == set()
    assert phone.names() == ["mail", "more"]


def test_both_machines_of_a_copied_device_go_on_and_lose_nothing(world: World, laptop: Device, phone: Device) -> None:
    # given: the disk of the laptop, on another machine
    account = laptop.add("mail")
    laptop.run()
    twin = copy_device(world, laptop, "twin")
    # when: both write, apart and then in step
    _write(laptop, account)
    _write(twin, account)
    world.sync()
    world.sync()
    for device in (laptop, twin):
        device.add(f"more of {device.label}")
    world.sync()
    # then: all of it is everywhere, and the values that lost are seen
    assert {"mail", "of laptop", "of twin", "more of laptop", "more of twin"} == set(phone.names())
    assert notes(phone, account) == {"by laptop", "by twin"}
    assert_alike(laptop, twin, phone)
    assert_no_salt_repeats(ever(laptop))
    # and: only what was written before they met was made twice
    before = twice_made(world.devices)
    assert len(before) == 2
    for number in range(2):
        for device in (laptop, twin):
            device.add(f"{device.label} {number}")
        world.sync()
    assert twice_made(world.devices) == before


def test_a_machine_that_was_copied_with_its_random_generator_repeats_no_salt(
    world: World, laptop: Device, phone: Device
) -> None:
    account = laptop.add("mail")
    laptop.run()
    twin = copy_device(world, laptop, "twin", same_random=True)
    _write(laptop, account)
    _write(twin, account)
    world.sync()
    world.sync()
    assert notes(phone, account) == {"by laptop", "by twin"}
    assert_alike(laptop, twin, phone)
    assert_no_salt_repeats(ever(laptop))


def _write(device: Device, account: str) -> None:
    device.clock.ms += 1000 + len(device.label)
    device.change(account, note=f"by {device.label}")
    device.add(f"of {device.label}")
    device.run()


class TestAFork:
    @pytest.fixture
    def forked(self, world: World, laptop: Device, phone: Device) -> str:
        """The laptop wrote 4 and 5 twice; the phone has both histories, the laptop not yet. Returns the account."""
        account = laptop.add("mail")
        world.sync()
        image = save(laptop)
        for text in ("one", "two"):
            laptop.change(account, note=text)
        laptop.run()
        deliver(laptop, phone)
        restore(laptop, image)
        for text in ("three", "four"):
            laptop.clock.ms += 1000
            laptop.change(account, note=text)
        laptop.run()
        deliver(laptop, phone)
        phone.run()
        return account

    def test_is_named_with_device_and_event_and_what_to_do(self, phone: Device, laptop: Device, forked: str) -> None:
        (problem,) = found(phone, "fork")
        writer = laptop.replica.keys.author.writer.hex()
        assert problem["message"] == (
            f"laptop has two histories from event {writer[:6]}.4 on; both are kept, and no edit is lost"
        )
        assert problem["hint"] == (
            "It was restored from an older state, or its files were copied to another machine. Let it sync: otpkeep "
            "settles this there by itself. If that device is gone for good, `otpkeep accept-rollback` ends this notice."
        )
        assert problem["subject"] == writer
        (unlabelled,) = found(phone, "fork", labels=False)
        assert unlabelled["message"].startswith(f"{laptop.store.need('device').hex()[:8]} has two histories")

    def test_keeps_both_branches_as_concurrent(self, phone: Device, forked: str) -> None:
        assert notes(phone, forked) == {"two", "four"}

    def test_is_settled_by_a_new_writer_that_names_both_heads(
        self, world: World, laptop: Device, phone: Device, forked: str
    ) -> None:
        old = laptop.replica.keys.author.writer
        heads = {piece.hash for piece in phone.replica.chains.seen() if piece.writer == old}
        assert len(heads) == 2
        # when: the laptop sees what it wrote twice, and nobody edits anything
        deliver(phone, laptop)
        laptop.run()
        # then
        opening = next(e for e in laptop.replica.archive.log() if e.kind == "writer.open")
        assert opening.dot.writer != old
        assert {piece.hash for piece in opening.seen if piece.writer == old} == heads
        assert found(laptop, "fork") == []
        # and: the others hear of it, and it stays so
        world.sync()
        assert found(phone, "fork") == []
        count = phone.store.event_count()
        world.sync()
        assert phone.store.event_count() == count
        for device in (laptop, phone):
            device.restart()
            assert found(device, "fork") == []

    def test_that_grows_once_more_is_settled_once_more(
        self, world: World, laptop: Device, phone: Device, forked: str
    ) -> None:
        # given: of the branch that was lost only the beginning has come back, and is settled
        old, late = laptop.replica.keys.author.writer, "late"
        deliver(phone, laptop)
        laptop.run()
        world.sync()
        # when: a machine with an old state of the laptop goes on writing
        twin = copy_device(world, laptop, late)
        restore(twin, save(twin, "again"))
        for device in (laptop, twin):
            device.add(f"of {device.label}")
            device.run()
        deliver(twin, phone)
        deliver(laptop, phone)
        phone.run()
        assert [problem["subject"] for problem in found(phone, "fork")] != [old.hex()]
        assert len(found(phone, "fork")) == 1
        world.sync()
        assert found(phone, "fork") == []

    def test_of_a_device_that_is_gone_can_be_accepted_and_is_told_again_only_if_it_grows(
        self, laptop: Device, phone: Device, forked: str
    ) -> None:
        assert ask(phone, "accept-rollback")["forks"] == ["laptop"]
        assert found(phone, "fork") == []
        phone.restart()
        phone.run()
        assert found(phone, "fork") == []
        assert ask(phone, "accept-rollback")["forks"] == []
        # when: a branch grows
        laptop.change(forked, note="five")
        laptop.run()
        deliver(laptop, phone)
        phone.run()
        assert len(found(phone, "fork")) == 1

    def test_leaves_every_event_its_own_name(self, laptop: Device, phone: Device, forked: str) -> None:
        # given: two events of one number
        everything = {"account": forked, "since": None, "until": None, "device": None, "limit": None}
        lines = ask(phone, "log", **everything)
        names = [line["event"] for line in lines]
        assert len(set(names)) == len(names)
        short = f"{laptop.replica.keys.author.writer.hex()[:6]}.5"
        twice = sorted(name for name in names if name.startswith(f"{short}."))
        assert len(twice) == 2
        # then: the short name is refused with both of them
        with pytest.raises(Usage) as refused:
            find_event(phone.replica.archive, short)
        assert refused.value.hint == f"Say which: {twice[0]} or {twice[1]}."
        assert refused.value.message == "two events have this name, since a device was copied or rolled back"
        # and: each can be undone by its own
        for name in twice:
            assert ask(phone, "undo", event=name, force=True)["event"] is not None
            assert ask(phone, "event", event=name)["undone"]
