"""Compaction between real stores and folders in memory: fewer files, the same state, the same history."""

from __future__ import annotations

import msgpack
import pytest

from otpkeep_daemon.compactor import Compactor
from otpkeep_protocol import content, state
from otpkeep_protocol.errors import Unreachable
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import Piece
from otpkeep_protocol.naming import file_name
from support_compaction import QUARANTINE_S, busy, compact, from_scratch
from support_vault import DAY_MS, Device, World, delete, deliver, edit


def history(device: Device) -> list[bytes]:
    return [event.hash for event in device.replica.archive.log()]


class TestMerging:
    def test_many_files_become_few_and_nothing_else_changes(self, laptop: Device) -> None:
        laptop.run()
        busy(laptop)
        before, log = laptop.state(), history(laptop)

        done = compact(laptop)

        assert len(done.merged) >= 1
        assert done.files == len(laptop.own_files()) < 8
        assert laptop.state() == before
        assert history(laptop)[1:] == log  # the pack event is the newest
        assert from_scratch(laptop)[0] == before

    def test_the_pack_event_names_what_it_replaced_and_by_what(self, laptop: Device) -> None:
        laptop.run()
        busy(laptop)
        files = {file.hash for file in laptop.store.files_of("run")}

        compact(laptop)

        pack = next(laptop.replica.archive.log())
        assert pack.kind == "pack"
        assert set(pack.extra["replaced"]) <= files
        assert laptop.store.has(pack.extra["file"])
        assert not any(laptop.store.has(old) for old in pack.extra["replaced"])

    def test_a_dry_run_says_the_same_and_does_nothing(self, laptop: Device) -> None:
        laptop.run()
        busy(laptop)
        before = (laptop.own_files(), laptop.folder.names(), history(laptop))

        said = compact(laptop, dry_run=True)

        assert (laptop.own_files(), laptop.folder.names(), history(laptop)) == before
        assert compact(laptop).merged == said.merged

    def test_a_second_compaction_right_after_finds_nothing_to_do(self, laptop: Device) -> None:
        laptop.run()
        busy(laptop)
        said = compact(laptop, fanout=2, dry_run=True)
        done = compact(laptop, fanout=2)
        assert done.files == said.files
        assert not compact(laptop, fanout=2).merged

    def test_a_merged_run_is_what_any_reader_accepts(self, laptop: Device) -> None:
        laptop.run()
        busy(laptop)
        compact(laptop)
        pack = next(laptop.replica.archive.log())
        opened = laptop.replica.keys.open(laptop.store.data(pack.extra["file"]))

        run = content.read(opened, laptop.ring)

        assert isinstance(run, content.Run)
        assert len(run.events) >= 40

    def test_it_survives_a_restart(self, laptop: Device) -> None:
        laptop.run()
        busy(laptop)
        compact(laptop)
        before, log = laptop.state(), history(laptop)

        laptop.restart()

        assert (laptop.state(), history(laptop)) == (before, log)
        laptop.run()
        laptop.change(laptop.add("after"), note="works")

    def test_an_unreachable_folder_stops_it_before_anything_changed(self, laptop: Device) -> None:
        laptop.run()
        busy(laptop)
        files = laptop.own_files()
        for name in laptop.folder.names():
            laptop.folder.delete(name)

        with pytest.raises(Unreachable):
            compact(laptop)

        assert laptop.own_files() == files

    def test_nothing_is_merged_while_this_device_does_not_publish(self, laptop: Device) -> None:
        laptop.run()
        with laptop.store.transaction():
            laptop.store.put("backup", b"off")
        account = laptop.add("mail")
        for number in range(20):
            laptop.change(account, note=str(number))
        assert not compact(laptop).merged
        with laptop.store.transaction():
            laptop.store.put("backup", b"on")
        assert compact(laptop).merged

    def test_a_file_that_shares_events_with_others_is_left_alone(self, world: World) -> None:
        # given: a device restored from a backup that reads its own merged file before the pack that names it
        laptop = world.device("laptop")
        laptop.run()
        busy(laptop, 5)
        old = world.clone(laptop, "backup")
        for number in range(7):
            laptop.change(laptop.accounts.views()[0].account.hex(), note=f"later {number}")
            laptop.run()
        compact(laptop)
        merged = max(laptop.store.files_of("run"), key=lambda file: file.size).name
        deliver(laptop, old, [merged])
        old.run()
        # when
        compact(old, fanout=2)
        # then: whatever comes later, both end alike
        deliver(laptop, old)
        old.run()
        old.run()
        assert set(history(laptop)) <= set(history(old))
        assert from_scratch(old)[0] == old.state()


