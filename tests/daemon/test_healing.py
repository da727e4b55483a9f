"""Putting back what the folder lost or broke: whose, when, how often, and what never (SPEC §8)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otpkeep_daemon.engine import Engine
from otpkeep_daemon.healing import AT_ONCE, lost_files
from otpkeep_daemon.memory_folder import MemoryFolder
from otpkeep_daemon.problems import problems
from otpkeep_daemon.turns import Turns
from otpkeep_protocol.events import Draft
from otpkeep_protocol.healing import CLAIMED_S, FEW, REPEATED
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.keyring import new_keyring
from otpkeep_protocol.naming import file_name
from support_compaction import busy, compact, from_scratch
from support_vault import DAY_MS, Device, Random, World, deliver, publish_slots, seal, slot_set

HOUR_MS = 3_600_000


@pytest.fixture
def pair(world: World) -> tuple[Device, Device]:
    """A laptop and a phone that have all of each other's files."""
    laptop, phone = world.device("laptop"), world.device("phone")
    laptop.add("mail")
    phone.add("bank")
    world.sync()
    return laptop, phone


def lose(device: Device, *names: str) -> dict[str, bytes]:
    return {name: device.folder.take(name) or b"" for name in names}


def later(device: Device, ms: int) -> None:
    device.clock.ms += ms
    device.run()


def run_of(device: Device, owner: Device) -> str:
    own = owner.store.need("device")
    return [file.name for file in device.store.files_of("run") if file.owner == own][-1]


def told(device: Device, *, labels: bool = True) -> list[dict[str, str]]:
    return problems(device.store, device.engine, device.accounts, device.clock.ms, labels=labels)


class TestOthersFiles:
    def test_what_another_device_lost_is_put_back_after_a_day_or_two_and_not_before(
        self, pair: tuple[Device, Device]
    ) -> None:
        laptop, phone = pair
        name = run_of(laptop, phone)
        lost = lose(laptop, name)
        laptop.run()
        later(laptop, DAY_MS - 1)
        assert not laptop.folder.has(name)
        later(laptop, DAY_MS + 1000)
        assert laptop.folder.read(name) == lost[name]

    def test_two_devices_do_not_do_it_at_once(self, world: World) -> None:
        laptop, phone, tablet = (world.device(label) for label in ("laptop", "phone", "tablet"))
        tablet.add("mail")
        world.sync()
        name = run_of(laptop, tablet)
        moments = []
        for device in (laptop, phone):
            lose(device, name)
            device.run()
            for hour in range(49):
                later(device, HOUR_MS)
                if device.folder.has(name):
                    moments.append(hour)
                    break
        assert len(set(moments)) == 2
        assert all(22 <= hour <= 48 for hour in moments)

    def test_how_long_it_has_been_away_is_known_after_a_restart(self, pair: tuple[Device, Device]) -> None:
        laptop, phone = pair
        name = run_of(laptop, phone)
        lose(laptop, name)
        laptop.run()
        laptop.clock.ms += 2 * DAY_MS
        laptop.restart()
        laptop.run()
        assert laptop.folder.has(name)

    def test_a_damaged_file_of_another_device_gets_the_right_bytes_after_a_day_or_two(
        self, pair: tuple[Device, Device]
    ) -> None:
        laptop, phone = pair
        name = run_of(laptop, phone)
        right = laptop.folder.read(name) or b""
        laptop.folder.put(name, right[:-1])
        laptop.run()
        later(laptop, DAY_MS - 1)
        assert laptop.folder.read(name) == right[:-1]
        later(laptop, DAY_MS + 1000)
        assert laptop.folder.read(name) == right
        laptop.run()
        assert laptop.verdicts()[name] == "ok"

    @pytest.mark.parametrize("looked_before", [True, False])
    def test_two_files_that_were_given_each_other_s_names_get_their_own_bytes_back(
        self, pair: tuple[Device, Device], looked_before: bool
    ) -> None:
        # given: two new files of the laptop, of one size
        laptop, _ = pair
        before = laptop.own_files()
        laptop.add("shop")
        laptop.add("news")
        assert laptop.engine.publish()
        if looked_before:
            laptop.run()
        one, other = set(laptop.own_files()) - set(before)
        right = {name: laptop.folder.read(name) or b"" for name in (one, other)}
        assert len(right[one]) == len(right[other])
        # when: the folder gives each the other's bytes, after the laptop has looked at them, or before it ever did
        laptop.folder.put(one, right[other])
        laptop.folder.put(other, right[one])
        laptop.run()
        laptop.run()
        # then
        assert {name: laptop.folder.read(name) for name in right} == right

    def test_bytes_of_a_known_file_under_another_one_s_name_keep_nobody_from_that_one(
        self, pair: tuple[Device, Device]
    ) -> None:
        # given: of two copies of a file of the laptop, the folder of the phone got the wrong one
        laptop, phone = pair
        laptop.add("shop")
        assert laptop.engine.publish()
        known, [fresh] = run_of(phone, laptop), [n for n in laptop.own_files() if not phone.folder.has(n)]
        phone.folder.put(fresh, phone.folder.read(known) or b"")
        phone.run()
        assert phone.held() != laptop.held()
        # when: the right one comes, of the same size
        deliver(laptop, phone, [fresh])
        phone.run()
        # then
        assert phone.held() == laptop.held()

    def test_with_backup_off_none_is_put_back(self, pair: tuple[Device, Device]) -> None:
        laptop, phone = pair
        with laptop.store.transaction():
            laptop.store.put("backup", b"off")
        name = run_of(laptop, phone)
        lose(laptop, name)
        for _ in range(3):
            later(laptop, 2 * DAY_MS)
        assert not laptop.folder.has(name)


