"""Less in the folder than this device once saw there: an alarm with device and number; all is kept and put back."""

from __future__ import annotations

import pytest

from otpkeep_daemon import regressions
from otpkeep_daemon.alarms import GRAVE, Problem, Told, decide
from otpkeep_daemon.compactor import Compactor
from otpkeep_daemon.recovery_report import found as found_by_recover
from otpkeep_protocol.errors import Unreachable
from support_restore import ask, files_of, found, look, messages, restore, roll_back, save
from support_vault import Device, World, deliver, publish_slots

GONE = (
    "What is gone is put back by itself; `otpkeep accept-rollback` has it put back at once, and ends this notice. If "
    "nobody restored the folder from a backup, find out who has changed it."
)
BACK = (
    "`otpkeep accept-rollback` ends this notice. If nobody restored the folder from a backup, find out who has changed "
    "it."
)


@pytest.fixture
def old(world: World, laptop: Device, phone: Device) -> dict[str, bytes]:
    """What the laptop's folder held before three edits of the laptop and two of the phone, which both have seen."""
    laptop.add("old")
    phone.add("old, too")
    world.sync()
    files = files_of(laptop.folder)
    for number in range(3):
        laptop.add(f"new {number}")
        laptop.run()
    for number in range(2):
        phone.add(f"newer {number}")
        phone.run()
    world.sync()
    assert messages(laptop, "rollback") == []
    return files


def gone(device: Device) -> dict[str, int]:
    """Whose events the alarm says are gone, and how many."""
    lost = regressions.noted(device.store).lost
    return {device.accounts.names().label(key) if key else "slots": count for key, count in lost.items()}


class TestTheWholeFolder:
    def test_that_went_back_is_told_by_device_and_number_and_nothing_is_lost(
        self, laptop: Device, old: dict[str, bytes]
    ) -> None:
        before = laptop.state()
        roll_back(laptop.folder, old)
        look(laptop)
        assert messages(laptop, "rollback") == []  # a client may be in the midst of something
        look(laptop)
        assert sorted(messages(laptop, "rollback")) == [
            "the folder has gone back: 2 events of phone that it held are gone from it; this device has them",
            "the folder has gone back: 3 events of laptop that it held are gone from it; this device has them",
        ]
        assert {problem["hint"] for problem in found(laptop, "rollback")} == {GONE}
        assert laptop.state() == before
        # and: in the log a device goes by its id
        logged = [problem["message"] for problem in found(laptop, "rollback", labels=False)]
        assert not any("phone" in message or "laptop" in message for message in logged)

    def test_that_went_back_is_told_while_locked_too(self, laptop: Device, old: dict[str, bytes]) -> None:
        laptop.lock_keys()
        roll_back(laptop.folder, old)
        look(laptop, 2)
        assert set(gone(laptop)) == {"laptop", "phone"}

    def test_gets_what_this_device_wrote_again_and_the_alarm_stays(self, laptop: Device, old: dict[str, bytes]) -> None:
        roll_back(laptop.folder, old)
        look(laptop, 3)
        assert set(laptop.own_files()) <= set(laptop.folder.names())
        assert len(messages(laptop, "rollback")) == 2
        laptop.restart()
        look(laptop, 3)
        assert len(messages(laptop, "rollback")) == 2

    def test_that_is_whole_again_is_told_as_past(self, laptop: Device, phone: Device, old: dict[str, bytes]) -> None:
        roll_back(laptop.folder, old)
        look(laptop, 3)
        deliver(phone, laptop)
        look(laptop)
        shown = found(laptop, "rollback")
        assert sorted(problem["message"] for problem in shown) == [
            f"the folder had gone back on 2023-11-14T22:15:20.000Z: {what} were gone from it, and are there again"
            for what in ("2 events of phone", "3 events of laptop")
        ]
        assert {problem["hint"] for problem in shown} == {BACK}

    def test_is_put_back_whole_at_once_when_that_is_accepted(self, laptop: Device, old: dict[str, bytes]) -> None:
        whole = set(laptop.folder.names())
        roll_back(laptop.folder, old)
        look(laptop, 2)
        answer = ask(laptop, "accept-rollback")
        assert {row["device"]: row["events"] for row in answer["rollbacks"]} == {"laptop": 3, "phone": 2}
        assert (answer["slots"], answer["missing"], answer["backed_up"]) == (0, 0, True)
        assert whole <= set(laptop.folder.names())
        assert [*messages(laptop, "rollback"), *messages(laptop, "missing")] == []
        look(laptop, 10)
        assert messages(laptop, "rollback") == []

    def test_that_lost_most_of_its_files_is_put_back_too_when_that_is_accepted(
        self, world: World, laptop: Device
    ) -> None:
        laptop.run()
        few = files_of(laptop.folder)
        for number in range(20):
            laptop.add(f"{number}")
            laptop.run()
        roll_back(laptop.folder, few)
        look(laptop, 4)
        assert len(laptop.folder.names()) < 5  # it may still be syncing, as far as anyone can tell
        look(laptop, minutes=6)
        assert gone(laptop) == {"laptop": 20}
        assert ask(laptop, "accept-rollback")["published"] == 20
        assert set(laptop.own_files()) <= set(laptop.folder.names())

    def test_that_goes_back_again_is_told_again_once_it_was_accepted(
        self, laptop: Device, old: dict[str, bytes]
    ) -> None:
        roll_back(laptop.folder, old)
        look(laptop, 2)
        (first, *_) = found(laptop, "rollback")
        ask(laptop, "accept-rollback")
        look(laptop)
        roll_back(laptop.folder, old)
        look(laptop, 2, minutes=6)
        assert set(gone(laptop)) == {"laptop", "phone"}
        assert first["subject"] not in {problem["subject"] for problem in found(laptop, "rollback")}

    def test_that_was_accepted_while_backup_is_off_is_quiet_until_more_goes(
        self, laptop: Device, old: dict[str, bytes]
    ) -> None:
        with laptop.store.transaction():
            laptop.store.put("backup", b"off")
        roll_back(laptop.folder, old)
        look(laptop, 2, minutes=6)
        assert gone(laptop) == {"laptop": 3, "phone": 2}
        answer = ask(laptop, "accept-rollback")
        assert (answer["published"], answer["missing"], answer["backed_up"]) == (0, 5, False)
        look(laptop, 4, minutes=6)
        assert messages(laptop, "rollback") == []
        laptop.folder.take(laptop.own_files()[1])
        look(laptop, 4, minutes=6)
        assert set(gone(laptop)) == {"laptop"}

    def test_of_the_state_before_a_compaction_has_lost_nothing(self, laptop: Device) -> None:
        for number in range(20):
            laptop.add(f"{number}")
            laptop.run()
        before = files_of(laptop.folder)
        assert Compactor(laptop.engine, laptop.folder, laptop.replica, 0).run(fanout=2).merged
        laptop.run()
        roll_back(laptop.folder, before)
        look(laptop, 1)
        assert regressions.noted(laptop.store).gone <= {laptop.own_files()[-1]}  # at most the pack event itself


