"""Importing: nothing is added twice, nothing newer is overwritten, nothing is left out in silence."""

from __future__ import annotations

from typing import Any

import pytest

from otpkeep_daemon.imports import Import, Imported
from otpkeep_protocol import wire
from support_vault import Device, World, hotp, totp


def entry(name: str, otp: dict[str, Any], identity: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    return {"fields": {"name": name, "otp": otp, **fields}, "identity": identity, "label": f"entry {name}"}


def bring(device: Device, *entries: dict[str, Any], placeholder: bool = False) -> Imported:
    made = Import(device.accounts, placeholder=placeholder).plan(entries)
    if made.drafts:
        device.replica.commit(made.drafts, made.secrets)
    elif made.secrets:
        with device.store.transaction():
            device.replica.keep_locals(made.secrets)
    return made


def outcome(made: Imported) -> tuple[int, int, int, int]:
    return len(made.added), len(made.changed), len(made.unchanged), len(made.skipped)


class TestOnce:
    @pytest.mark.parametrize("identity", [None, ["aegis", "1"]])
    def test_the_same_file_again_changes_nothing(self, laptop: Device, identity: list[str] | None) -> None:
        entries = [entry("mail", totp(b"1"), identity), entry("bank", hotp(b"2", counter=3))]
        assert outcome(bring(laptop, *entries)) == (2, 0, 0, 0)
        before = laptop.state()

        assert outcome(bring(laptop, *entries)) == (0, 0, 2, 0)

        assert laptop.state() == before

    @pytest.mark.parametrize("identity", [None, ["aegis", "1"]])
    def test_two_devices_make_one_account_of_one_entry(
        self, world: World, laptop: Device, identity: list[str] | None
    ) -> None:
        phone = world.device("phone")
        for device in (laptop, phone):
            bring(device, entry("mail", totp(), identity))

        world.sync()

        assert laptop.names() == phone.names() == ["mail"]
        assert laptop.accounts.views()[0].conflicts == {}

    def test_a_late_import_elsewhere_overrides_no_newer_edit(self, world: World, laptop: Device) -> None:
        phone = world.device("phone")
        bring(laptop, entry("mail", totp(), ["aegis", "1"]))
        account = laptop.accounts.views()[0].account.hex()
        laptop.change(account, name="mine", otp={"secret": b"renewed"})
        phone.clock.ms += 10**9
        bring(phone, entry("mail", totp(), ["aegis", "1"]))

        world.sync()

        for device in (laptop, phone):
            assert device.names() == ["mine"]
            assert device.values(account)["otp"]["secret"] == b"renewed"
            assert device.accounts.view(bytes.fromhex(account)).conflicts == {}

    def test_equal_entries_of_one_file_are_several_accounts_and_stay_so(self, laptop: Device) -> None:
        twice = [entry("mail", totp()), entry("mail", totp())]

        assert outcome(bring(laptop, *twice)) == (2, 0, 0, 0)
        assert outcome(bring(laptop, *twice)) == (0, 0, 2, 0)

    def test_an_entry_that_stands_twice_under_one_id_is_named(self, laptop: Device) -> None:
        made = bring(laptop, entry("one", totp(b"1"), ["aegis", "1"]), entry("two", totp(b"2"), ["aegis", "1"]))

        assert outcome(made) == (1, 0, 0, 1)
        assert made.skipped[0]["entry"] == "entry two"


class TestMatching:
    def test_an_entry_with_the_secret_of_one_living_account_is_that_account(self, laptop: Device) -> None:
        account = laptop.add("mine", otp=totp())

        made = bring(laptop, entry("mail", totp(), ["aegis", "1"], issuer="Post"))

        assert made.changed == [bytes.fromhex(account)]
        assert laptop.values(account)["issuer"] == "Post"

    def test_a_secret_that_several_have_matches_none(self, laptop: Device) -> None:
        laptop.add("one", otp=totp())
        laptop.add("two", otp=totp())

        assert outcome(bring(laptop, entry("three", totp()))) == (1, 0, 0, 0)

    def test_two_entries_with_one_secret_do_not_overwrite_each_other_in_one_account(self, laptop: Device) -> None:
        laptop.add("mine", otp=totp())

        made = bring(laptop, entry("one", totp(), ["aegis", "1"]), entry("two", totp(), ["aegis", "2"]))

        told = {label for row in made.skipped for label in [row["entry"]]}
        assert {"one", "two"} <= {*laptop.names(), *(label.removeprefix("entry ") for label in told)}

    def test_an_entry_of_our_own_export_is_the_account_it_came_from(self, laptop: Device) -> None:
        account = laptop.add("mine", otp=totp(b"old"))
        laptop.change(account, otp={"secret": b"new"})
        uuid = f"{account[:8]}-{account[8:12]}-{account[12:16]}-{account[16:20]}-{account[20:]}"

        made = bring(laptop, entry("mine", totp(b"new"), ["aegis", uuid]))

        assert made.unchanged == [bytes.fromhex(account)]

    def test_an_older_file_undoes_no_edit(self, laptop: Device) -> None:
        bring(laptop, entry("mail", totp(), ["aegis", "1"], note="n"))
        account = laptop.accounts.views()[0].account.hex()
        laptop.change(account, name="mine", note="", otp={"secret": b"renewed"})
        before = laptop.state()

        assert outcome(bring(laptop, entry("mail", totp(), ["aegis", "1"], note="n"))) == (0, 0, 1, 0)

        assert laptop.state() == before

    def test_a_newer_file_brings_what_is_new(self, laptop: Device) -> None:
        bring(laptop, entry("mail", totp(), ["aegis", "1"]))
        account = laptop.accounts.views()[0].account.hex()

        assert outcome(bring(laptop, entry("post", totp(b"2"), ["aegis", "1"]))) == (0, 1, 0, 0)

        assert laptop.values(account) == {"name": "post", "otp": totp(b"2")}

    def test_a_deleted_account_is_revived_and_told_as_added(self, laptop: Device) -> None:
        bring(laptop, entry("mail", totp(), ["aegis", "1"]))
        laptop.accounts.remove("mail")

        assert outcome(bring(laptop, entry("mail", totp(), ["aegis", "1"]))) == (1, 0, 0, 0)

        assert laptop.names() == ["mail"]
        assert len(laptop.accounts.views()) == 1


class TestCounters:
    @pytest.mark.parametrize(("brought", "kept"), [(3, 9), (9, 9), (20, 20)])
    def test_a_counter_is_only_raised(self, laptop: Device, brought: int, kept: int) -> None:
        bring(laptop, entry("bank", hotp(counter=9), ["aegis", "1"]))

        bring(laptop, entry("bank", hotp(counter=brought), ["aegis", "1"]))

        assert laptop.accounts.views()[0].counter == kept

    def test_a_revived_account_goes_on_where_it_was(self, laptop: Device) -> None:
        bring(laptop, entry("bank", hotp(), ["aegis", "1"]))
        for _ in range(4):
            laptop.accounts.code("bank", at=0, peek=False)
        laptop.accounts.remove("bank")

        bring(laptop, entry("bank", hotp(), ["aegis", "1"]))

        assert laptop.accounts.views()[0].counter == 4


class TestLeftOut:
    def test_an_entry_that_can_t_be_taken_is_named_and_stops_no_other(self, laptop: Device) -> None:
        bad = entry("bad", {"type": "totp"})

        made = bring(laptop, bad, entry("mail", totp()))

        assert outcome(made) == (1, 0, 0, 1)
        assert made.skipped[0]["entry"] == "entry bad"
        assert made.skipped[0]["reason"]

    def test_an_empty_file_deletes_nothing(self, laptop: Device) -> None:
        laptop.add("mail")

        assert outcome(bring(laptop)) == (0, 0, 0, 0)

        assert laptop.names() == ["mail"]


class TestPlaceholders:
    def events(self, device: Device) -> bytes:
        return b"".join(wire.encode(dict(event.values or {})) for event in device.replica.archive.log())

    def test_imported_placeholders_keep_their_secrets_here(self, laptop: Device) -> None:
        made = bring(laptop, entry("mail", totp(b"very local")), placeholder=True)

        assert outcome(made) == (1, 0, 0, 0)
        assert b"very local" not in self.events(laptop)
        assert laptop.accounts.otp(laptop.accounts.views()[0]) is not None

    def test_importing_on_the_other_device_sets_it_up_there(self, world: World, laptop: Device) -> None:
        phone = world.device("phone")
        for device in (laptop, phone):
            bring(device, entry("mail", totp(b"very local"), ["aegis", "1"]), placeholder=True)
            world.sync()

        assert phone.names() == ["mail"]
        assert phone.accounts.otp(phone.accounts.views()[0]) is not None
        assert b"very local" not in self.events(phone)

    def test_an_entry_with_a_placeholders_secret_stays_local(self, laptop: Device) -> None:
        bring(laptop, entry("mail", totp(b"very local")), placeholder=True)

        bring(laptop, entry("again", totp(b"very local"), ["aegis", "1"]))

        assert b"very local" not in self.events(laptop)

    def test_an_account_that_is_matched_by_id_takes_no_placeholders_secret(self, laptop: Device) -> None:
        bring(laptop, entry("mail", totp(b"backed up"), ["aegis", "1"]))
        bring(laptop, entry("kept here", totp(b"very local"), ["aegis", "2"]), placeholder=True)

        made = bring(laptop, entry("mail", totp(b"very local"), ["aegis", "1"]))

        assert b"very local" not in self.events(laptop)
        assert len(made.skipped) == 1

    def test_a_revived_account_takes_no_placeholders_secret(self, laptop: Device) -> None:
        bring(laptop, entry("mail", totp(b"backed up"), ["aegis", "1"]))
        laptop.accounts.remove("mail")
        for number in "23":
            bring(
                laptop, entry("kept here", totp(b"very local" + number.encode()), ["aegis", number]), placeholder=True
            )
        kept = [v.account.hex() for v in laptop.accounts.views() if not v.deleted]
        laptop.accounts.edit(kept[0], {}, {"secret": b"very local"}, placeholder=True)
        laptop.accounts.edit(kept[1], {}, {"secret": b"very local"}, placeholder=True)

        bring(laptop, entry("mail", totp(b"very local"), ["aegis", "1"]))

        assert b"very local" not in self.events(laptop)

    def test_what_was_backed_up_is_not_made_a_placeholder(self, laptop: Device) -> None:
        bring(laptop, entry("mail", totp(), ["aegis", "1"]))

        assert outcome(bring(laptop, entry("mail", totp(), ["aegis", "1"]), placeholder=True)) == (0, 0, 0, 1)


def test_secrets_are_not_in_its_repr(laptop: Device) -> None:
    made = bring(laptop, entry("mail", totp(b"very visible")), placeholder=True)

    assert "visible" not in repr(made)