class TestTheFolder:
    def test_replaced_files_stay_for_the_quarantine_and_go_after_it(self, laptop: Device) -> None:
        laptop.run()
        busy(laptop)
        many = len(laptop.folder.names())
        done = compact(laptop)
        assert not done.removed
        assert sum(done.waiting.values()) >= 40
        assert len(laptop.folder.names()) > many

        laptop.clock.ms += QUARANTINE_S * 1000
        done = compact(laptop)

        assert len(done.removed) >= 40
        assert len(laptop.folder.names()) < 8
        assert not laptop.run().missing

    def test_another_device_that_has_not_seen_the_pack_holds_them_back(self, world: World) -> None:
        laptop, phone = world.device("laptop"), world.device("phone")
        world.sync()
        busy(laptop)
        compact(laptop)
        laptop.clock.ms += QUARANTINE_S * 1000
        # when: the phone has said nothing since
        assert not compact(laptop).removed
        # when: it has seen all, and said so
        phone.clock.ms = laptop.clock.ms
        world.sync()
        phone.add("its own")
        world.sync()
        # then
        assert len(compact(laptop).removed) >= 40
        world.sync()
        assert phone.state() == laptop.state()

    def test_a_device_that_was_silent_for_ninety_days_holds_up_nothing(self, world: World) -> None:
        laptop, _phone = world.device("laptop"), world.device("phone")
        world.sync()
        busy(laptop)
        compact(laptop)
        laptop.clock.ms += 91 * DAY_MS
        assert len(compact(laptop).removed) >= 40

    def test_nothing_goes_while_the_replacement_is_damaged(self, laptop: Device) -> None:
        laptop.run()
        busy(laptop)
        compact(laptop)
        pack = next(laptop.replica.archive.log())
        name = next(f.name for f in laptop.store.files() if f.hash == pack.extra["file"])
        laptop.clock.ms += QUARANTINE_S * 1000
        laptop.run()
        laptop.folder.put(name, b"x" * 4096)
        done = Compactor(laptop.engine, laptop.folder, laptop.replica, QUARANTINE_S).leaving(set(laptop.folder.names()))
        assert not done[0]
        assert any("not whole" in why for why in done[1])

    def test_a_replaced_file_that_a_client_brings_back_goes_again_and_changes_nothing(self, laptop: Device) -> None:
        laptop.run()
        busy(laptop)
        old = {name: laptop.folder.read(name) or b"" for name in laptop.folder.names()}
        compact(laptop)
        laptop.clock.ms += QUARANTINE_S * 1000
        compact(laptop)
        log = history(laptop)
        for name, data in old.items():
            laptop.folder.put(name, data)

        laptop.run()
        again = compact(laptop)

        assert len(again.removed) >= 40
        assert history(laptop) == log

    def test_the_other_device_lets_go_of_replaced_files_and_misses_none(self, world: World) -> None:
        laptop, phone = world.device("laptop"), world.device("phone")
        world.sync()
        busy(laptop)
        world.sync()
        assert len(phone.store.files()) > 40
        compact(laptop)
        world.sync()
        assert len(phone.store.files()) < 15
        # when: the owner removes them everywhere
        gone = {name for name in laptop.folder.names() if not phone.store.file_named(name)}
        for name in gone:
            phone.folder.delete(name)
        for _ in range(3):
            outcome = phone.run()
        # then
        assert not outcome.missing
        assert phone.state() == laptop.state()
        assert sorted(phone.held()) == sorted(laptop.held())

    @pytest.mark.parametrize("order", ["replacement first", "pack first", "old ones last"])
    def test_any_order_of_arrival_gives_the_same_store(self, world: World, order: str) -> None:
        laptop, phone = world.device("laptop"), world.device("phone")
        laptop.run()
        busy(laptop)
        old = {name: laptop.folder.read(name) or b"" for name in laptop.folder.names()}
        compact(laptop)
        pack = next(laptop.replica.archive.log())
        new = file_name(laptop.store.data(pack.extra["file"]))
        rest = {n: laptop.folder.read(n) or b"" for n in laptop.folder.names() if n not in old and n != new}
        merged = {new: laptop.folder.read(new) or b""}
        batches = {
            "replacement first": [merged, old, rest],
            "pack first": [rest, old, merged],
            "old ones last": [merged, rest, old],
        }[order]

        for batch in batches:
            for name, data in batch.items():
                phone.folder.put(name, data)
            phone.run()

        assert sorted(phone.held()) == sorted(laptop.held() | phone.held())
        assert len([f for f in phone.store.files_of("run") if f.owner == laptop.store.need("device")]) < 8
        assert not phone.replica.chains.missing()
        phone.restart()
        laptop_values = {s.account: s.values for s in laptop.accounts.views()}
        assert {s.account: s.values for s in phone.accounts.views()} == laptop_values