class TestOneWriter:
    def test_whose_newest_files_are_gone_is_told_alone(self, laptop: Device, old: dict[str, bytes]) -> None:
        newest = [name for name in laptop.folder.names() if name not in old and name not in laptop.own_files()]
        for name in newest:
            laptop.folder.take(name)
        look(laptop)
        look(laptop, minutes=6)
        assert messages(laptop, "rollback") == [
            "the folder has gone back: 2 events of phone that it held are gone from it; this device has them"
        ]

    def test_is_told_until_all_is_back_whatever_that_device_writes_meanwhile(
        self, laptop: Device, phone: Device, old: dict[str, bytes]
    ) -> None:
        before = phone.own_files()
        lost = {name: laptop.folder.take(name) or b"" for name in before[-2:]}
        look(laptop)
        look(laptop, minutes=6)
        phone.add("later")
        phone.run()
        deliver(phone, laptop, [name for name in phone.own_files() if name not in before])
        look(laptop, 2)
        assert gone(laptop) == {"phone": 2}
        for name, data in lost.items():
            assert len(messages(laptop, "rollback")) == 1
            laptop.folder.put(name, data)
            look(laptop)
        assert messages(laptop, "rollback") == []

    def test_that_is_withheld_wholly_is_told_with_all_its_events(
        self, laptop: Device, phone: Device, old: dict[str, bytes]
    ) -> None:
        for name in phone.own_files():
            laptop.folder.take(name)
        look(laptop)
        look(laptop, minutes=6)
        assert gone(laptop) == {"phone": 5}

    def test_is_told_though_only_one_file_is_gone_once_that_has_lasted(
        self, laptop: Device, phone: Device, old: dict[str, bytes]
    ) -> None:
        laptop.folder.take(phone.own_files()[-1])
        look(laptop, 3)
        assert messages(laptop, "rollback") == []
        look(laptop, minutes=6)
        assert gone(laptop) == {"phone": 1}