class TestLocked:
    def test_a_locked_device_puts_back_others_files_from_what_its_store_says_in_clear(
        self, pair: tuple[Device, Device]
    ) -> None:
        laptop, phone = pair
        laptop.lock_keys()
        name = run_of(laptop, phone)
        lose(laptop, name)
        laptop.run()
        later(laptop, 2 * DAY_MS)
        assert laptop.folder.has(name)

    def test_it_does_not_while_there_is_a_file_that_it_does_not_know(self, pair: tuple[Device, Device]) -> None:
        laptop, phone = pair
        phone.add("news")
        phone.run()
        laptop.lock_keys()
        name, own = run_of(laptop, phone), laptop.own_files()[-1]
        deliver(phone, laptop)
        lose(laptop, name, own)
        for _ in range(4):
            later(laptop, 2 * DAY_MS)
        assert not laptop.folder.has(name)
        assert laptop.folder.has(own)
        # when: it is unlocked
        laptop.unlock()
        later(laptop, HOUR_MS)
        assert laptop.folder.has(name)


class TestNever:
    def test_while_an_intact_file_of_the_vault_does_not_open_others_files_stay_away(
        self, pair: tuple[Device, Device]
    ) -> None:
        laptop, phone = pair
        # given: a file of this vault under a key that is not here yet; a pack may be in it
        ring = new_keyring(Random("another epoch")(112))
        data = seal(b"x", "unopened", type(ring)(laptop.ring.vault, ring.id_key, ring.epochs, None))
        laptop.folder.put(file_name(data), data)
        name = run_of(laptop, phone)
        lost = lose(laptop, name)
        for _ in range(4):
            later(laptop, 2 * DAY_MS)
        assert not laptop.folder.has(name)
        # when: it was only broken bytes under that name, or goes away
        laptop.folder.put(file_name(data), data[:-1])
        later(laptop, HOUR_MS)
        assert laptop.folder.read(name) == lost[name]

    def test_what_a_pack_replaced_never_comes_back_though_it_vanished_before_the_pack_came(
        self, world: World, pair: tuple[Device, Device]
    ) -> None:
        laptop, phone = pair
        busy(phone)
        world.sync()
        old = set(laptop.folder.names())
        compact(phone)
        replaced = {name for name in old if phone.store.file_named(name) is None}
        assert len(replaced) > 30
        # given: the laptop misses them before it hears why
        lose(laptop, *replaced)
        laptop.run()
        phone.clock.ms = laptop.clock.ms
        later(laptop, HOUR_MS)
        deliver(phone, laptop, phone.own_files())
        # when
        for _ in range(20):
            later(laptop, 2 * DAY_MS)
        # then
        assert not replaced & set(laptop.folder.names())
        assert laptop.engine.last.missing == ()

    def test_a_claim_that_it_was_replaced_by_what_never_comes_keeps_a_file_away_for_a_month_or_two_only(
        self, pair: tuple[Device, Device]
    ) -> None:
        laptop, phone = pair
        phone.add("more")
        phone.run()
        deliver(phone, laptop)
        laptop.run()
        name = run_of(laptop, phone)
        stored = laptop.store.file_named(name)
        assert stored is not None
        phone.commit(Draft("pack", extra={"replaced": [stored.hash], "file": sha256(b"never there")}))
        phone.run()
        deliver(phone, laptop)
        laptop.run()
        lose(laptop, name)
        assert laptop.run().missing == ()
        later(laptop, CLAIMED_S * 1000 - 1)
        assert not laptop.folder.has(name)
        later(laptop, CLAIMED_S * 1000 + 1000)
        assert laptop.folder.has(name)

    def test_beats_are_not_missed(self, world: World, pair: tuple[Device, Device]) -> None:
        laptop, phone = pair
        phone.clock.ms += 8 * DAY_MS
        world.sync()
        beat = laptop.store.files_of("beat")[-1].name
        lose(laptop, beat)
        for _ in range(5):
            later(laptop, 2 * DAY_MS)
        assert not laptop.folder.has(beat)

    def test_a_superseded_slot_stays_away_and_is_not_missed(self, world: World, pair: tuple[Device, Device]) -> None:
        laptop, phone = pair
        old = publish_slots(laptop)
        world.sync()
        # given: a newer statement, whose slots have not arrived
        known = dict(laptop.replica.slot_statements)
        laptop.commit(slot_set([b"a new slot"], supersedes=known))
        laptop.run()
        deliver(laptop, phone, [laptop.own_files()[-1]])
        phone.run()
        lose(phone, *old)
        for _ in range(4):
            later(phone, 2 * DAY_MS)
        assert not set(old) & set(phone.folder.names())
        assert phone.engine.last.missing == ()
        # and: locking changes nothing about that
        phone.lock_keys()
        later(phone, 2 * DAY_MS)
        assert not set(old) & set(phone.folder.names())
        # and: nor does a start without keys, or a repair that is asked for
        phone.engine = Engine(phone.store, phone.folder, phone.around, Turns())
        for _ in range(3):
            later(phone, 2 * DAY_MS)
        for name in old:
            phone.engine.repair(name)
        assert not set(old) & set(phone.folder.names())


