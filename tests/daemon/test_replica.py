"""The replica: own edits are durable and placed rightly, others' files are checked, memory follows the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from otpkeep_daemon.replica import RUN_EVENTS
from otpkeep_protocol import content, wire
from otpkeep_protocol.errors import Malformed
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import Piece, sha256
from otpkeep_protocol.statements import sign
from support_vault import (
    DAY_MS,
    START_MS,
    Device,
    Hand,
    World,
    add,
    deliver,
    edit,
    keyring,
    make_author,
    raw_event,
    seal,
    slot_set,
)

ACCOUNT = b"a" * 16


def take_in(device: Device, *made: bytes) -> list[str]:
    """Ingest sealed contents and return the kinds of the verdicts."""
    files = [seal(each, f"file {number}") for number, each in enumerate(made)]
    return [verdict.kind for verdict in device.replica.ingest(files)]


class TestCommit:
    def test_a_devices_first_edit_opens_its_writer(self, laptop: Device) -> None:
        first, second = laptop.replica.archive.log(newest=False)

        assert (first.kind, first.dot.seq) == ("writer.open", 1)
        assert (second.kind, second.dot.seq) == ("device.add", 2)

    def test_each_event_follows_the_one_before_and_has_seen_it(self, laptop: Device) -> None:
        before = laptop.commit(add(ACCOUNT))
        after = laptop.commit(edit(ACCOUNT, name="x"))

        assert after.prev == before.hash
        assert after.seen == (Piece(before.dot.writer, 1, before.dot.seq, before.dot.hash),)
        assert after.lamport == before.lamport + 1

    def test_events_of_one_commit_see_each_other(self, laptop: Device) -> None:
        last = laptop.commit(add(ACCOUNT, name="x"), edit(ACCOUNT, name="y"), edit(ACCOUNT, name="z"))

        assert last.seen[0].last == last.dot.seq - 1
        assert laptop.values(ACCOUNT.hex())["name"] == "z"

    def test_an_edit_sees_what_was_taken_in_and_nothing_else(self, world: World, laptop: Device, phone: Device) -> None:
        phone.commit(add(b"1" * 16))
        missed = phone.commit(add(b"2" * 16))
        seen = phone.commit(add(b"3" * 16))
        phone.run()
        deliver(phone, laptop, [name for name in phone.own_files() if name != phone.own_files()[2]])
        laptop.run()
        assert not laptop.replica.chains.holds(missed.dot)

        made = laptop.commit(add(ACCOUNT))

        writer = missed.dot.writer
        assert [p[1:3] for p in made.seen if p.writer == writer] == [
            (1, missed.dot.seq - 1),
            (seen.dot.seq, seen.dot.seq),
        ]

    def test_an_edit_that_can_t_be_recorded_leaves_no_trace(self, laptop: Device) -> None:
        before = laptop.state(), laptop.held(), laptop.replica.chains.seen()

        with pytest.raises(Malformed):
            laptop.commit(add(ACCOUNT), edit(ACCOUNT, name="\0"))

        assert (laptop.state(), laptop.held(), laptop.replica.chains.seen()) == before
        laptop.commit(add(ACCOUNT))

    def test_secrets_are_kept_or_dropped_with_their_edit(self, laptop: Device) -> None:
        with pytest.raises(Malformed):
            laptop.replica.commit([edit(ACCOUNT, name="\0")], {ACCOUNT: b"secret"})
        assert laptop.replica.local_secrets() == {}

        laptop.replica.commit([edit(ACCOUNT, name="x")], {ACCOUNT: b"secret"})
        laptop.restart()

        assert laptop.replica.local_secret(ACCOUNT) == b"secret"

    def test_a_long_commit_is_cut_into_runs_that_chain(self, laptop: Device, phone: Device) -> None:
        number = RUN_EVENTS + 3
        laptop.replica.commit([add(index.to_bytes(16, "big")) for index in range(number)])
        runs = [file for file in laptop.store.files() if file.kind == "run"]

        laptop.run()
        deliver(laptop, phone)
        phone.run()

        assert len(runs) == 3
        assert len(phone.accounts.views()) == number
        assert phone.replica.chains.missing() == {}

    def test_a_clock_a_hundred_years_off_changes_nothing_but_walls(self, laptop: Device) -> None:
        for off in (START_MS + 36_500 * DAY_MS, 0, START_MS):
            laptop.clock.ms = off
            laptop.commit(edit(ACCOUNT, name=str(off)))

        assert laptop.values(ACCOUNT.hex())["name"] == str(START_MS)

    def test_a_restart_changes_nothing(self, world: World, laptop: Device, phone: Device) -> None:
        laptop.add("mail")
        phone.add("bank")
        world.sync()
        before = laptop.state(), laptop.replica.chains.seen(), laptop.replica.chains.clock

        laptop.restart()

        assert (laptop.state(), laptop.replica.chains.seen(), laptop.replica.chains.clock) == before


class TestCopiesAndRollbacks:
    def test_both_halves_of_a_cloned_device_go_on_without_loss(self, world: World, laptop: Device) -> None:
        laptop.add("before")
        laptop.run()
        writer = laptop.replica.keys.author.writer
        twin = world.clone(laptop, "twin")

        laptop.add("here")
        twin.add("there")
        world.sync()

        assert laptop.names() == twin.names() == ["before", "here", "there"]
        assert laptop.state() == twin.state()
        assert writer in laptop.replica.chains.forks
        made = [laptop.commit(edit(ACCOUNT, name="x")), twin.commit(edit(ACCOUNT, name="y"))]
        assert len({writer, *(event.dot.writer for event in made)}) == 3

    def test_an_edit_after_the_fork_has_seen_both_branches(self, world: World, laptop: Device) -> None:
        account = laptop.add("before")
        laptop.run()
        twin = world.clone(laptop, "twin")
        laptop.change(account, name="here")
        twin.change(account, name="there")
        world.sync()
        assert laptop.accounts.view(bytes.fromhex(account)).conflicts

        laptop.change(account, name="settled")
        world.sync()

        assert laptop.names() == twin.names() == ["settled"]
        assert not twin.accounts.view(bytes.fromhex(account)).conflicts

    def test_a_device_restored_from_a_backup_opens_a_new_writer(
        self, world: World, laptop: Device, phone: Device
    ) -> None:
        laptop.run()
        old = laptop.replica.keys.author.writer
        restored = world.clone(laptop, "restored")
        laptop.add("after the backup")
        laptop.run()
        deliver(laptop, phone)
        phone.run()
        world.devices.remove(laptop)
        laptop.close()

        deliver(phone, restored)
        restored.run()
        made = restored.commit(add(ACCOUNT, name="new"))

        assert made.dot.writer != old
        assert restored.names() == ["after the backup", "new"]

    def test_being_named_beyond_its_head_is_enough_to_open_a_new_writer(self, laptop: Device) -> None:
        own = laptop.replica.keys.author.writer
        ben = Hand("ben")
        ben.write(add(ACCOUNT), [Piece(own, 1, 9, b"h" * 16)])
        take_in(laptop, ben.run())

        assert laptop.commit(edit(ACCOUNT, name="x")).dot.writer != own

    def test_a_new_writer_is_kept_over_a_restart(self, laptop: Device) -> None:
        own = laptop.replica.keys.author.writer
        ben = Hand("ben")
        ben.write(add(ACCOUNT), [Piece(own, 1, 9, b"h" * 16)])
        take_in(laptop, ben.run())
        made = laptop.commit(edit(ACCOUNT, name="x"))

        laptop.restart()

        assert laptop.commit(edit(ACCOUNT, name="y")).dot[:2] == (made.dot.writer, made.dot.seq + 1)

    def test_a_new_writer_whose_first_edit_failed_is_still_told_to_the_store(self, laptop: Device) -> None:
        own = laptop.replica.keys.author.writer
        ben = Hand("ben")
        ben.write(add(ACCOUNT), [Piece(own, 1, 9, b"h" * 16)])
        take_in(laptop, ben.run())
        with pytest.raises(Malformed):
            laptop.commit(edit(ACCOUNT, name="\0"))

        made = laptop.commit(edit(ACCOUNT, name="x"))
        laptop.restart()

        assert laptop.commit(edit(ACCOUNT, name="y")).dot[:2] == (made.dot.writer, made.dot.seq + 1)

    def test_coming_upon_its_own_file_again_opens_no_new_writer(self, laptop: Device) -> None:
        own = laptop.replica.keys.author.writer
        laptop.run()
        laptop.replica.ingest([laptop.folder.read(name) or b"" for name in laptop.folder.names()])

        assert laptop.commit(add(ACCOUNT)).dot.writer == own


class TestIngest:
    def ben(self, number: int = 1) -> Hand:
        ben = Hand("ben")
        for index in range(number):
            ben.write(add(bytes([index]) * 16, name=f"account {index}"))
        return ben

    def test_a_run_of_a_certified_device_is_taken_in(self, laptop: Device) -> None:
        assert take_in(laptop, self.ben().run()) == ["ok"]
        assert laptop.names() == ["account 0"]

    def test_a_device_that_the_admin_never_admitted_is_rejected(self, laptop: Device) -> None:
        ben = self.ben()
        forged = make_author("ben", keyring("another vault"))
        value = wire.unpack(ben.run())
        value["certificate"] = [keyring().newest.id, forged.certificate[1]]

        assert take_in(laptop, wire.encode(value)) == ["rejected"]
        assert laptop.names() == []

    @pytest.mark.parametrize("drop", [0, 1, 2])
    def test_a_run_with_a_hole_is_rejected(self, laptop: Device, drop: int) -> None:
        ben = self.ben(4)
        value = wire.unpack(ben.run())
        del value["payload"][drop + 1]

        assert take_in(laptop, wire.encode(value)) == ["rejected"]

    def test_a_bad_file_never_stops_the_others(self, laptop: Device) -> None:
        ben = self.ben(2)
        files = [b"", b"garbage", seal(b"no content"), seal(ben.run())[:-1], seal(ben.run())]

        kinds = [verdict.kind for verdict in laptop.replica.ingest(files)]

        assert kinds == ["foreign", "foreign", "rejected", "pending", "ok"]
        assert laptop.names() == ["account 0", "account 1"]

    def test_runs_may_overlap_repeat_and_come_in_any_order(self, laptop: Device) -> None:
        ben = self.ben(5)
        assert take_in(laptop, ben.run(4, 6), ben.run(1, 2), ben.run(2, 5), ben.run(), ben.run(3, 3)) == ["ok"] * 5

        assert laptop.names() == [f"account {index}" for index in range(5)]
        assert laptop.replica.chains.missing() == {}
        assert len(list(laptop.replica.archive.log())) == 2 + 6

    def test_a_gap_is_known_and_filled(self, laptop: Device) -> None:
        ben = self.ben(5)
        take_in(laptop, ben.run(5, 6))
        assert laptop.replica.chains.missing() == {ben.writer: 4}

        take_in(laptop, ben.run(1, 4))

        assert laptop.replica.chains.missing() == {}

    def test_an_invalid_event_occupies_its_place_and_has_no_effect(self, laptop: Device) -> None:
        ben = self.ben()
        envelope, body = raw_event(
            writer=ben.writer, seq=3, prev=ben.last.hash, account=bytes(16), fields=["name", "other"]
        )
        ben.pairs.append((envelope, body))

        assert take_in(laptop, ben.run()) == ["ok"]

        assert laptop.names() == ["account 0"]
        assert laptop.replica.chains.missing() == {}
        assert [row[:2] for row in laptop.store.problems()] == [(ben.writer, 3)]
        laptop.restart()
        assert laptop.names() == ["account 0"]
        assert next(e for e in laptop.replica.archive.log() if e.dot[:2] == (ben.writer, 3)).problem

    def test_a_newer_event_is_kept_passed_on_and_not_held(self, laptop: Device) -> None:
        ben = self.ben()
        envelope, body = raw_event(writer=ben.writer, seq=3, prev=ben.last.hash, critical=["merge"])
        ben.pairs.append((envelope, body))

        take_in(laptop, ben.run())

        assert [p[1:3] for p in laptop.replica.chains.seen() if p.writer == ben.writer] == [(1, 2)]
        assert laptop.replica.chains.missing() == {}
        before = laptop.state()
        laptop.restart()
        assert laptop.state() == before
        assert [p[1:3] for p in laptop.replica.chains.seen() if p.writer == ben.writer] == [(1, 2)]

    def test_a_statement_that_the_admin_did_not_sign_has_no_effect(self, laptop: Device) -> None:
        ben = Hand("ben")
        draft = slot_set([b"slot"])
        statement: Any = draft.extra["statement"]
        statement["values"]["slots"] = [bytes(32)]
        ben.write(draft)

        assert take_in(laptop, ben.run()) == ["ok"]

        assert laptop.replica.slot_hashes() == set()
        assert [row[:2] for row in laptop.store.problems()] == [(ben.writer, 2)]
        laptop.restart()
        assert laptop.replica.slot_hashes() == set()

    @pytest.mark.parametrize("statement", [5, {}, {"epoch": b""}, [1]])
    def test_an_unknown_kind_may_call_anything_a_statement(self, laptop: Device, statement: Any) -> None:
        ben = self.ben()
        ben.write(Draft("account.dream", ACCOUNT, alive=True, values={"name": "x"}, extra={"statement": statement}))

        assert take_in(laptop, ben.run()) == ["ok"]

        assert laptop.names() == ["account 0", "x"]

    def test_a_dropped_body_is_filled_in_when_it_arrives(self, laptop: Device) -> None:
        ben = self.ben()
        bare = [(envelope, None) for envelope, _ in ben.pairs]
        take_in(laptop, content.make_run(ben.author, ben.vault, bare))
        assert laptop.accounts.view(bytes(16)).unknown == ("name", "otp")

        take_in(laptop, ben.run())

        assert laptop.names() == ["account 0"]
        laptop.restart()
        assert laptop.names() == ["account 0"]
        assert next(laptop.replica.archive.log(bytes(16))).values is not None

    def test_a_dropped_body_that_broke_a_rule_gives_one_state_in_any_order(self, laptop: Device, phone: Device) -> None:
        ben = self.ben()
        body = bytes(16) + wire.encode({"set": {"name": 5}})
        envelope, _ = raw_event(writer=ben.writer, seq=3, prev=ben.last.hash, account=ACCOUNT, body=sha256(body))
        bare = content.make_run(ben.author, ben.vault, [*ben.pairs, (envelope, None)])
        whole = content.make_run(ben.author, ben.vault, [*ben.pairs, (envelope, body)])

        for device, order in ((laptop, [bare, whole]), (phone, [whole, bare])):
            for made in order:
                assert take_in(device, made) == ["ok"]

        registers = [device.replica.state.subjects.get(ACCOUNT) for device in (laptop, phone)]
        assert registers[0] == registers[1]

    def test_a_forked_writer_of_another_is_kept_and_folds_both(self, laptop: Device) -> None:
        ben = self.ben()
        twin = ben.copy("twin")
        ben.write(edit(bytes(16), name="one"))
        twin.write(edit(bytes(16), name="other"), wall=START_MS + 1)

        take_in(laptop, ben.run(), twin.run())

        shown = laptop.accounts.view(bytes(16))
        assert shown.values["name"] == "other"
        assert [loser.written.value for loser in shown.conflicts["name"]] == ["one"]
        before = laptop.state()
        laptop.restart()
        assert laptop.state() == before

    def test_a_beat_is_no_event(self, laptop: Device) -> None:
        ben, before = self.ben(), laptop.state()
        take_in(laptop, content.make_beat(ben.author, ben.vault, START_MS, [ben.piece()]))

        assert laptop.state() == before
        assert laptop.replica.chains.missing() == {ben.writer: 2}

    def test_a_beat_changes_no_state_whatever_hash_it_names(self, laptop: Device) -> None:
        """What a beat names may be withheld, and its owner removes it: states must not depend on it."""
        ben, anna, carl = self.ben(3), Hand("anna"), Hand("carl")
        anna.write(edit(bytes(16), note="a"), [ben.piece(last=2)])
        carl.write(edit(bytes(16), note="c"), [ben.piece(3, 4)])
        take_in(laptop, ben.run(), anna.run(), carl.run())
        before = laptop.state()

        beat = content.make_beat(anna.author, anna.vault, START_MS, [Piece(ben.writer, 1, 2, b"h" * 16)])
        assert take_in(laptop, beat) == ["ok"]

        assert laptop.state() == before

    def test_what_a_device_last_saw_does_not_depend_on_the_order_of_its_files(
        self, laptop: Device, phone: Device
    ) -> None:
        ben, anna = self.ben(2), Hand("anna")
        beat = content.make_beat(ben.author, ben.vault, START_MS + DAY_MS, sorted([ben.piece(), anna.piece()]))
        one = self.last_seen(laptop, ben, [ben.run(), beat])
        other = self.last_seen(phone, ben, [beat, ben.run()])

        assert one == other

    def last_seen(self, device: Device, ben: Hand, files: Sequence[bytes]) -> Any:
        for made in files:
            assert take_in(device, made) == ["ok"]
        return device.replica.chains.last_seen_by(ben.writer)

    def test_own_beats_count_as_this_devices_last_word(self, laptop: Device) -> None:
        laptop.clock.ms += DAY_MS

        laptop.replica.beat()

        assert laptop.replica.chains.last_seen_by(laptop.replica.keys.author.writer)[1] == laptop.clock.ms

    def test_a_snapshot_is_kept_and_never_believed(self, laptop: Device) -> None:
        ben, before = self.ben(), laptop.state()
        message = b"otpkeep/v1/content" + wire.encode([ben.vault, "snapshot", ben.writer, sha256(b"\x90"), []])
        made = {
            "kind": "snapshot",
            "device": ben.author.public_key,
            "nonce": ben.author.nonce,
            "certificate": ben.author.certificate,
            "payload": {"state": b"\x90", "seen": []},
            "signature": sign(ben.author.seed, message),
        }

        assert take_in(laptop, wire.encode(made)) == ["ok"]
        laptop.restart()
        assert laptop.state() == before


class TestQuestions:
    def test_the_log_is_in_causal_order_whatever_the_clocks_say(
        self, world: World, laptop: Device, phone: Device
    ) -> None:
        laptop.clock.ms += 10**12
        laptop.commit(add(ACCOUNT, name="1"))
        world.sync()
        phone.commit(edit(ACCOUNT, name="2"))
        world.sync()
        laptop.clock.ms = 5
        laptop.commit(edit(ACCOUNT, name="3"))

        log = list(laptop.replica.archive.log(ACCOUNT, newest=False))

        assert [event.values["name"] for event in log if event.values is not None] == ["1", "2", "3"]
        assert list(laptop.replica.archive.log(ACCOUNT)) == log[::-1]

    def test_an_event_is_found_by_the_beginning_of_its_writer(self, laptop: Device) -> None:
        made = laptop.commit(add(ACCOUNT))
        hexed = made.dot.writer.hex()

        assert laptop.replica.archive.find(hexed[:6], made.dot.seq) == [made]
        assert laptop.replica.archive.find(hexed, made.dot.seq) == [made]
        assert laptop.replica.archive.find(hexed[:6], 99) == []
