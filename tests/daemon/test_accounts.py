"""The use cases of accounts over a real replica."""

from __future__ import annotations

from typing import Any

import pytest

from otpkeep_protocol import wire
from otpkeep_protocol.account import Otp
from otpkeep_protocol.errors import Ambiguous, Malformed, NotFound, Refused, Usage
from otpkeep_protocol.otp import code
from support_vault import SECRET, Device, World, deliver, edit, hotp, totp

RFC_4226 = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]


def show_code(device: Device, account: str, *, peek: bool = False, at: float = 0) -> dict[str, Any]:
    return device.accounts.code(account, at=at, peek=peek)


def placeholder(device: Device, otp: dict[str, Any], name: str = "kept here") -> str:
    return device.accounts.add({"name": name, "otp": otp}, placeholder=True)[0].hex()


class TestFinding:
    def test_by_id_and_by_its_first_digits(self, laptop: Device) -> None:
        account = laptop.add("mail")

        for text in (account, account[:6], account[:7].upper()):
            assert laptop.accounts.find(text).account.hex() == account

    @pytest.mark.parametrize("text", ["mail", "MAIL", "post:mail", "post mail", " Post   Mail ", "pos", "st:ma"])
    def test_by_words_of_issuer_and_name(self, laptop: Device, text: str) -> None:
        account = laptop.add("mail", issuer="Post")
        laptop.add("other", issuer="Bank")

        assert laptop.accounts.find(text).account.hex() == account

    def test_a_whole_name_beats_a_part_of_another(self, laptop: Device) -> None:
        account = laptop.add("mail")
        laptop.add("mailbox")

        assert laptop.accounts.find("mail").account.hex() == account

    def test_words_that_fit_several_name_no_one(self, laptop: Device) -> None:
        laptop.add("mail", issuer="visible one")
        laptop.add("mail", issuer="visible two")

        with pytest.raises(Ambiguous) as raised:
            laptop.accounts.find("mail")

        assert "visible" not in raised.value.message
        assert {c["issuer"] for c in raised.value.data["candidates"]} == {"visible one", "visible two"}

    @pytest.mark.parametrize("text", ["", "  ", "nobody", "abcde"])
    def test_words_that_fit_none(self, laptop: Device, text: str) -> None:
        laptop.add("mail")

        with pytest.raises(NotFound):
            laptop.accounts.find(text)

    def test_a_deleted_account_is_said_to_be_deleted(self, laptop: Device) -> None:
        account = laptop.add("mail")
        laptop.accounts.remove(account)

        with pytest.raises(NotFound, match="deleted"):
            laptop.accounts.find(account)


class TestAdding:
    def test_empty_fields_are_not_written(self, laptop: Device) -> None:
        account, event = laptop.accounts.add({"otp": totp(), "name": "x", "issuer": "", "tags": []}, placeholder=False)

        assert event.fields == ("name", "otp")
        assert laptop.values(account.hex()) == {"name": "x", "otp": totp()}

    def test_an_account_needs_a_secret(self, laptop: Device) -> None:
        with pytest.raises(Usage):
            laptop.accounts.add({"name": "x"}, placeholder=False)

    def test_a_forbidden_value_adds_nothing(self, laptop: Device) -> None:
        with pytest.raises(Malformed):
            laptop.accounts.add({"otp": totp(), "name": "\0"}, placeholder=False)

        assert laptop.names() == []


