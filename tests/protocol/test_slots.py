"""Slots and the recovery code (SPEC §9)."""

from __future__ import annotations

import unicodedata
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_protocol import keyring as keyrings
from otpkeep_protocol import slots
from otpkeep_protocol.errors import Malformed, NotAuthentic, OtpkeepError, UnknownVersion, WrongPassphrase
from otpkeep_protocol.sealing import SLOT, derive, encrypt, pad, prefix
from otpkeep_protocol.slots import Cost, code_text, open_slot, passphrase_slot, read_code, recovery_slot
from support_vault import keyring

CHEAP = Cost(19_456, 2, 1)
CODE = bytes(range(20))
SALT = b"s" * 32
PASSPHRASE = "Grüße sechs Wörter"


@cache
def slot() -> bytes:
    return passphrase_slot(keyring(), PASSPHRASE, SALT, CHEAP)


def with_cost(memory: int, passes: int, lanes: int) -> bytes:
    return slot()[:110] + memory.to_bytes(4, "big") + passes.to_bytes(4, "big") + bytes([lanes]) + slot()[119:]


class TestOpening:
    def test_its_passphrase_opens_it(self) -> None:
        assert open_slot(slot(), passphrase=PASSPHRASE) == keyring()

    def test_one_passphrase_in_two_unicode_forms_is_one(self) -> None:
        assert open_slot(slot(), passphrase=unicodedata.normalize("NFD", PASSPHRASE)) == keyring()

    def test_its_code_opens_it(self) -> None:
        assert open_slot(recovery_slot(keyring(), CODE, SALT), code=CODE) == keyring()

    def test_a_wrong_passphrase_or_code_is_told_from_damage(self) -> None:
        with pytest.raises(WrongPassphrase):
            open_slot(slot(), passphrase="other")
        with pytest.raises(WrongPassphrase):
            open_slot(recovery_slot(keyring(), CODE, SALT), code=bytes(20))

    def test_a_slot_for_another_way_does_not_fit(self) -> None:
        with pytest.raises(WrongPassphrase):
            open_slot(slot(), code=CODE)
        with pytest.raises(WrongPassphrase):
            open_slot(recovery_slot(keyring(), CODE, SALT), passphrase=PASSPHRASE)

    def test_a_keyring_of_another_vault_in_it_is_refused(self) -> None:
        keys = derive(CODE, SALT, b"otpkeep/v1/slot" + keyring().vault, 64)
        header = prefix(SLOT, keyring().vault, keyring().newest.id) + SALT + keys[32:] + b"\2" + bytes(9)
        content = keyrings.encode(keyring("another vault"))
        forged = header + encrypt(keys[:32], header, pad(content))

        with pytest.raises((Malformed, NotAuthentic)):
            open_slot(forged, code=CODE)


class TestDamage:
    def test_every_flipped_byte_of_a_recovery_slot_is_refused(self) -> None:
        data = recovery_slot(keyring(), CODE, SALT)
        for at in range(len(data)):
            with pytest.raises(OtpkeepError):
                open_slot(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], code=CODE)

    def test_every_truncation_is_refused(self) -> None:
        data = recovery_slot(keyring(), CODE, SALT)
        for length in range(len(data)):
            with pytest.raises(OtpkeepError):
                open_slot(data[:length], code=CODE)

    def test_damage_behind_the_commitment_is_no_wrong_passphrase(self) -> None:
        data = recovery_slot(keyring(), CODE, SALT)

        with pytest.raises(NotAuthentic):
            open_slot(data[:-1] + bytes([data[-1] ^ 1]), code=CODE)

    def test_a_newer_slot_says_update(self) -> None:
        with pytest.raises(UnknownVersion):
            open_slot(slot()[:8] + b"\2" + slot()[9:], passphrase=PASSPHRASE)

    def test_the_kind_can_be_read_without_any_key(self) -> None:
        assert slots.slot_kind(slot()) == slots.PASSPHRASE
        assert slots.slot_kind(recovery_slot(keyring(), CODE, SALT)) == slots.RECOVERY
        with pytest.raises(Malformed):
            slots.slot_kind(slot()[:109] + b"\3" + slot()[110:])