class TestAgainAndAgain:
    def vanish(self, device: Device, name: str, *, wait_ms: int) -> None:
        """Have a file vanish, and let the device put it back."""
        lose(device, name)
        device.run()
        for _ in range(40):
            if device.folder.has(name):
                return
            later(device, wait_ms)
        raise AssertionError("it was never put back")

    def test_an_own_file_that_vanishes_again_and_again_waits_longer_each_time(self, laptop: Device) -> None:
        laptop.add("mail")
        laptop.run()
        name = laptop.own_files()[-1]
        waits = []
        for _ in range(5):
            before = laptop.clock.ms
            self.vanish(laptop, name, wait_ms=HOUR_MS // 2)
            waits.append((laptop.clock.ms - before) / HOUR_MS)
        assert waits == [0.5, 1, 2, 4, 8]

    @pytest.mark.parametrize("labels", [True, False])
    def test_it_becomes_a_problem_that_names_file_and_device_and_what_to_do(
        self, pair: tuple[Device, Device], labels: bool
    ) -> None:
        laptop, phone = pair
        name = run_of(laptop, phone)
        for _ in range(REPEATED - 1):
            self.vanish(laptop, name, wait_ms=DAY_MS)
            assert not [p for p in told(laptop) if p["kind"] == "vanishing"]
        lose(laptop, name)
        laptop.run()
        found = next(p for p in told(laptop, labels=labels) if p["kind"] == "vanishing")
        assert found["subject"] == name
        called = "phone" if labels else phone.store.need("device").hex()[:8]
        assert f"{name} of {called} has vanished from the folder 3 times" in found["message"]
        assert "nothing is lost on this device" in found["message"]
        assert "otpkeep folder DIR" in found["hint"]
        # and: after a restart, and locked, too; over once it has stayed for two weeks
        laptop.restart()
        assert "vanishing" in [p["kind"] for p in told(laptop)]
        self.vanish(laptop, name, wait_ms=DAY_MS)
        assert "vanishing" in [p["kind"] for p in told(laptop)]
        laptop.run()
        later(laptop, 15 * DAY_MS)
        assert "vanishing" not in [p["kind"] for p in told(laptop)]

    def test_many_of_them_are_one_problem(self, laptop: Device) -> None:
        laptop.run()
        for number in range(8):
            laptop.add(f"mail {number}")
            laptop.engine.publish()
        laptop.run()
        names = laptop.own_files()[-7:]
        for _ in range(REPEATED):
            for name in names:
                laptop.folder.take(name)
            laptop.run()
            later(laptop, 9 * HOUR_MS)
        found = [p for p in told(laptop) if p["kind"] == "vanishing"]
        assert len(found) == 1
        assert "7 files" in found[0]["message"]


class TestALargePart:
    @pytest.fixture
    def half_gone(self, world: World, laptop: Device, phone: Device) -> list[str]:
        for device in (laptop, phone):
            for number in range(2 * FEW):
                device.add(f"{device.label} {number}")
                device.engine.publish()
        world.sync()
        names = [*laptop.own_files()[: FEW + 4], *phone.own_files()[: FEW + 4]]
        lose(laptop, *names)
        return names

    def test_nothing_is_put_back_for_a_day_then_one_s_own_and_then_all(
        self, laptop: Device, half_gone: list[str]
    ) -> None:
        laptop.run()
        later(laptop, DAY_MS - 1)
        assert not set(half_gone) & set(laptop.folder.names())
        later(laptop, 1)
        there = set(half_gone) & set(laptop.folder.names())
        assert there >= set(half_gone) & set(laptop.own_files())
        later(laptop, DAY_MS)
        assert set(half_gone) <= set(laptop.folder.names())

    def test_a_person_s_word_has_all_of_it_put_back_at_the_next_look(
        self, laptop: Device, half_gone: list[str]
    ) -> None:
        laptop.run()
        with laptop.store.transaction():
            laptop.store.put(AT_ONCE, b"yes")
        laptop.run()
        assert set(half_gone) <= set(laptop.folder.names())
        # and: the word is spent
        assert laptop.store.get(AT_ONCE) is None

    def test_the_word_holds_until_nothing_is_missing(self, laptop: Device, half_gone: list[str]) -> None:
        with laptop.store.transaction():
            laptop.store.put(AT_ONCE, b"yes")
            laptop.store.put("backup", b"off")
        laptop.run()
        assert laptop.store.get(AT_ONCE) == b"yes"
        with laptop.store.transaction():
            laptop.store.put("backup", b"on")
        laptop.restart()
        laptop.run()
        assert set(half_gone) <= set(laptop.folder.names())
        assert laptop.store.get(AT_ONCE) is None

    def test_the_word_puts_each_file_back_once_though_something_keeps_it_from_ending(
        self, laptop: Device, half_gone: list[str]
    ) -> None:
        # given: a file that does not open keeps others' files away, so that the word holds on
        ring = new_keyring(Random("another epoch")(112))
        data = seal(b"x", "unopened", type(ring)(laptop.ring.vault, ring.id_key, ring.epochs, None))
        laptop.folder.put(file_name(data), data)
        with laptop.store.transaction():
            laptop.store.put(AT_ONCE, b"yes")
        own = half_gone[0]
        laptop.run()
        assert laptop.folder.has(own)
        assert laptop.store.get(AT_ONCE) == b"yes"
        # when: an own file goes again and again
        for _ in range(3):
            lose(laptop, own)
            later(laptop, 60_000)
        # then: it waits as it would without the word
        assert not laptop.folder.has(own)
        later(laptop, HOUR_MS)
        assert laptop.folder.has(own)

    def test_what_is_remembered_goes_when_all_is_well(self, laptop: Device, half_gone: list[str]) -> None:
        laptop.run()
        assert set(lost_files(laptop.store)) == set(half_gone)
        with laptop.store.transaction():
            laptop.store.put(AT_ONCE, b"yes")
        laptop.run()
        later(laptop, 15 * DAY_MS)
        assert lost_files(laptop.store) == {}


class _Vanishing(MemoryFolder):
    """A folder in which chosen files are gone by the time that they are read."""

    def __init__(self) -> None:
        super().__init__()
        self.going: set[str] = set()

    def head(self, name: str) -> bytes | None:
        """See Folder."""
        if name in self.going:
            self.take(name)
        return super().head(name)


class TestCompactionAndHealing:
    def test_files_that_their_owner_deletes_while_they_are_read_cost_nothing(self, world: World) -> None:
        phone = world.device("phone")
        laptop = world.device("laptop", folder=_Vanishing())
        busy(phone)
        old = set(phone.folder.names())
        compact(phone)
        deliver(phone, laptop)
        assert isinstance(laptop.folder, _Vanishing)
        laptop.folder.going = {name for name in old if phone.store.file_named(name) is None}
        assert laptop.run().trouble is None
        for _ in range(3):
            later(laptop, DAY_MS)
        assert laptop.names() == phone.names()
        assert phone.held() <= laptop.held()
        assert laptop.engine.last.missing == ()
        assert not laptop.folder.going & set(laptop.folder.names())

    def test_two_devices_that_compact_at_once_and_hear_of_it_crosswise_end_alike(
        self, world: World, pair: tuple[Device, Device]
    ) -> None:
        laptop, phone = pair
        for device in pair:
            busy(device)
        world.sync()
        for device in pair:
            compact(device)
        world.sync()
        world.sync()
        assert laptop.state() == phone.state() == from_scratch(laptop)[0]
        assert laptop.held() == phone.held()
        assert {f.name for f in laptop.store.files_of("run")} == {f.name for f in phone.store.files_of("run")}

    def test_a_device_back_after_a_year_puts_nothing_replaced_back_and_misses_nothing(
        self, world: World, pair: tuple[Device, Device]
    ) -> None:
        # given: a year in which the laptop packed and removed what the phone still has in its store
        laptop, phone = pair
        busy(laptop)
        world.sync()
        world.devices.remove(phone)
        old = set(phone.store.published_sample()) | {f.name for f in phone.store.files_of("run")}
        compact(laptop)
        laptop.clock.ms += 365 * DAY_MS
        removed = set(compact(laptop).removed)
        assert len(removed & old) > 30
        phone.clock.ms = laptop.clock.ms
        # when: its client takes the removals first, and the new files one by one, with a look at each
        lose(phone, *removed)
        phone.run()
        for name in laptop.folder.names():
            deliver(laptop, phone, [name])
            phone.run()
            phone.clock.ms += HOUR_MS
        for _ in range(5):
            later(phone, 2 * DAY_MS)
        # then
        assert not removed & set(phone.folder.names())
        assert phone.engine.last.missing == ()
        phone.add("an edit after a year")
        world.devices.append(phone)
        world.sync()
        assert laptop.state() == phone.state() == from_scratch(phone)[0]

    @pytest.mark.parametrize("first", ["snapshot", "inputs"])
    def test_a_snapshot_without_its_inputs_and_the_reverse_end_alike(self, world: World, first: str) -> None:
        laptop = world.device("laptop")
        laptop.run()
        account = laptop.add("mail")
        for number in range(300):
            laptop.change(account, note=f"{number}")
        assert compact(laptop).snapshot
        phone = world.device("phone", introduced=False)
        snapshot = [file.name for file in laptop.store.files_of("snapshot")]
        inputs = [name for name in laptop.folder.names() if name not in snapshot]
        for names in (snapshot, inputs) if first == "snapshot" else (inputs, snapshot):
            deliver(laptop, phone, names)
            phone.run()
            assert phone.values(account)["note"] == "299"
            phone.restart()
        assert phone.state() == laptop.state() == from_scratch(phone)[0]

    @pytest.mark.parametrize("kind", ["snapshot", "beat"])
    def test_an_old_snapshot_or_beat_that_a_client_brings_back_goes_again_and_the_newest_stays(
        self, world: World, kind: str
    ) -> None:
        laptop, phone = world.device("laptop"), world.device("phone")
        account = laptop.add("mail")
        world.sync()
        made: list[str] = []
        old: dict[str, bytes] = {}
        for edits in (300, 600) if kind == "snapshot" else (0, 0):
            for device in world.devices:
                device.clock.ms += 10 * DAY_MS
            for number in range(edits):
                laptop.change(account, note=f"{edits} {number}")
            compact(laptop)
            made += {file.name for file in laptop.store.files_of(kind)} - set(made)
            old |= {name: laptop.folder.read(name) or b"" for name in laptop.folder.names()}
            laptop.run()
        assert len(made) == 2
        assert not laptop.folder.has(made[0])
        # when
        for device in (laptop, phone):
            device.folder.put(made[0], old[made[0]])
            for _ in range(3):
                device.run()
        # then
        assert not laptop.folder.has(made[0])
        assert laptop.folder.has(made[1])
        assert [file.name for file in laptop.store.files_of(kind)] == made[1:]


class _Overtaken(Turns):
    """A lock that somebody else gets each time it is let go; `others` is what they do then."""

    others: Callable[[], object] | None = None

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        act, self.others = (None, self.others) if self.mine else (self.others, None)
        if act is not None:
            act()
            self.others = act


def test_a_pass_that_comes_between_does_not_take_what_was_put_back_for_come_back_by_itself(
    pair: tuple[Device, Device],
) -> None:
    laptop, _ = pair
    name = run_of(laptop, laptop)
    lock = _Overtaken()
    engine = Engine(laptop.store, laptop.folder, laptop.around, lock)
    engine.replica = laptop.replica
    # given: an own file was absent at one look, and a look that somebody asks for comes as soon as it is there again
    lose(laptop, name)
    engine.run()
    lock.others = lambda: laptop.folder.has(name) and engine.run()
    # when: the second look puts the file back
    engine.run()
    # then: it is known to have been put back, so that it waits longer the next time
    assert laptop.folder.has(name)
    assert lost_files(laptop.store)[name].healed == 1
