"""Undo, restore and looking back over real replicas: which event is meant, other devices, conflicts, placeholders."""

from __future__ import annotations

from typing import Any

import pytest

from otpkeep_daemon import travel
from otpkeep_daemon.imports import Import
from otpkeep_daemon.travel import KEPT
from otpkeep_protocol.account import Otp
from otpkeep_protocol.errors import Ambiguous, NotFound, Refused, Usage
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import sha256
from support_travel import assert_seen, commit, log_of, name_of, restore, restore_all, sight, undo
from support_vault import SECRET, Device, World, hotp, totp


def placeholder(device: Device, otp: dict[str, Any], name: str = "kept here") -> str:
    return device.accounts.add({"name": name, "otp": otp}, placeholder=True)[0].hex()


def kept(device: Device, account: str) -> Otp:
    """What makes the codes of an account on this device."""
    found = device.accounts.otp(device.accounts.view(bytes.fromhex(account)))
    assert found is not None
    return found


def newest(device: Device, account: str) -> Event:
    return log_of(device, account)[0]


class TestWhichEvent:
    def test_by_default_the_newest_of_this_device_that_is_neither_an_undo_nor_undone(
        self, world: World, laptop: Device, phone: Device
    ) -> None:
        account = laptop.add("mail")
        first = laptop.change(account, name="one")
        world.sync()
        phone.change(account, note="of the phone")
        world.sync()

        made = undo(laptop)

        assert made is not None
        assert first is not None
        assert made.extra["undoes"] == first.hash
        assert laptop.values(account) == {"name": "mail", "otp": totp(sha256(b"mail")), "note": "of the phone"}

    def test_an_earlier_writer_of_this_device_is_this_device(self, laptop: Device) -> None:
        account = laptop.add("mail")
        event = laptop.change(account, name="one")
        with laptop.store.transaction():
            laptop.store.put("nonce", b"another nonce 16")
        laptop.restart()
        laptop.add("written by a new writer")
        undo(laptop)

        made = undo(laptop)

        assert event is not None
        assert made is not None
        assert made.extra["undoes"] == event.hash
        assert made.dot.writer != event.dot.writer

    def test_a_restore_is_an_edit_that_is_undone_as_any_other(self, laptop: Device) -> None:
        account = laptop.add("mail")
        added = newest(laptop, account)
        laptop.change(account, name="one")
        restore(laptop, account, name_of(added))
        assert laptop.values(account)["name"] == "mail"

        undo(laptop)

        assert laptop.values(account)["name"] == "one"

    def test_without_any_event_of_its_own_a_device_has_nothing_to_undo(
        self, world: World, laptop: Device, phone: Device
    ) -> None:
        laptop.add("mail")
        world.sync()

        with pytest.raises(NotFound):
            undo(phone)

    @pytest.mark.parametrize("name", ["", "9f", "9f86d0", "9f86d0.", "xyz123.4", "9f86d0.1.2", f"{'a' * 33}.1"])
    def test_what_is_no_name_of_an_event(self, laptop: Device, name: str) -> None:
        with pytest.raises(Usage):
            travel.chosen(laptop.accounts, name)

    def test_two_events_of_a_copied_device_share_a_name_that_then_means_neither(
        self, world: World, laptop: Device
    ) -> None:
        laptop.add("mail")
        laptop.run()
        clone = world.clone(laptop, "clone")
        here, there = laptop.add("here"), clone.add("there")
        world.sync()

        with pytest.raises(Usage, match="copied or rolled back"):
            travel.chosen(laptop.accounts, name_of(newest(laptop, here)))

        assert undo(laptop, newest(laptop, there)) is not None
        assert sorted(laptop.names()) == ["here", "mail"]