class TestEditing:
    def test_what_is_so_already_makes_no_event(self, laptop: Device) -> None:
        account = laptop.add("mail", note="n")

        assert laptop.change(account, name="mail", note="n") is None
        assert laptop.change(account, otp={"digits": 6}) is None

    def test_only_changed_fields_are_written(self, laptop: Device) -> None:
        account = laptop.add("mail", note="n")

        event = laptop.change(account, name="mail", note="other")

        assert event is not None
        assert event.fields == ("note",)

    def test_an_empty_value_unsets(self, laptop: Device) -> None:
        account = laptop.add("mail", note="n", tags=["a"])

        laptop.change(account, note="", tags=[])

        assert laptop.values(account).keys() == {"name", "otp"}

    def test_choosing_the_winner_of_a_conflict_settles_it(self, world: World, laptop: Device) -> None:
        phone = world.device("phone")
        account = laptop.add("mail")
        world.sync()
        laptop.change(account, name="one")
        phone.change(account, name="other")
        world.sync()
        winner = laptop.values(account)["name"]

        assert laptop.change(account, name=winner) is not None

        assert laptop.accounts.view(bytes.fromhex(account)).conflicts == {}

    def test_arranging_does_not_give_life(self, laptop: Device) -> None:
        account = laptop.add("mail")

        event = laptop.change(account, position=3, favourite=True)

        assert event is not None
        assert event.alive is None

    def test_a_new_secret_keeps_the_rest(self, laptop: Device) -> None:
        account = laptop.add("mail", otp=totp(digits=8, period=60))

        laptop.change(account, otp={"secret": b"renewed"})

        assert laptop.values(account)["otp"] == totp(b"renewed", digits=8, period=60)

    def test_another_type_takes_its_own_parameters(self, laptop: Device) -> None:
        account = laptop.add("mail", otp=totp(digits=8))

        laptop.change(account, otp={"type": "steam"})

        assert laptop.values(account)["otp"] == Otp.make("steam", SECRET).to_wire()

    def test_the_secret_stays_in_the_history_of_a_deleted_account(self, laptop: Device) -> None:
        account = laptop.add("mail")
        secret = laptop.values(account)["otp"]
        laptop.accounts.remove(account)

        assert laptop.values(account)["otp"] == secret
        laptop.commit(edit(bytes.fromhex(account)))
        assert laptop.names() == ["mail"]


class TestCounters:
    def test_each_use_shows_the_next_code(self, laptop: Device) -> None:
        account = laptop.add("bank", otp=hotp())

        assert [show_code(laptop, account)["code"] for _ in range(10)] == RFC_4226

    def test_a_use_is_durable_before_its_code_is_shown(self, laptop: Device) -> None:
        account = laptop.add("bank", otp=hotp())
        shown = show_code(laptop, account)

        laptop.restart()

        assert shown["counter"] == 0
        assert show_code(laptop, account)["counter"] == 1

    def test_a_peek_uses_nothing(self, laptop: Device) -> None:
        account = laptop.add("bank", otp=hotp())

        assert [show_code(laptop, account, peek=True)["counter"] for _ in range(3)] == [0, 0, 0]

    def test_uses_on_two_devices_lead_to_the_greater(self, world: World, laptop: Device) -> None:
        phone = world.device("phone")
        account = laptop.add("bank", otp=hotp())
        world.sync()
        for device, times in ((laptop, 2), (phone, 5)):
            for _ in range(times):
                show_code(device, account)

        world.sync()

        assert show_code(laptop, account)["counter"] == 5
        assert show_code(phone, account, peek=True)["counter"] == 5

    def test_changed_digits_keep_the_counter(self, laptop: Device) -> None:
        account = laptop.add("bank", otp=hotp(counter=7))
        show_code(laptop, account)

        laptop.change(account, otp={"digits": 8})

        assert show_code(laptop, account)["counter"] == 8

    def test_a_raised_counter_is_kept(self, laptop: Device) -> None:
        account = laptop.add("bank", otp=hotp(counter=7))

        laptop.change(account, otp={"counter": 20})

        assert show_code(laptop, account)["counter"] == 20

    def test_a_counter_is_lowered_on_purpose_only_under_a_new_key(self, world: World, laptop: Device) -> None:
        phone = world.device("phone")
        account = laptop.add("bank", otp=hotp(counter=7))
        world.sync()

        laptop.change(account, otp={"counter": 2})
        world.sync()

        assert show_code(phone, account)["counter"] == 2
        assert laptop.values(account)["otp"]["counter_key"] != hotp()["counter_key"]

    def test_a_new_secret_starts_at_nought(self, laptop: Device) -> None:
        account = laptop.add("bank", otp=hotp(counter=7))

        laptop.change(account, otp={"secret": b"renewed"})

        assert show_code(laptop, account)["counter"] == 0

    def test_only_hotp_has_a_counter(self, laptop: Device) -> None:
        account = laptop.add("mail")

        with pytest.raises(Malformed):
            laptop.change(account, otp={"counter": 3})


