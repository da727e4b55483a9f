"""What the admin key signs (SPEC §9)."""

from __future__ import annotations

from typing import Any

import pytest

from otpkeep_protocol.errors import NotAuthentic, Refused
from otpkeep_protocol.statements import check_admin, check_certificate, current, make_certificate, make_statement
from support_vault import keyring

DEVICE = b"d" * 32


class TestStatements:
    def test_a_signed_statement_holds_and_has_one_id(self) -> None:
        statement = make_statement(keyring(), "slot.set", {"slots": []})

        assert check_admin(statement, keyring()) == check_admin(statement, keyring().without_seed())

    @pytest.mark.parametrize(
        "change",
        [
            {"kind": "purge"},
            {"values": {}},
            {"supersedes": [bytes(32)]},
            {"signature": bytes(64)},
            {"epoch": bytes(16)},
        ],
    )
    def test_a_changed_one_does_not(self, change: dict[str, Any]) -> None:
        statement = make_statement(keyring(), "slot.set", {"slots": []}) | change

        with pytest.raises(NotAuthentic):
            check_admin(statement, keyring())

    def test_that_of_another_vault_does_not(self) -> None:
        with pytest.raises(NotAuthentic):
            check_admin(make_statement(keyring("another vault"), "slot.set", {}), keyring())

    def test_only_the_admin_signs(self) -> None:
        with pytest.raises(Refused):
            make_statement(keyring().without_seed(), "slot.set", {})

    def test_superseded_ones_are_in_order_however_they_are_given(self) -> None:
        ids = [b"b" * 32, b"a" * 32]

        assert make_statement(keyring(), "slot.set", {}, ids) == make_statement(keyring(), "slot.set", {}, ids[::-1])


class TestCurrent:
    def named(self, label: str, *supersedes: bytes) -> tuple[bytes, dict[str, Any]]:
        statement = make_statement(keyring(), "slot.set", {"label": label}, supersedes)
        return check_admin(statement, keyring()), statement

    def test_the_one_that_no_other_supersedes(self) -> None:
        first = self.named("first")
        second = self.named("second", first[0])
        third = self.named("third", first[0], second[0])

        assert current([third, first, second]) == current([first, third, second, first]) == [third[1]]

    def test_an_old_one_replayed_stays_superseded(self) -> None:
        first = self.named("first")
        second = self.named("second", first[0])

        assert current([second, first]) == [second[1]]

    def test_of_several_the_greatest_id_comes_first(self) -> None:
        made = [self.named(label) for label in "abc"]

        assert current(made) == current(made[::-1]) == [s for _, s in sorted(made, key=lambda m: m[0], reverse=True)]

    def test_one_supersedes_even_before_the_other_arrives(self) -> None:
        first = self.named("first")
        second = self.named("second", first[0])

        assert current([second]) == [second[1]]


class TestCertificates:
    def test_an_admitted_device_is_accepted(self) -> None:
        check_certificate(make_certificate(keyring(), DEVICE), DEVICE, keyring().without_seed())

    def test_it_is_good_for_that_device_only(self) -> None:
        with pytest.raises(NotAuthentic):
            check_certificate(make_certificate(keyring(), DEVICE), b"q" * 32, keyring())

    def test_that_of_another_vault_is_refused(self) -> None:
        epoch, signature = make_certificate(keyring("another vault"), DEVICE)
        for claimed in (epoch, keyring().newest.id):
            with pytest.raises(NotAuthentic):
                check_certificate([claimed, signature], DEVICE, keyring())

    def test_another_statement_is_no_certificate(self) -> None:
        statement = make_statement(keyring(), "device.revoke", {"device": DEVICE})

        with pytest.raises(NotAuthentic):
            check_certificate([statement["epoch"], statement["signature"]], DEVICE, keyring())