class TestOtherDevices:
    def test_an_undo_made_elsewhere_is_known_and_can_be_redone_here(
        self, world: World, laptop: Device, phone: Device
    ) -> None:
        account = laptop.add("mail")
        event = laptop.change(account, name="one")
        world.sync()
        assert event is not None
        link = undo(phone, event)
        world.sync()
        assert link is not None
        assert undo(laptop, event) is None

        redone = undo(laptop, link)
        world.sync()

        assert redone is not None
        assert [device.values(account)["name"] for device in (laptop, phone)] == ["one", "one"]
        assert laptop.state() == phone.state()

    def test_both_undo_at_once_and_redoing_one_leaves_the_other(
        self, world: World, laptop: Device, phone: Device
    ) -> None:
        account = laptop.add("mail")
        event = laptop.change(account, name="one")
        world.sync()
        assert event is not None
        links = [undo(device, event) for device in (laptop, phone)]
        world.sync()
        later = max((link for link in links if link is not None), key=lambda e: (e.lamport, e.wall, e.dot))

        undo(laptop, later)

        assert laptop.values(account)["name"] == "mail"
        assert laptop.accounts.view(bytes.fromhex(account)).conflicts == {}

    def test_a_delete_undone_here_while_it_was_edited_there_loses_nothing(
        self, world: World, laptop: Device, phone: Device
    ) -> None:
        account = laptop.add("mail", note="n")
        world.sync()
        gone = laptop.accounts.remove(account)[1]
        phone.change(account, issuer="of the phone")
        undo(laptop, gone)
        world.sync()

        for device in (laptop, phone):
            assert device.values(account) == {
                "name": "mail",
                "note": "n",
                "issuer": "of the phone",
                "otp": totp(sha256(b"mail")),
            }


class TestImports:
    def entries(self, *names: str) -> list[dict[str, Any]]:
        return [
            {"fields": {"otp": totp(sha256(n.encode())), "name": n}, "identity": ["aegis", n], "label": n}
            for n in names
        ]

    def take(self, device: Device, *names: str) -> None:
        made = Import(device.accounts, placeholder=False).plan(self.entries(*names))
        device.replica.commit(made.drafts, made.secrets)

    def test_undo_walks_back_through_an_import_entry_by_entry(self, laptop: Device) -> None:
        self.take(laptop, "a", "b")

        undo(laptop)
        assert laptop.names() == ["a"]
        undo(laptop)

        assert laptop.names() == []

    def test_a_restore_takes_a_whole_import_back_and_forth(self, laptop: Device) -> None:
        laptop.add("mail")
        before = sight(laptop.replica.state)
        moment = laptop.clock.ms
        laptop.clock.ms += 1000
        self.take(laptop, "a", "b", "c")
        after, imported = sight(laptop.replica.state), laptop.clock.ms
        laptop.clock.ms += 1000

        restore_all(laptop, moment)
        assert sight(laptop.replica.state) == before
        restore_all(laptop, imported)

        assert sight(laptop.replica.state) == after

    def test_what_another_device_imported_too_stays_when_one_import_is_undone(
        self, world: World, laptop: Device, phone: Device
    ) -> None:
        self.take(laptop, "a")
        phone.clock.ms += 1000
        self.take(phone, "a")
        world.sync()
        (account,) = laptop.replica.state.subjects.keys() & {v.account for v in laptop.accounts.views()}
        first, second = sorted(log_of(phone, account.hex()), key=lambda e: (e.lamport, e.wall, e.dot))

        with pytest.raises(Refused):
            undo(phone, first)
        undo(phone, second)

        assert phone.names() == ["a"]