class TestTheSlots:
    def test_that_are_gone_are_told_and_come_back(self, laptop: Device) -> None:
        slots = publish_slots(laptop)
        laptop.add("mail")
        look(laptop, 2)
        for name in slots:
            laptop.folder.take(name)
        look(laptop, 2)
        assert messages(laptop, "rollback") == [
            "the folder has gone back: 2 slots that it held are gone from it; this device has them"
        ]
        look(laptop)
        assert set(slots) <= set(laptop.folder.names())
        assert ask(laptop, "accept-rollback")["slots"] == 2
        assert messages(laptop, "rollback") == []

    def test_of_which_one_copy_is_gone_are_no_rollback(self, laptop: Device) -> None:
        slots = publish_slots(laptop)
        look(laptop, 2)
        laptop.folder.take(slots[0])
        look(laptop, 2)
        look(laptop, 3, minutes=10)
        assert messages(laptop, "rollback") == []
        assert slots[0] in laptop.folder.names()


class TestWhatIsNoRollback:
    def test_a_single_own_file_that_is_missing(self, laptop: Device, old: dict[str, bytes]) -> None:
        laptop.folder.take(laptop.own_files()[-1])
        look(laptop)
        assert messages(laptop, "missing") == [
            "1 files that were in the folder are gone; nothing is lost on this device"
        ]
        look(laptop, 3, minutes=10)
        assert [*messages(laptop, "rollback"), *messages(laptop, "missing")] == []

    def test_files_in_the_midst_of_a_history(self, laptop: Device, phone: Device, old: dict[str, bytes]) -> None:
        for device in (laptop, phone):
            for name in device.own_files()[:2]:
                laptop.folder.take(name)
        look(laptop, 4, minutes=10)
        assert messages(laptop, "rollback") == []
        assert len(laptop.engine.last.missing) > 0

    def test_a_folder_whose_files_were_moved_out_of_this_machine(self, laptop: Device, old: dict[str, bytes]) -> None:
        laptop.folder.evicted |= {name for name in laptop.folder.names() if name not in old}
        look(laptop, 4, minutes=10)
        assert [*messages(laptop, "rollback"), *messages(laptop, "missing")] == []

    def test_a_folder_that_is_still_syncing_file_by_file(self, laptop: Device, phone: Device) -> None:
        for number in range(30):
            phone.add(f"{number}")
            phone.run()
        deliver(phone, laptop)
        look(laptop, 2)
        whole = files_of(laptop.folder)
        roll_back(laptop.folder, dict(list(whole.items())[:1]))
        for name, data in sorted(whole.items()):
            laptop.folder.put(name, data)
            look(laptop, minutes=4)
            assert messages(laptop, "rollback") == []

    def test_a_folder_that_was_emptied(self, laptop: Device, old: dict[str, bytes]) -> None:
        roll_back(laptop.folder, {})
        look(laptop, 4, minutes=10)
        assert isinstance(laptop.engine.last.trouble, Unreachable)
        assert messages(laptop, "rollback") == []
        with pytest.raises(Unreachable):
            ask(laptop, "accept-rollback")

    @pytest.mark.parametrize("locked", [True, False])
    def test_files_that_another_device_has_merged_while_this_one_was_away(
        self, world: World, laptop: Device, phone: Device, locked: bool
    ) -> None:
        for number in range(20):
            phone.add(f"{number}")
            phone.run()
        world.sync()
        # given: the phone merges them, and the old ones go before the laptop looks again
        assert Compactor(phone.engine, phone.folder, phone.replica, 0).run(fanout=2).merged
        phone.run()
        merged = set(phone.own_files())
        for name in set(laptop.folder.names()) - merged - set(laptop.own_files()):
            laptop.folder.take(name)
        deliver(phone, laptop, [name for name in phone.folder.names() if name in merged])
        if locked:
            laptop.lock_keys()
        look(laptop, 4, minutes=10)
        assert messages(laptop, "rollback") == []

    def test_a_regression_that_ends_by_itself_needs_nobody(
        self, laptop: Device, phone: Device, old: dict[str, bytes]
    ) -> None:
        newest = {n: d for n, d in files_of(laptop.folder).items() if n not in old and n in phone.own_files()}
        for name in newest:
            laptop.folder.take(name)
        look(laptop)
        look(laptop, minutes=6)
        assert len(messages(laptop, "rollback")) == 1
        for name, data in newest.items():
            laptop.folder.put(name, data)
        look(laptop)
        assert messages(laptop, "rollback") == []