class TestSnapshots:
    def with_snapshot(self, device: Device, edits: int = 300) -> str:
        device.run()
        account = device.add("mail")
        for number in range(edits):
            device.change(account, note=f"{number}")
        assert compact(device).snapshot
        return account

    def test_a_start_from_a_snapshot_is_equal_bit_for_bit(self, laptop: Device) -> None:
        account = self.with_snapshot(laptop)
        laptop.change(account, note="after the snapshot")
        before = (laptop.state(), laptop.replica.chains.seen(), laptop.replica.chains.clock, history(laptop))

        laptop.restart()

        chains = laptop.replica.chains
        assert (laptop.state(), chains.seen(), chains.clock, history(laptop)) == before
        encoded, fresh = from_scratch(laptop)
        assert encoded == laptop.state()
        assert (fresh.seen(), fresh.clock, fresh.missing()) == (chains.seen(), chains.clock, chains.missing())
        writer = laptop.replica.keys.author.writer
        assert fresh.last_seen_by(writer) == chains.last_seen_by(writer)

    def test_the_start_really_used_the_snapshot(self, laptop: Device) -> None:
        self.with_snapshot(laptop)
        laptop.restart()
        later = laptop.replica.memory._resume(dict(laptop.replica.archive.snapshots()))
        assert later is not None
        assert len(later) < 4

    def test_none_is_made_while_something_is_missing(self, world: World) -> None:
        laptop, phone = world.device("laptop"), world.device("phone")
        account = laptop.add("mail")
        laptop.run()
        first = set(laptop.folder.names())
        for number in range(300):
            laptop.change(account, note=f"{number}")
        laptop.run()
        last = {file.name for file in laptop.store.files()[-1:]}
        deliver(laptop, phone, first | last)
        phone.run()
        for number in range(300):
            phone.change(phone.add(f"a{number}") if not number else account, note=f"p{number}")
        assert phone.replica.chains.missing()
        assert not compact(phone).snapshot

    def test_only_the_newest_of_a_device_is_kept(self, world: World) -> None:
        laptop, phone = world.device("laptop"), world.device("phone")
        world.sync()
        account = self.with_snapshot(laptop)
        world.sync()
        for number in range(600):
            laptop.change(account, note=f"again {number}")
        assert compact(laptop).snapshot
        world.sync()
        laptop.run()
        world.sync()
        assert len(laptop.store.files_of("snapshot")) == 1
        assert len(phone.store.files_of("snapshot")) == 1
        for _ in range(3):
            phone.folder.delete(laptop.store.files_of("snapshot")[0].name)
            assert not phone.run().missing

    def test_a_fresh_device_shows_a_snapshot_before_the_history_is_there(self, world: World) -> None:
        laptop = world.device("laptop")
        account = self.with_snapshot(laptop)
        phone = world.device("phone", introduced=False)
        snapshot = laptop.store.files_of("snapshot")[0].name
        # when: only the snapshot has come
        deliver(laptop, phone, [snapshot])
        phone.run()
        # then: its accounts are there, and it says what it waits for
        assert phone.values(account)["note"] == "299"
        assert phone.replica.chains.missing()
        phone.restart()
        assert phone.values(account)["note"] == "299"
        # when: the history has come
        deliver(laptop, phone)
        phone.run()
        # then: the fold wins, equal to the other's, and the log is whole
        assert phone.state() == laptop.state() == from_scratch(phone)[0]
        assert history(phone) == history(laptop)
        assert not phone.replica.chains.missing()

    def test_a_snapshot_that_lies_loses_to_the_events(self, world: World) -> None:
        laptop = world.device("laptop")
        account = self.with_snapshot(laptop)
        author = laptop.replica.keys.author
        forged = state.State()
        forged.join(laptop.replica.state)
        del forged.subjects[bytes.fromhex(account)]
        made = content.make_snapshot(author, laptop.ring.vault, state.encode(forged), laptop.replica.chains.seen())
        phone = world.device("phone", introduced=False)
        data = laptop.replica.keys.seal(made, laptop.random(32))
        phone.folder.put(file_name(data), data)
        phone.run()
        deliver(laptop, phone)
        phone.run()
        assert phone.state() == laptop.state()
        phone.restart()
        assert phone.state() == laptop.state()

    def test_a_store_rolled_back_behind_its_snapshot_folds_everything(self, world: World) -> None:
        laptop = world.device("laptop")
        laptop.run()
        account = laptop.add("mail")
        laptop.run()
        old = world.clone(laptop, "backup")
        for number in range(300):
            laptop.change(account, note=f"{number}")
        compact(laptop)
        snapshot = laptop.store.files_of("snapshot")[0].name
        # when: the old copy finds the snapshot of its own future
        deliver(laptop, old, [snapshot])
        old.run()
        old.restart()
        # then: it does not take it for its own fold, nor for more than what it holds
        assert "note" not in old.values(account)
        assert old.replica.memory._resume(dict(old.replica.archive.snapshots())) is None
        deliver(laptop, old)
        old.run()
        assert old.values(account)["note"] == "299"


