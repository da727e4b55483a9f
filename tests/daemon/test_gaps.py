"""What is withheld is named: whose events, and how many; a device that lacks some is incomplete until they are here."""

from __future__ import annotations

import pytest

from otpkeep_daemon.recovery_report import found as found_by_recover
from otpkeep_daemon.report import waiting_for
from support_restore import ask, found, messages
from support_vault import Device, World, deliver

GAP = (
    "Let that device and this one sync. If what is missing is gone for good, `otpkeep accept-rollback` ends this "
    "notice."
)


@pytest.fixture
def withheld(world: World, laptop: Device, phone: Device) -> list[str]:
    """Names of 17 files of the laptop, of one event each, which only the laptop and the phone have."""
    world.sync()
    before = set(laptop.own_files())
    for number in range(17):
        laptop.add(f"withheld {number}")
        laptop.run()
    deliver(laptop, phone)
    phone.run()
    return [name for name in laptop.own_files() if name not in before]


def all_but(source: Device, target: Device, withheld: list[str]) -> None:
    deliver(source, target, [name for name in source.folder.names() if name not in withheld])


def test_what_lies_before_a_newer_event_is_named_by_device_and_count(
    world: World, laptop: Device, withheld: list[str]
) -> None:
    tablet = world.device("tablet")
    laptop.add("newest")
    laptop.run()
    all_but(laptop, tablet, withheld)
    tablet.run()
    (problem,) = found(tablet, "gap")
    assert (problem["message"], problem["hint"]) == ("waiting for 17 events of laptop", GAP)
    assert problem["subject"] == laptop.store.need("device").hex()
    assert found(tablet, "gap", labels=False)[0]["message"] == f"waiting for 17 events of {problem['subject'][:8]}"
    assert waiting_for(tablet.accounts) == [{"device": "laptop", "events": 17}]
    # when: they come, all but one, and that one too
    deliver(laptop, tablet, withheld[1:])
    tablet.run()
    assert messages(tablet, "gap") == ["waiting for 1 event of laptop"]
    deliver(laptop, tablet)
    tablet.run()
    assert messages(tablet, "gap") == []


def test_verify_names_what_the_folder_withholds_by_device_and_count(
    world: World, laptop: Device, withheld: list[str]
) -> None:
    tablet = world.device("tablet")
    laptop.add("newest")
    laptop.run()
    all_but(laptop, tablet, withheld)
    tablet.run()
    result = ask(tablet, "verify", depth="content", repair=False)
    (gap,) = [row for row in result["problems"] if row["kind"] == "gap"]
    assert (result["ok"], gap["device"]) == (False, "laptop")
    assert gap["message"].startswith("17 events (")


def test_a_writer_that_is_withheld_to_its_end_is_found_by_what_others_have_seen(
    world: World, laptop: Device, phone: Device, withheld: list[str]
) -> None:
    # given: a device that has the laptop's first events, and a later edit of the phone, which has seen them all
    tablet = world.device("tablet")
    phone.add("by the phone")
    phone.run()
    all_but(phone, tablet, withheld)
    tablet.run()
    assert "by the phone" in tablet.names()
    assert messages(tablet, "gap") == ["waiting for 17 events of laptop"]


def test_a_device_of_which_nothing_has_arrived_is_called_so(world: World, laptop: Device, phone: Device) -> None:
    laptop.add("mail")
    world.sync()
    phone.add("by the phone")
    phone.run()
    tablet = world.device("tablet")
    deliver(phone, tablet, phone.own_files())
    tablet.run()
    writer = laptop.replica.keys.author.writer.hex()[:8]
    assert messages(tablet, "gap") == [f"waiting for 3 events of a device that is not known here yet ({writer})"]


def test_two_devices_are_named_apart_and_two_writers_of_one_together(
    world: World, laptop: Device, phone: Device, withheld: list[str]
) -> None:
    # given: the phone has gone on under another writer, too
    before = set(phone.own_files())
    phone.add("old writer")
    phone.replica.renew_writer()
    phone.add("new writer")
    phone.run()
    lost = [*withheld, *(name for name in phone.own_files() if name not in before)]
    deliver(phone, laptop)
    laptop.run()
    laptop.add("newest")
    laptop.run()
    tablet = world.device("tablet")
    all_but(laptop, tablet, lost)
    tablet.run()
    shown = {row["device"]: row["events"] for row in waiting_for(tablet.accounts)}
    writer = phone.replica.keys.author.writer.hex()[:8]
    assert shown == {"laptop": 17, "phone": 1, writer: 2}
    # when: the new writer is known to be the phone's
    opened = next(n for n in phone.own_files() if n in lost and "new writer" in _names_in(phone, n))
    deliver(phone, tablet, [opened])
    tablet.run()
    assert {row["device"]: row["events"] for row in waiting_for(tablet.accounts)} == {"laptop": 17, "phone": 1}


def _names_in(device: Device, name: str) -> set[str]:
    file = device.store.file_named(name)
    assert file is not None
    run = device.replica.archive._opened(file.hash).values()
    return {event.values.get("name", "") for event in run if event.values is not None}


def test_a_fresh_device_stays_incomplete_until_all_that_is_named_is_here(
    world: World, laptop: Device, withheld: list[str]
) -> None:
    tablet = world.device("tablet", introduced=False)
    laptop.add("newest")
    laptop.run()
    all_but(laptop, tablet, withheld[:3])
    tablet.run()
    told = found_by_recover(tablet.store, tablet.accounts, 0)
    assert (told["complete"], told["waiting_for"]) == (False, [{"device": "laptop", "events": 3}])
    assert told["accounts"] == 15
    assert {row["name"] for row in told["devices"]} == {"laptop", "phone"}
    for name in withheld[:3]:
        assert not found_by_recover(tablet.store, tablet.accounts, 0)["complete"]
        deliver(laptop, tablet, [name])
        tablet.run()
    told = found_by_recover(tablet.store, tablet.accounts, 0)
    assert (told["complete"], told["waiting_for"], told["accounts"]) == (True, [], 18)
    assert not found_by_recover(tablet.store, tablet.accounts, 1)["complete"]


def test_what_is_gone_for_good_can_be_accepted_and_is_told_again_only_if_more_is_missing(
    world: World, laptop: Device, withheld: list[str]
) -> None:
    tablet = world.device("tablet")
    laptop.add("newest")
    laptop.run()
    lost = withheld[:4]
    all_but(laptop, tablet, lost)
    tablet.run()
    assert ask(tablet, "accept-rollback")["gaps"] == [{"device": "laptop", "events": 4}]
    assert messages(tablet, "gap") == []
    assert waiting_for(tablet.accounts) == [{"device": "laptop", "events": 4}]  # which stays true
    assert ask(tablet, "accept-rollback")["gaps"] == []
    laptop.add("lost as well")
    laptop.run()
    more = [*lost, laptop.own_files()[-1]]
    laptop.add("newer")
    laptop.run()
    all_but(laptop, tablet, more)
    tablet.run()
    assert messages(tablet, "gap") == ["waiting for 5 events of laptop"]