class TestTwoDevices:
    def test_that_were_shown_different_folders_and_then_each_others(
        self, world: World, laptop: Device, phone: Device, old: dict[str, bytes]
    ) -> None:
        # given: each sees the other's folder as it was, and goes on
        for device in (laptop, phone):
            roll_back(device.folder, old)
            device.add(f"by {device.label}")
            device.run()
        views = {device.label: files_of(device.folder) for device in (laptop, phone)}
        # when: the folders are exchanged
        roll_back(laptop.folder, views["phone"])
        roll_back(phone.folder, views["laptop"])
        for device in (laptop, phone):
            look(device, 3)
            assert set(gone(device)) >= {device.label}
            ask(device, "accept-rollback")
        world.sync()
        # then: nothing is lost, nobody is forked, and nobody is told of anything any more
        everything = {"old", "old, too", "new 0", "new 2", "newer 0", "newer 1", "by laptop", "by phone"}
        for device in (laptop, phone):
            assert everything <= set(device.names())
            for kind in ("rollback", "fork", "gap", "copied", "missing"):
                assert messages(device, kind) == []
        assert laptop.state() == phone.state()

    def test_one_of_which_was_restored_while_the_folder_went_back_as_well(
        self, world: World, laptop: Device, phone: Device
    ) -> None:
        laptop.add("old")
        world.sync()
        image = save(laptop)
        laptop.add("new")
        world.sync()
        roll_back(phone.folder, image.files)
        restore(laptop, image)
        laptop.add("after")
        look(laptop, 2)
        look(phone, 2, minutes=6)
        assert gone(phone) == {"laptop": 1}
        ask(phone, "accept-rollback")
        world.sync()
        world.sync()
        assert set(laptop.names()) == {"old", "new", "after"}
        assert laptop.state() == phone.state()

    def test_a_fresh_one_on_an_old_copy_learns_of_it_as_soon_as_anything_refers_to_the_rest(
        self, world: World, laptop: Device, phone: Device, old: dict[str, bytes]
    ) -> None:
        tablet = world.device("tablet", introduced=False)
        roll_back(tablet.folder, old)
        tablet.run()
        # given: nothing in the old copy says that there is more, so it is taken for whole
        told = found_by_recover(tablet.store, tablet.accounts, 0)
        assert (told["complete"], told["waiting_for"], told["accounts"]) == (True, [], 2)
        tablet.introduce()
        tablet.run()
        # when: something newer arrives
        phone.add("newest")
        phone.run()
        deliver(phone, tablet, [phone.own_files()[-1]])
        tablet.run()
        assert sorted(messages(tablet, "gap")) == [
            "waiting for 2 events of phone",
            "waiting for 3 events of laptop",
        ]


def test_the_journal_names_the_devices_by_id_once(
    laptop: Device, phone: Device, old: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    roll_back(laptop.folder, old)
    look(laptop, 5)
    (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("event=rollback")]
    for device, count in ((laptop, 3), (phone, 2)):
        assert f"{count} events of {device.store.need('device').hex()[:8]}" in line


def test_the_alarm_comes_at_once_is_grave_and_comes_again_for_a_new_rollback_alone(
    laptop: Device, old: dict[str, bytes]
) -> None:
    def told(memory: dict[tuple[str, str], Told]) -> tuple[list[str], dict[tuple[str, str], Told]]:
        rows = found(laptop, "rollback", labels=False)
        problems = [Problem(row["kind"], row["subject"], row["message"], row["hint"]) for row in rows]
        notices, memory = decide(problems, memory, laptop.clock.ms / 1000, 86_400)
        return [notice.kind for notice in notices if notice.raised], memory

    roll_back(laptop.folder, old)
    look(laptop, 2)
    kinds, memory = told({})
    assert (kinds, "rollback" in GRAVE) == (["rollback"], True)
    look(laptop, 2)
    assert told(memory)[0] == []
    # when: it is accepted, and soon after the folder goes back once more
    ask(laptop, "accept-rollback")
    look(laptop, 12)
    kinds, memory = told(memory)
    assert kinds == []
    roll_back(laptop.folder, old)
    look(laptop, 2, minutes=6)
    assert told(memory)[0] == ["rollback"]