class TestRollback:
    def test_a_snapshot_of_another_branch_never_hides_an_edit(self, world: World) -> None:
        # given: a restored device that has edited, and receives its own future with one file late
        laptop = world.device("laptop")
        laptop.run()
        account = laptop.add("mail")
        laptop.run()
        old = world.clone(laptop, "backup")
        before = set(laptop.folder.names())
        laptop.change(account, note="the first of the future")
        laptop.run()
        late = set(laptop.folder.names()) - before
        laptop.commit(*[edit(bytes.fromhex(account), note=f"future {number}") for number in range(300)])
        assert compact(laptop, fanout=10**6).snapshot
        laptop.run()
        old.add("added after the restore")
        old.run()
        deliver(laptop, old, [name for name in laptop.folder.names() if name not in late])
        for _ in range(3):
            old.run()
        # when
        old.restart()
        old.run()
        # then
        assert "added after the restore" in old.names()
        assert old.state() == from_scratch(old)[0]
        deliver(laptop, old)
        old.run()
        assert "added after the restore" in old.names()

    def test_a_snapshot_of_a_clone_whose_events_never_come_hides_nothing(self, world: World) -> None:
        laptop, phone = world.device("laptop"), world.device("phone")
        world.sync()
        account = laptop.add("mail")
        world.sync()
        clone = world.clone(laptop, "clone")
        clone.commit(*[edit(bytes.fromhex(account), note=f"clone {number}") for number in range(320)])
        clone.commit(delete(bytes.fromhex(account)))
        assert compact(clone).snapshot
        clone.run()
        world.devices.remove(clone)
        snapshot = clone.store.files_of("snapshot")[0].name
        laptop.change(account, note="an acknowledged edit")
        world.sync()
        deliver(clone, phone, [snapshot])
        phone.run()
        assert phone.names() == ["mail"]
        phone.restart()
        assert phone.state() == from_scratch(phone)[0]
        clone.close()