class TestCodes:
    def test_a_timed_code_says_how_long_it_holds(self, laptop: Device) -> None:
        account = laptop.add("mail", otp=totp())

        row = show_code(laptop, account, at=59)

        assert row["code"] == code(Otp.make("totp", SECRET), 59)
        assert (row["valid_from"], row["valid_until"]) == ("1970-01-01T00:00:30.000Z", "1970-01-01T00:01:00.000Z")

    def test_an_account_of_which_only_an_edit_arrived_has_no_code_yet(self, world: World, laptop: Device) -> None:
        phone = world.device("phone")
        account = laptop.add("mail")
        laptop.change(account, name="post")
        laptop.run()
        deliver(laptop, phone, [name for name in laptop.own_files() if name != laptop.own_files()[1]])
        phone.run()
        assert phone.names() == ["post"]

        with pytest.raises(Refused) as raised:
            show_code(phone, account)

        assert "never left" not in raised.value.message


class TestPlaceholders:
    def test_its_secret_is_in_no_event_and_no_file(self, laptop: Device) -> None:
        account = placeholder(laptop, totp(b"a very local secret"))

        assert "secret" not in laptop.values(account)["otp"]
        for event in laptop.replica.archive.log():
            assert b"a very local secret" not in wire.encode(dict(event.values or {}))

    def test_it_makes_codes_here_after_a_restart(self, laptop: Device) -> None:
        account = placeholder(laptop, totp())
        laptop.restart()

        assert show_code(laptop, account)["code"] == code(Otp.make("totp", SECRET), 0)

    def test_on_another_device_it_must_be_set_up_again(self, world: World, laptop: Device) -> None:
        phone = world.device("phone")
        account = placeholder(laptop, totp())
        world.sync()

        with pytest.raises(Refused, match="set up again"):
            show_code(phone, account)
        phone.accounts.edit(account, {}, {"secret": b"phone's own"}, placeholder=False)

        assert show_code(phone, account)["code"] == code(Otp.make("totp", b"phone's own"), 0)
        world.sync()
        assert show_code(laptop, account)["code"] == code(Otp.make("totp", SECRET), 0)

    def test_its_counter_stays_local_and_counts(self, laptop: Device) -> None:
        account = placeholder(laptop, hotp())
        events = len(laptop.held())

        assert [show_code(laptop, account)["code"] for _ in range(3)] == RFC_4226[:3]
        assert len(laptop.held()) == events

    def test_its_secret_can_t_be_added_or_edited_into_an_event(self, laptop: Device) -> None:
        placeholder(laptop, totp(b"local"))
        other = laptop.add("mail")

        with pytest.raises(Refused) as raised:
            laptop.add("bank", otp=totp(b"local"))
        assert "local" not in repr(raised.value.message.encode())
        with pytest.raises(Refused):
            laptop.change(other, otp={"secret": b"local"})

        assert laptop.names() == ["kept here", "mail"]

    def test_a_masked_row_shows_no_secret(self, laptop: Device) -> None:
        laptop.add("mail", otp=totp(b"very visible"))
        placeholder(laptop, totp(b"very visible too"))
        rows = laptop.accounts.rows(tag=None, deleted=False, secrets=False)
        shown = laptop.accounts.show("mail", secrets=False)

        for text in (repr(rows), repr(shown)):
            assert "visible" not in text
            assert "OZSXE6" not in text  # the secret in base32


class TestListing:
    def test_by_tag_living_or_deleted(self, laptop: Device) -> None:
        laptop.add("work", tags=["job"])
        laptop.add("home")
        gone = laptop.add("gone", tags=["job"])
        laptop.accounts.remove(gone)

        def names(**asked: Any) -> list[str]:
            return [
                row["name"]
                for row in laptop.accounts.rows(**({"tag": None, "deleted": False, "secrets": False} | asked))
            ]

        assert names() == ["home", "work"]
        assert names(tag="job") == ["work"]
        assert names(deleted=True) == ["gone"]

    def test_show_tells_the_history_newest_first_with_old_and_new(self, laptop: Device) -> None:
        account = laptop.add("mail")
        laptop.change(account, name="post")

        history = laptop.accounts.show(account, secrets=False)["history"]

        assert [row["changes"].get("name") for row in history] == [["mail", "post"], [None, "mail"]]
