"""The engine between a real store and a folder in memory: what each kind of trouble there does, and does not do."""

from __future__ import annotations

import dataclasses

import pytest

from otpkeep_daemon.memory_folder import MemoryFolder
from otpkeep_protocol.errors import NotFound
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.naming import file_name
from support_vault import DAY_MS, Device, World, deliver, edit, keyring, new_world, publish_slots, totp


def trouble_of(device: Device) -> str:
    trouble = device.run().trouble
    assert trouble is not None
    return trouble.kind


def damaged(data: bytes, how: str) -> bytes:
    return {
        "truncated": data[: len(data) // 2],
        "header only": data[:109],
        "empty": b"",
        "zeroed": bytes(len(data)),
        "flipped in a chunk": data[:500] + bytes([data[500] ^ 1]) + data[501:],
        "flipped in the salt": data[:50] + bytes([data[50] ^ 1]) + data[51:],
        "longer": data + b"x",
        "garbage": bytes(range(256)) * 4,
    }[how]


DAMAGES = [
    "truncated",
    "header only",
    "empty",
    "zeroed",
    "flipped in a chunk",
    "flipped in the salt",
    "longer",
    "garbage",
]


class TestPublishing:
    def test_an_edit_is_in_the_folder_when_publish_says_so(self, laptop: Device) -> None:
        laptop.run()
        laptop.add("mail")

        assert laptop.engine.publish()

        assert {file_name(laptop.folder.read(n) or b"") for n in laptop.folder.names()} == set(laptop.own_files())

    def test_publishing_survives_a_crash_before_it_is_marked(self, laptop: Device) -> None:
        laptop.run()
        laptop.add("mail")
        laptop.engine.publish()
        names = laptop.folder.names()
        laptop.store.close()  # without engine.close: the marks are lost

        laptop.open()
        laptop.run()

        assert laptop.folder.names() == names
        assert laptop.engine.waiting() == []

    def test_backup_off_keeps_recording_and_on_publishes(self, laptop: Device) -> None:
        laptop.run()
        names = laptop.folder.names()
        with laptop.store.transaction():
            laptop.store.put("backup", b"off")

        laptop.add("mail")
        assert not laptop.engine.publish()
        laptop.run()
        assert (laptop.folder.names(), laptop.names()) == (names, ["mail"])

        with laptop.store.transaction():
            laptop.store.put("backup", b"on")
        assert laptop.run().published == 1
        assert len(laptop.folder.names()) == len(names) + 1

    def test_backup_off_still_reads(self, laptop: Device, phone: Device) -> None:
        phone.add("mail")
        phone.run()
        with laptop.store.transaction():
            laptop.store.put("backup", b"off")
        deliver(phone, laptop)

        laptop.run()

        assert laptop.names() == ["mail"]

    def test_a_locked_engine_publishes_its_sealed_outbox_and_reads_nothing(self, laptop: Device, phone: Device) -> None:
        laptop.add("mail")
        phone.run()
        deliver(phone, laptop)
        held = laptop.held()
        laptop.lock_keys()

        outcome = laptop.run()

        assert (outcome.read, outcome.published) == (0, 2)
        assert laptop.engine.waiting() == []
        assert laptop.held() == held

    def test_what_came_while_locked_is_read_once_unlocked(self, laptop: Device, phone: Device) -> None:
        phone.add("mail")
        phone.run()
        deliver(phone, laptop)
        laptop.lock_keys()
        laptop.run()

        laptop.unlock()
        laptop.run()

        assert laptop.names() == ["mail"]


class TestAbsence:
    def test_an_unreachable_folder_is_an_outcome_and_edits_go_on(self, laptop: Device) -> None:
        laptop.run()
        laptop.folder.reachable = False

        laptop.add("mail")

        assert not laptop.engine.publish()
        assert trouble_of(laptop) == "folder-unreachable"
        assert laptop.names() == ["mail"]
        assert len(laptop.engine.waiting()) == 1

    def test_it_publishes_when_the_folder_is_back(self, laptop: Device) -> None:
        laptop.run()
        laptop.folder.reachable = False
        laptop.add("mail")
        laptop.run()

        laptop.folder.reachable = True

        assert laptop.run().published == 1
        assert laptop.engine.last.trouble is None

    def test_an_emptied_folder_deletes_and_publishes_nothing(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        for name in laptop.folder.names():
            laptop.folder.take(name)

        for _ in range(3):
            assert trouble_of(laptop) == "folder-unreachable"

        laptop.add("bank")
        assert not laptop.engine.publish()
        assert laptop.folder.names() == []
        assert laptop.names() == ["bank", "mail"]

    def test_an_unmounted_folder_shows_the_disk_below_and_gets_nothing(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        mounted = laptop.folder
        below = MemoryFolder("below", device=2)
        laptop.engine._folder = below

        assert trouble_of(laptop) == "folder-unreachable"
        laptop.add("bank")
        assert not laptop.engine.publish()
        assert below.names() == []

        laptop.engine._folder = mounted
        assert laptop.run().published == 1

    def test_before_anything_was_published_the_disk_number_tells(self, laptop: Device) -> None:
        laptop.folder.device = 2

        assert trouble_of(laptop) == "folder-unreachable"
        assert laptop.folder.names() == []

    def test_another_disk_number_is_accepted_once_a_known_file_reads_back(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        laptop.folder.device = 7

        assert laptop.run().trouble is None
        assert laptop.store.need("folder.device") == b"7"

    def test_another_disk_with_other_bytes_under_our_names_is_not_the_folder(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        laptop.folder.device = 7
        for name in laptop.folder.names():
            laptop.folder.put(name, b"other")

        assert trouble_of(laptop) == "folder-unreachable"

    def test_another_disk_number_is_accepted_although_one_of_the_known_files_is_damaged(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        laptop.folder.device = 7
        laptop.folder.put(laptop.folder.names()[0], b"damaged")

        assert laptop.run().trouble is None

    def test_another_disk_number_while_all_files_are_evicted_is_an_outcome(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        laptop.folder.device = 7
        laptop.folder.evicted = set(laptop.folder.names())

        assert trouble_of(laptop) == "folder-unreachable"

    def test_a_person_can_have_an_emptied_folder_filled_anew(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        names = laptop.folder.names()
        for name in names:
            laptop.folder.take(name)
        laptop.run()

        laptop.engine.adopt_folder()
        laptop.run()

        assert laptop.folder.names() == names

    def test_evicted_files_are_there(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        laptop.folder.evicted = set(laptop.folder.names())

        assert laptop.run().missing == ()
        assert laptop.engine.last.trouble is None


class TestHealing:
    def test_an_own_missing_file_comes_back_on_the_second_look_only(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        name = laptop.own_files()[-1]
        data = laptop.folder.take(name)

        assert laptop.run().missing == (name,)
        assert laptop.folder.read(name) is None

        laptop.run()
        assert laptop.folder.read(name) == data
        assert laptop.run().missing == ()

    def test_a_file_that_is_back_by_the_second_look_is_left_alone(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        name = laptop.own_files()[-1]
        data = laptop.folder.take(name)
        laptop.run()
        laptop.folder.put(name, data or b"")

        assert laptop.run().published == 0

    def test_a_locked_engine_heals(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        laptop.lock_keys()
        name = laptop.own_files()[-1]
        laptop.folder.take(name)

        laptop.run()
        laptop.run()

        assert laptop.folder.has(name)

    def test_backup_off_heals_nothing(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        with laptop.store.transaction():
            laptop.store.put("backup", b"off")
        laptop.folder.take(laptop.own_files()[-1])

        laptop.run()
        laptop.run()

        assert not laptop.folder.has(laptop.own_files()[-1])

    def test_others_missing_files_are_named_and_lose_nothing(self, laptop: Device, phone: Device) -> None:
        phone.add("mail")
        phone.run()
        deliver(phone, laptop)
        laptop.run()
        for name in phone.own_files():
            laptop.folder.take(name)

        assert set(laptop.run().missing) == set(phone.own_files())
        assert laptop.names() == ["mail"]

    def test_a_name_taken_by_damaged_bytes_gets_the_right_ones(self, laptop: Device) -> None:
        laptop.run()
        laptop.add("mail")
        taken = laptop.engine.waiting()[0].name
        laptop.folder.put(taken, b"damaged")

        laptop.run()

        assert laptop.engine.waiting() == []
        assert file_name(laptop.folder.read(taken) or b"") == taken

    def test_what_was_put_right_is_read_by_others(self, laptop: Device, phone: Device) -> None:
        laptop.add("mail")
        for file in laptop.engine.waiting():
            laptop.folder.put(file.name, b"damaged")
        laptop.run()
        laptop.run()
        laptop.restart()
        deliver(laptop, phone)

        phone.run()

        assert (phone.names(), laptop.names()) == (["mail"], ["mail"])

    def test_a_slot_whose_name_is_taken_by_damaged_bytes_is_put_right(self, laptop: Device) -> None:
        laptop.run()
        slot = publish_slots(laptop)[0]
        laptop.folder.put(slot, b"damaged")
        laptop.add("mail")

        laptop.run()

        assert laptop.engine.waiting() == []
        assert file_name(laptop.folder.read(slot) or b"") == slot

    @pytest.mark.parametrize("how", DAMAGES)
    def test_an_own_published_file_that_was_damaged_is_put_back(self, laptop: Device, phone: Device, how: str) -> None:
        laptop.add("mail")
        laptop.run()
        laptop.run()
        name = laptop.own_files()[-1]
        laptop.folder.put(name, damaged(laptop.folder.read(name) or b"", how))
        for _ in range(3):
            laptop.run()

        deliver(laptop, phone)
        phone.run()

        assert phone.names() == ["mail"]


class TestDamage:
    def carry_all_but_one_intact(self, phone: Device, laptop: Device, how: str) -> str:
        phone.run()
        phone.add("mail")
        phone.engine.publish()
        name = phone.own_files()[-1]
        phone.add("bank")
        phone.engine.publish()
        deliver(phone, laptop)
        laptop.folder.put(name, damaged(phone.folder.read(name) or b"", how))
        return name

    @pytest.mark.parametrize("how", DAMAGES)
    def test_damage_is_named_and_spoils_nothing_else(self, laptop: Device, phone: Device, how: str) -> None:
        name = self.carry_all_but_one_intact(phone, laptop, how)

        laptop.run()

        assert laptop.verdicts()[name] in ("pending", "damaged")
        assert laptop.names() == ["bank"]
        assert laptop.replica.chains.missing() == {phone.replica.keys.author.writer: 1}

    @pytest.mark.parametrize("how", DAMAGES)
    def test_a_file_that_was_on_its_way_is_read_when_it_is_whole(self, laptop: Device, phone: Device, how: str) -> None:
        name = self.carry_all_but_one_intact(phone, laptop, how)
        laptop.run()

        laptop.folder.put(name, phone.folder.read(name) or b"")
        laptop.run()

        assert laptop.verdicts()[name] == "ok"
        assert laptop.names() == ["bank", "mail"]

    def test_a_preallocated_file_filled_in_place_is_read_though_its_time_stays(
        self, laptop: Device, phone: Device
    ) -> None:
        """Cloud clients reserve the size and set the time of the original, then write the bytes."""
        name = self.carry_all_but_one_intact(phone, laptop, "zeroed")
        laptop.run()

        _, time = laptop.folder._files[name]
        laptop.folder._files[name] = (phone.folder.read(name) or b"", time)
        laptop.run()

        assert laptop.names() == ["bank", "mail"]

    def test_a_verdict_is_as_old_as_its_first_look(self, laptop: Device, phone: Device) -> None:
        name = self.carry_all_but_one_intact(phone, laptop, "truncated")
        laptop.run()
        since = laptop.store.looked()[name].since
        laptop.clock.ms += 600_000

        laptop.run()

        assert laptop.store.looked()[name].since == since

    def test_a_known_file_that_was_damaged_is_called_so_and_loses_nothing(self, laptop: Device, phone: Device) -> None:
        phone.add("mail")
        phone.run()
        deliver(phone, laptop)
        laptop.run()
        name = phone.own_files()[-1]
        laptop.folder.put(name, damaged(phone.folder.read(name) or b"", "truncated"))

        laptop.run()

        assert laptop.verdicts()[name] == "damaged"
        assert laptop.names() == ["mail"]

    @pytest.mark.parametrize("how", ["flipped in a chunk", "flipped in the salt", "truncated", "zeroed"])
    def test_a_known_slot_that_was_damaged_is_called_so(self, laptop: Device, how: str) -> None:
        slot = publish_slots(laptop)[0]
        laptop.run()
        laptop.run()
        laptop.folder.put(slot, damaged(laptop.folder.read(slot) or b"", how))

        laptop.run()

        assert laptop.verdicts()[slot] == "damaged"

    def test_a_bit_flipped_in_an_own_file_is_found_by_the_next_look(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        name = laptop.own_files()[-1]
        laptop.run()
        laptop.folder.put(name, damaged(laptop.folder.read(name) or b"", "flipped in a chunk"))

        laptop.run()

        assert laptop.verdicts().get(name) == "damaged"

    @pytest.mark.parametrize("at", [0, 7, 8, 10, 12, 13, 29, 45, 77, 109, 1000])
    def test_one_flipped_byte_anywhere_never_passes_and_never_stops_a_pass(
        self, laptop: Device, phone: Device, at: int
    ) -> None:
        phone.add("mail")
        phone.run()
        deliver(phone, laptop)
        name = phone.own_files()[-1]
        data = phone.folder.read(name) or b""
        laptop.folder.put(name, data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :])

        laptop.run()

        assert laptop.verdicts()[name] in ("pending", "newer", "other-vault", "foreign")
        assert laptop.names() == []
        assert len(laptop.held()) > 1

    def test_another_vaults_file_is_named_and_not_touched(self, laptop: Device) -> None:
        with new_world(keyring("another vault")) as elsewhere:
            stranger = elsewhere.device("stranger")
            stranger.run()
            name = stranger.own_files()[0]
            data = stranger.folder.read(name) or b""
        laptop.folder.put(name, data)

        assert laptop.run().read == 0

        assert laptop.verdicts()[name] == "other-vault"
        assert laptop.folder.read(name) == data

    def test_somebody_elses_file_is_foreign_and_not_touched(self, laptop: Device) -> None:
        laptop.folder.put("holiday.jpg", b"\xff\xd8")

        laptop.run()

        assert laptop.verdicts()["holiday.jpg"] == "foreign"
        assert laptop.folder.read("holiday.jpg") == b"\xff\xd8"

    def test_verdicts_of_names_that_are_gone_are_forgotten(self, laptop: Device) -> None:
        laptop.folder.put("holiday.jpg", b"\xff\xd8")
        laptop.run()
        laptop.folder.take("holiday.jpg")

        laptop.run()

        assert "holiday.jpg" not in laptop.verdicts()


class TestCopies:
    @pytest.mark.parametrize(
        "spelt",
        [
            "{0} (anna's conflicted copy 2026-01-02).otpk",
            "{0}-PHONE.otpk",
            "{0} (2).otpk",
            "{0}-HOST-safeBackup-0001.otpk",
            "{0} 2.otpk",
            "{0}.sync-conflict-20260102-030405-ABCDEFG.otpk",
            "{0} (case clash from anna).otpk",
            "{0}.Conflict.otpk",
            "{0} [conflicted].otpk",
            "{0} (SFConflict anna 2026-01-02-03-04-05).otpk",
            "{0}.otpk.conflict1",
            "{0}.otpk..path1",
        ],
    )
    def test_a_file_that_came_only_as_a_conflict_copy_is_read(self, laptop: Device, phone: Device, spelt: str) -> None:
        phone.add("mail")
        phone.run()
        deliver(phone, laptop, spell=lambda name: spelt.format(name.removesuffix(".otpk")))

        laptop.run()

        assert laptop.names() == ["mail"]

    def test_a_folder_copied_into_itself_adds_nothing(self, laptop: Device, phone: Device) -> None:
        phone.add("mail")
        phone.run()
        deliver(phone, laptop)
        laptop.run()
        before = laptop.state(), len(laptop.store.files())
        deliver(phone, laptop, spell=lambda name: f"Copy of {name}")

        laptop.run()
        laptop.restart()

        assert (laptop.state(), len(laptop.store.files())) == before

    def test_others_files_are_not_missing_while_a_copy_of_them_is_there(self, laptop: Device, phone: Device) -> None:
        phone.add("mail")
        phone.run()
        deliver(phone, laptop, spell=lambda name: f"Copy of {name}")
        laptop.run()

        assert laptop.run().missing == ()


class TestBeats:
    def beats(self, device: Device) -> list[str]:
        own = device.store.need("device")
        return [file.name for file in device.store.files() if file.kind == "beat" and file.owner == own]

    def news(self, phone: Device, laptop: Device, name: str) -> None:
        phone.add(name)
        phone.run()
        deliver(phone, laptop)
        laptop.run()

    def test_without_news_a_beat_a_week_says_that_the_device_is_alive(self, laptop: Device) -> None:
        laptop.run()
        laptop.clock.ms += 7 * DAY_MS - 1
        laptop.run()
        assert self.beats(laptop) == []

        laptop.clock.ms += 1
        laptop.run()
        laptop.run()

        assert len(self.beats(laptop)) == 1

    def test_where_a_job_writes_beats_a_pass_does_not(self, laptop: Device) -> None:
        laptop.engine.beats = False
        laptop.run()
        laptop.clock.ms += 7 * DAY_MS
        laptop.run()
        assert self.beats(laptop) == []

        assert laptop.engine.beat()
        assert not laptop.engine.beat()
        laptop.run()

        (beat,) = self.beats(laptop)
        assert laptop.folder.has(beat)

    def test_no_beat_within_a_day_of_the_last_word(self, laptop: Device, phone: Device) -> None:
        laptop.clock.ms += DAY_MS - 1

        self.news(phone, laptop, "mail")

        assert self.beats(laptop) == []

    def test_news_make_one_beat_and_no_more(self, laptop: Device, phone: Device) -> None:
        laptop.clock.ms += DAY_MS
        self.news(phone, laptop, "mail")
        assert len(self.beats(laptop)) == 1
        first = self.beats(laptop)

        for _ in range(3):
            laptop.run()

        assert self.beats(laptop) == first

    def test_more_news_on_the_same_day_make_no_beat(self, laptop: Device, phone: Device) -> None:
        laptop.clock.ms += DAY_MS
        self.news(phone, laptop, "mail")
        first = self.beats(laptop)
        laptop.clock.ms += DAY_MS - 1

        self.news(phone, laptop, "bank")

        assert self.beats(laptop) == first

    def test_a_newer_beat_removes_the_older_one(self, laptop: Device, phone: Device) -> None:
        laptop.clock.ms += DAY_MS
        self.news(phone, laptop, "mail")
        first = self.beats(laptop)
        laptop.clock.ms += DAY_MS
        self.news(phone, laptop, "bank")
        laptop.run()
        laptop.run()

        assert len(self.beats(laptop)) == 1
        assert self.beats(laptop) != first
        assert not laptop.folder.has(first[0])
        assert laptop.folder.has(self.beats(laptop)[0])

    def test_a_beat_tells_others_what_was_seen_and_is_not_answered(self, laptop: Device, phone: Device) -> None:
        phone.clock.ms += 3 * DAY_MS
        laptop.clock.ms += DAY_MS
        self.news(phone, laptop, "mail")
        deliver(laptop, phone)
        phone.run()
        deliver(laptop, phone)
        phone.clock.ms += DAY_MS
        phone.run()
        answers = self.beats(phone)
        deliver(phone, laptop)
        laptop.run()
        writer = laptop.replica.keys.author.writer

        seen, wall = phone.replica.chains.last_seen_by(writer)

        assert phone.replica.keys.author.writer in seen
        assert wall == laptop.clock.ms
        assert len(answers) <= 1  # for the laptop's own events, not for its beat

    def test_a_beat_that_its_owner_replaced_is_not_missed_by_others(self, laptop: Device, phone: Device) -> None:
        laptop.clock.ms += DAY_MS
        self.news(phone, laptop, "mail")
        laptop.run()
        deliver(laptop, phone)
        phone.run()
        old = self.beats(laptop)
        laptop.clock.ms += DAY_MS
        self.news(phone, laptop, "bank")
        laptop.run()
        laptop.run()
        gone = [name for name in old if not laptop.folder.has(name)]
        assert gone
        for name in gone:
            phone.folder.take(name)
        deliver(laptop, phone)
        phone.run()

        assert phone.run().missing == ()

    def test_a_locked_engine_writes_no_beat(self, laptop: Device, phone: Device) -> None:
        self.news(phone, laptop, "mail")
        laptop.clock.ms += DAY_MS
        laptop.lock_keys()

        laptop.run()

        assert self.beats(laptop) == []


class TestSlots:
    def test_slots_are_believed_once_the_statement_that_names_them_is_there(
        self, laptop: Device, phone: Device
    ) -> None:
        names = publish_slots(phone)
        phone.run()
        deliver(phone, laptop, names)
        laptop.run()
        assert {laptop.verdicts()[name] for name in names} == {"slot"}

        deliver(phone, laptop)
        laptop.run()
        laptop.run()

        assert {laptop.verdicts()[name] for name in names} == {"ok"}
        assert set(names) <= {file.name for file in laptop.store.files()}

    def test_slots_that_come_together_with_their_statement_are_believed(self, laptop: Device, phone: Device) -> None:
        names = publish_slots(phone)
        phone.run()
        deliver(phone, laptop)

        laptop.run()
        laptop.run()

        assert set(names) <= {file.name for file in laptop.store.files()}

    def test_every_device_puts_back_a_missing_slot(self, laptop: Device, phone: Device) -> None:
        names = publish_slots(phone)
        phone.run()
        deliver(phone, laptop)
        for _ in range(2):
            laptop.run()
        laptop.folder.take(names[0])

        laptop.run()
        laptop.run()

        assert laptop.folder.has(names[0])


def test_a_pass_over_many_files_takes_in_all(laptop: Device, phone: Device) -> None:
    for number in range(80):
        phone.add(f"account {number}")
    phone.run()
    deliver(phone, laptop)

    assert laptop.run().read == 81
    assert laptop.names() == phone.names()


def test_a_file_that_vanishes_between_look_and_read_is_no_trouble(laptop: Device, phone: Device) -> None:
    phone.add("mail")
    phone.run()
    deliver(phone, laptop)
    laptop.folder.evicted = {phone.own_files()[-1]}

    assert laptop.run().trouble is None
    laptop.folder.evicted = set()
    laptop.run()

    assert laptop.names() == ["mail"]


def test_deleting_an_account_on_one_device_deletes_it_on_the_other(world: World, laptop: Device, phone: Device) -> None:
    account = laptop.add("mail")
    world.sync()

    phone.accounts.remove(account)
    world.sync()

    assert laptop.names() == []
    with pytest.raises(NotFound):
        laptop.accounts.find(account)


def test_a_concurrent_edit_beats_a_delete_through_the_folder(world: World, laptop: Device, phone: Device) -> None:
    account = laptop.add("mail")
    world.sync()

    laptop.accounts.remove(account)
    phone.commit(edit(bytes.fromhex(account), name="post"))
    world.sync()

    assert laptop.names() == phone.names() == ["post"]
    assert laptop.values(account)["otp"] == totp(sha256(b"mail"))


def test_the_folder_never_shows_a_secret_a_name_or_a_writer(world: World, laptop: Device) -> None:
    laptop.add("very visible name", issuer="very visible issuer")
    laptop.run()
    folder = b"".join(laptop.folder.read(name) or b"" for name in laptop.folder.names())
    author = dataclasses.replace(laptop.replica.keys.author)

    for secret in (b"very visible", sha256(b"very visible name"), author.writer, author.device, author.public_key):
        assert secret not in folder