class TestOthersWhoErrOrLie:
    """A device of the vault that writes nonsense must not stop the others, nor take anything from them."""

    def packs(self, device: Device, *pairs: tuple[bytes, bytes]) -> None:
        device.commit(*[Draft("pack", extra={"replaced": [old], "file": new}) for old, new in pairs])

    @pytest.mark.parametrize("seed", range(6))
    def test_replacements_of_replacements_may_arrive_in_one_batch(self, world: World, seed: int) -> None:
        laptop = world.device("laptop")
        laptop.run()
        account = laptop.add(f"mail {seed}")
        for number in range(30):
            laptop.change(account, note=f"{seed} {number}")
            laptop.engine.publish()
            if number % 3 == 2:
                compact(laptop, fanout=2)
        phone = world.device("phone")
        deliver(laptop, phone)
        phone.run()
        assert laptop.held() <= phone.held()

    def test_a_pack_that_lies_hides_no_event(self, world: World) -> None:
        laptop, phone, tablet = (world.device(label) for label in ("laptop", "phone", "tablet"))
        world.sync()
        laptop.add("mail")
        laptop.run()
        hidden = laptop.store.files_of("run")[-1]
        self.packs(phone, (hidden.hash, phone.store.files_of("run")[0].hash))
        phone.run()
        deliver(phone, tablet)
        tablet.run()
        world.sync()
        assert tablet.names() == ["mail"]

    def test_packs_in_a_circle_or_naming_a_beat_stop_nothing(self, world: World) -> None:
        laptop, phone = world.device("laptop"), world.device("phone")
        world.sync()
        account = laptop.add("mail")
        laptop.run()
        laptop.change(account, note="important")
        world.sync()
        phone.clock.ms += 2 * DAY_MS
        phone.replica.beat()
        phone.run()
        owner = laptop.store.need("device")
        one, other = [file.hash for file in phone.store.files_of("run") if file.owner == owner][-2:]
        beat = phone.store.files_of("beat")[-1].hash
        self.packs(phone, (one, other), (other, one), (one, beat), (one, one))
        phone.add("honest")
        world.sync()
        for device in (laptop, phone):
            device.restart()
            assert sorted(device.names()) == ["honest", "mail"]
            assert device.values(account)["note"] == "important"
            assert device.state() == from_scratch(device)[0]

    def test_a_claim_on_another_s_files_does_not_keep_them_for_ever(self, world: World) -> None:
        laptop, phone = world.device("laptop"), world.device("phone")
        world.sync()
        busy(laptop, 12)
        world.sync()
        mine = [file.hash for file in laptop.store.files_of("run") if file.owner == laptop.store.need("device")]
        self.packs(phone, *[(digest, phone.store.files_of("run")[0].hash) for digest in mine])
        world.sync()
        compact(laptop)
        world.sync()
        laptop.clock.ms += 95 * DAY_MS
        assert len(compact(laptop).removed) >= 12

    @pytest.mark.parametrize("born", ["x", -1, True, 1.5])
    def test_a_snapshot_that_is_no_state_is_refused(self, world: World, born: object) -> None:
        laptop, phone = world.device("laptop"), world.device("phone")
        world.sync()
        account = laptop.add("mail")
        world.sync()
        author = phone.replica.keys.author
        bad = msgpack.packb([[bytes.fromhex(account), born, 1, {}, {}]])
        made = content.make_snapshot(author, world.ring.vault, bad, [Piece(author.writer, 1, 99, b"x" * 16)])
        data = phone.replica.keys.seal(made, phone.random(32))
        laptop.folder.put(file_name(data), data)
        laptop.run()
        assert laptop.verdicts()[file_name(data)] == "rejected"
        laptop.restart()
        assert laptop.names() == ["mail"]


def test_three_devices_that_compact_for_months_stay_equal_and_do_not_chase_each_other(world: World) -> None:
    devices = [world.device(label) for label in ("laptop", "phone", "tablet")]
    world.sync()
    accounts = [device.add(device.label) for device in devices]
    for week in range(20):
        for device, account in zip(devices, accounts, strict=True):
            device.clock.ms += 7 * DAY_MS
            for number in range(10):
                device.change(account, note=f"{week} {number}")
                device.engine.publish()
        world.sync()
        for device in devices:
            for gone in compact(device).removed:
                for other in devices:
                    other.folder.delete(gone)
        world.sync()
    states = {device.state() for device in devices}
    assert len(states) == 1
    assert all(from_scratch(device)[0] == device.state() for device in devices)
    # then: nothing is written or missed any more once nobody edits
    names = [set(device.folder.names()) for device in devices]
    for _ in range(3):
        world.sync()
    assert [set(device.folder.names()) for device in devices] == names
    assert not any(device.engine.last.missing for device in devices)
    assert max(len(device.own_files()) for device in devices) <= 40