class TestRestoring:
    def test_an_account_is_found_by_name_though_it_is_deleted(self, laptop: Device) -> None:
        account = laptop.add("mail", note="n", tags=["a"])
        added = newest(laptop, account)
        laptop.accounts.remove(account)

        restore(laptop, "mail", name_of(added))

        assert laptop.values(account) == {"name": "mail", "note": "n", "tags": ["a"], "otp": totp(sha256(b"mail"))}
        assert laptop.names() == ["mail"]

    def test_words_that_fit_a_deleted_and_a_living_account_name_neither(self, laptop: Device) -> None:
        laptop.accounts.remove(laptop.add("mail"))
        laptop.add("mail")

        with pytest.raises(Ambiguous):
            restore(laptop, "mail", laptop.clock.ms)

    def test_nothing_is_written_where_nothing_changed(self, laptop: Device) -> None:
        account = laptop.add("mail", otp=hotp(counter=3))
        moment = laptop.clock.ms
        laptop.clock.ms += 1000
        laptop.accounts.code(account, at=0, peek=False)
        held = laptop.held()

        assert restore(laptop, account, moment) is None
        assert restore_all(laptop, moment) == []
        assert laptop.held() == held

    def test_a_moment_before_the_account_is_told_and_deletes_nothing(self, laptop: Device) -> None:
        account = laptop.add("mail")

        with pytest.raises(NotFound, match="did not exist"):
            restore(laptop, account, laptop.clock.ms - 1)

        assert laptop.names() == ["mail"]

    def test_conflicts_are_settled(self, world: World, laptop: Device, phone: Device) -> None:
        account = laptop.add("mail")
        world.sync()
        moment = laptop.clock.ms
        laptop.clock.ms, phone.clock.ms = moment + 1000, moment + 2000
        laptop.change(account, name="one", note="n")
        phone.change(account, name="other")
        world.sync()
        assert laptop.accounts.view(bytes.fromhex(account)).conflicts.keys() == {"name"}

        restore(laptop, account, moment)
        world.sync()

        for device in (laptop, phone):
            assert device.accounts.view(bytes.fromhex(account)).conflicts == {}
            assert device.values(account) == {"name": "mail", "otp": totp(sha256(b"mail"))}

    def test_an_edit_that_was_not_known_here_survives_a_restore_as_a_conflict(
        self, world: World, laptop: Device, phone: Device
    ) -> None:
        account = laptop.add("mail")
        world.sync()
        moment = laptop.clock.ms
        laptop.clock.ms = moment + 1000
        laptop.change(account, name="one")
        phone.change(account, name="other")
        restore_all(laptop, moment)
        world.sync()

        view = laptop.accounts.view(bytes.fromhex(account))
        shown = {view.values["name"], *(c.written.value for c in view.conflicts["name"])}
        assert shown == {"mail", "other"}

    def test_a_preview_tells_what_then_happens(self, laptop: Device) -> None:
        gone, changed = laptop.add("gone", note="n"), laptop.add("changed")
        moment = laptop.clock.ms
        laptop.clock.ms += 1000
        laptop.accounts.remove(gone)
        laptop.change(changed, name="else", otp={"secret": b"renewed secret"})
        new = laptop.add("new")
        held = laptop.held()

        found = travel.preview(laptop.accounts, travel.restoring_all(laptop.accounts, moment))

        assert laptop.held() == held
        assert [(row["id"], row["note"], row["deleted"]) for row in found["added"]] == [(gone, "n", False)]
        assert [row["id"] for row in found["removed"]] == [new]
        (row,) = found["changed"]
        assert row["changes"]["name"] == ["else", "changed"]
        assert row["changes"]["otp"][1]["secret"] == "*** (another one)"
        restore_all(laptop, moment)
        assert sorted(laptop.names()) == ["changed", "gone"]