class TestCost:
    @pytest.mark.parametrize(
        "cost",
        [(19_455, 2, 1), (19_456, 1, 1), (19_456, 2, 0), (0, 0, 0)],
        ids=["memory", "passes", "lanes", "none"],
    )
    def test_below_the_floor_is_refused_before_deriving(self, cost: tuple[int, int, int]) -> None:
        with pytest.raises(Malformed, match="weaker"):
            open_slot(with_cost(*cost), passphrase=PASSPHRASE)

    @pytest.mark.parametrize(
        "cost",
        [(1_048_577, 2, 1), (19_456, 17, 1), (19_456, 2, 5), (2**32 - 1, 2**32 - 1, 255)],
        ids=["memory", "passes", "lanes", "bomb"],
    )
    def test_above_the_ceiling_is_refused_before_deriving(self, cost: tuple[int, int, int]) -> None:
        with pytest.raises(Malformed, match="exhaust"):
            open_slot(with_cost(*cost), passphrase=PASSPHRASE)

    def test_lowered_parameters_do_not_open_it(self) -> None:
        with pytest.raises(OtpkeepError):
            open_slot(with_cost(19_456, 3, 1), passphrase=PASSPHRASE)

    def test_a_slot_that_none_would_open_is_not_written(self) -> None:
        with pytest.raises(Malformed):
            passphrase_slot(keyring(), PASSPHRASE, SALT, Cost(1024, 1, 1))

    def test_a_recovery_slot_has_no_cost(self) -> None:
        data = recovery_slot(keyring(), CODE, SALT)

        with pytest.raises(Malformed):
            open_slot(data[:113] + b"\1" + data[114:], code=CODE)


class TestCode:
    @given(st.binary(min_size=20, max_size=20))
    def test_a_code_survives_paper(self, code: bytes) -> None:
        text = code_text(code)

        assert [len(group) for group in text.split("-")] == [5] * 8
        assert read_code(text) == code

    def test_case_spaces_dashes_and_look_alikes_do_not_matter(self) -> None:
        code = bytes(16) + bytes([0x08, 0x42, 0x10, 0x84])
        text = code_text(code)

        for written in (
            text.lower(),
            text.replace("-", " \n"),
            text.replace("0", "O").replace("1", "l"),
            text.replace("1", "I"),
        ):
            assert read_code(written) == code

    @given(st.binary(min_size=20, max_size=20), st.integers(0, 7), st.integers(0, 3), st.integers(1, 31))
    def test_a_slip_is_named_by_its_group_or_rarely_fits_its_check(
        self, code: bytes, group: int, at: int, by: int
    ) -> None:
        text, place = code_text(code), group * 6 + at
        slip = slots.ALPHABET[(slots.ALPHABET.index(text[place]) + by) % 32]
        typed = text[:place] + slip + text[place + 1 :]
        try:
            read = read_code(typed)
        except WrongPassphrase as error:
            told = error.message
        else:
            assert read != code
            return

        assert f"group {group + 1} " in told

    def test_most_slips_are_found(self) -> None:
        text = code_text(CODE)
        found = 0
        for place in (0, 6, 12, 18, 24, 30, 36, 42):
            for digit in set(slots.ALPHABET) - {text[place]}:
                try:
                    read_code(text[:place] + digit + text[place + 1 :])
                except WrongPassphrase:
                    found += 1

        assert found > 8 * 31 * 0.9

    def test_swapped_groups_are_found(self) -> None:
        groups = code_text(CODE).split("-")

        with pytest.raises(WrongPassphrase, match=r"group [12] "):
            read_code("-".join([groups[1], groups[0], *groups[2:]]))

    @pytest.mark.parametrize("typed", ["", "ABC", "0" * 39, "0" * 41])
    def test_a_code_of_another_length_says_so(self, typed: str) -> None:
        with pytest.raises(WrongPassphrase, match=f"this one has {len(typed)} characters"):
            read_code(typed)

    @pytest.mark.parametrize("digit", ["U", "?", "é", "ß"])
    def test_characters_that_no_code_has_are_a_slip(self, digit: str) -> None:
        text = code_text(CODE)

        with pytest.raises(WrongPassphrase):
            read_code(digit + text[1:])