class TestPlaceholders:
    def test_undo_of_a_delete_gives_back_the_secret_that_is_still_here(self, laptop: Device) -> None:
        account = placeholder(laptop, hotp(counter=5))
        laptop.accounts.code(account, at=0, peek=False)
        laptop.accounts.remove(account)

        undo(laptop)

        assert (kept(laptop, account).secret, kept(laptop, account).counter) == (SECRET, 6)
        self.assert_hidden(laptop)

    def test_a_change_of_the_secret_alone_can_not_be_undone_nor_restored(self, laptop: Device) -> None:
        account = placeholder(laptop, totp())
        moment = laptop.clock.ms
        laptop.clock.ms += 1000
        event = laptop.change(account, otp={"secret": b"renewed secret"})
        held = laptop.held()

        assert event is not None
        with pytest.raises(Refused, match="without a history"):
            undo(laptop, event, force=True)
        with pytest.raises(Refused, match="without a history"):
            restore(laptop, account, moment)
        everything = travel.restoring_all(laptop.accounts, moment)

        assert (everything.drafts, [left["id"] for left in everything.left_out]) == ([], [account])
        assert laptop.held() == held
        assert kept(laptop, account).secret == b"renewed secret"

    def test_what_else_changed_with_the_secret_comes_back_and_the_secret_is_said_to_stay(self, laptop: Device) -> None:
        account = placeholder(laptop, totp())
        moment = laptop.clock.ms
        laptop.clock.ms += 1000
        event = laptop.change(account, name="renamed", otp={"secret": b"renewed secret"})
        assert event is not None

        _, restored = travel.restoring_one(laptop.accounts, account, moment)
        _, undone = travel.undoing_one(laptop.accounts, event, force=False)
        commit(laptop, undone)

        assert restored.left_out == undone.left_out == [{"id": account, "reason": KEPT}]
        assert laptop.values(account)["name"] == "kept here"
        assert kept(laptop, account).secret == b"renewed secret"

    def test_parameters_go_back_here_too_and_leave_secret_and_counter(self, laptop: Device) -> None:
        account = placeholder(laptop, hotp(counter=5))
        event = laptop.change(account, otp={"digits": 8})
        laptop.accounts.code(account, at=0, peek=False)
        assert (kept(laptop, account).digits, kept(laptop, account).counter) == (8, 6)

        undo(laptop, event)

        assert laptop.values(account)["otp"]["digits"] == 6
        assert (kept(laptop, account).digits, kept(laptop, account).counter) == (6, 6)
        assert kept(laptop, account).secret == SECRET

    def test_another_type_would_need_another_secret(self, laptop: Device) -> None:
        account = placeholder(laptop, hotp(counter=5))
        event = laptop.change(account, otp={"type": "totp"})
        assert event is not None

        with pytest.raises(Refused, match="without a history"):
            undo(laptop, event)

        assert kept(laptop, account).type == "totp"

    def test_an_account_that_became_a_placeholder_becomes_one_again_by_redo_with_its_secret(
        self, laptop: Device
    ) -> None:
        account = laptop.add("mail")
        laptop.accounts.edit(account, {}, {"secret": b"never backed up"}, placeholder=True)
        link = undo(laptop)
        assert kept(laptop, account).secret == sha256(b"mail")

        undo(laptop, link)

        assert kept(laptop, account).secret == b"never backed up"
        assert laptop.accounts.is_placeholder(laptop.accounts.view(bytes.fromhex(account)))
        self.assert_hidden(laptop, b"never backed up")

    def test_a_secret_that_a_placeholder_has_now_is_put_into_no_event(self, laptop: Device) -> None:
        account = laptop.add("mail", otp=totp(b"first secret"))
        event = laptop.change(account, otp={"secret": b"second secret"})
        placeholder(laptop, totp(b"first secret"))
        assert event is not None

        with pytest.raises(Refused, match="belongs to placeholder"):
            undo(laptop, event)

    def test_a_placeholder_whose_secret_was_backed_up_since_does_not_come_back_as_one(self, laptop: Device) -> None:
        account = placeholder(laptop, totp())
        gone = laptop.accounts.remove(account)[1]
        laptop.add("the same, backed up", otp=totp())

        with pytest.raises(Refused, match="backed up already"):
            undo(laptop, gone)
        made = travel.restoring_all(laptop.accounts, laptop.clock.ms - 1)

        assert [draft.alive for draft in made.drafts] == [False]

    def test_the_past_shows_no_secret_that_never_had_a_history(self, laptop: Device) -> None:
        account = placeholder(laptop, hotp(counter=5))
        laptop.clock.ms += 1000
        at = travel.moment(laptop.accounts, laptop.clock.ms)

        row = laptop.accounts.show(account, secrets=True, at=at)

        assert (row["secret"], row["pin"], row["counter"]) == (None, None, None)
        assert laptop.accounts.show(account, secrets=True)["secret"] is not None

    def assert_hidden(self, device: Device, secret: bytes = SECRET) -> None:
        for event in log_of(device):
            assert secret not in repr((event.values, event.extra)).encode()
            assert (event.values or {}).get("otp", {}).get("secret") != secret


class TestLookingBack:
    def test_a_moment_is_the_state_that_was(self, laptop: Device) -> None:
        seen = []
        account = laptop.add("mail")
        for name in ("one", "two", "three"):
            laptop.clock.ms += 1000
            event = laptop.change(account, name=name)
            assert event is not None
            seen.append((event, sight(laptop.replica.state)))
        laptop.clock.ms += 1000
        laptop.accounts.remove(account)

        for event, expected in seen:
            for at in (event.wall, name_of(event)):
                assert_seen(travel.moment(laptop.accounts, at).state, expected)

    def test_an_undone_and_an_undoing_event_are_marked_in_the_history(self, laptop: Device) -> None:
        account = laptop.add("mail")
        event = laptop.change(account, name="one")
        link = undo(laptop)
        assert event is not None
        assert link is not None

        rows = {row["event"]: row for row in laptop.accounts.show(account, secrets=False)["history"]}

        assert [rows[name_of(e)]["undone"] for e in (event, link)] == [True, False]
        assert rows[name_of(link)]["undoes"] == name_of(event)
        assert "undoes" not in rows[name_of(event)]
        then = laptop.accounts.show(account, secrets=False, at=travel.moment(laptop.accounts, name_of(event)))
        assert [row["undone"] for row in then["history"]] == [False, False]

    def test_an_edit_that_gave_or_took_life_says_so(self, laptop: Device) -> None:
        account = laptop.add("mail")
        laptop.accounts.remove(account)
        undo(laptop)

        row = laptop.accounts.show(account, secrets=False)["history"][0]

        assert row["changes"] == {"deleted": [True, False]}
