"""SPEC §5: what an account may hold, and that nothing else gets through."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_protocol.account import Account, Otp, check_field, counter_key
from otpkeep_protocol.errors import Malformed
from support_accounts import SECRET, accounts, otps, totp

TOTP: Mapping[str, object] = Otp.make("totp", SECRET).to_wire()
HOTP: Mapping[str, object] = Otp.make("hotp", SECRET).to_wire()
STEAM: Mapping[str, object] = Otp.make("steam", SECRET).to_wire()
MOTP: Mapping[str, object] = Otp.make("motp", SECRET, pin="1234").to_wire()
YANDEX: Mapping[str, object] = Otp.make("yandex", SECRET, pin="5239").to_wire()
HIDDEN: Mapping[str, object] = Otp.make("totp", SECRET).as_placeholder().to_wire()


def without(fields: Mapping[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name != key}


@given(otps)
def test_any_otp_survives_the_wire(otp: Otp) -> None:
    assert Otp.from_wire(otp.to_wire()) == otp
    hidden = otp.as_placeholder()
    assert Otp.from_wire(hidden.to_wire()) == hidden


@given(accounts)
def test_any_account_survives_its_fields(account: Account) -> None:
    assert Account.from_fields(account.to_fields()) == account


@pytest.mark.parametrize(
    ("kind", "algorithm", "digits", "period"),
    [
        ("totp", "SHA1", 6, 30),
        ("hotp", "SHA1", 6, None),
        ("steam", "SHA1", 5, 30),
        ("motp", "MD5", 6, 10),
        ("yandex", "SHA256", 8, 30),
    ],
)
def test_missing_parameters_are_those_the_type_has(kind: str, algorithm: str, digits: int, period: int | None) -> None:
    otp = Otp.make(kind, SECRET, pin="1234" if kind in {"motp", "yandex"} else None)

    assert (otp.algorithm, otp.digits, otp.period) == (algorithm, digits, period)


def test_counter_key_is_the_one_of_the_specification() -> None:
    expected = hashlib.sha256(b"otpkeep/v1/counter" + SECRET).digest()[:16]

    assert counter_key(SECRET) == expected
    assert Otp.make("hotp", SECRET).counter_key == expected
    assert Otp.make("hotp", SECRET, counter_key=b"r" * 16).counter_key == b"r" * 16


BAD_OTPS: list[object] = [
    [],
    {},
    {**TOTP, "type": "TOTP"},
    {**TOTP, "type": ["totp"]},
    {**TOTP, "secret": b""},
    {**TOTP, "secret": b"x" * 1025},
    {**TOTP, "secret": "text"},
    {**TOTP, "algorithm": "SHA3-256"},
    {**TOTP, "algorithm": "sha1"},
    {**TOTP, "algorithm": None},
    {**TOTP, "digits": 3},
    {**TOTP, "digits": 11},
    {**TOTP, "digits": True},
    {**TOTP, "digits": 6.0},
    {**TOTP, "period": 0},
    {**TOTP, "period": 2**31},
    {**TOTP, "counter": 0},
    {**TOTP, "pin": "1234"},
    {**TOTP, "more": 1},
    without(TOTP, "period"),
    without(TOTP, "secret"),
    {**HOTP, "period": 30},
    {**HOTP, "counter": -1},
    {**HOTP, "counter": 2**53},
    {**HOTP, "counter_key": b"short"},
    without(HOTP, "counter_key"),
    {**STEAM, "digits": 6},
    {**STEAM, "algorithm": "SHA256"},
    {**MOTP, "pin": ""},
    {**MOTP, "pin": "a\0b"},
    {**MOTP, "algorithm": "SHA1"},
    without(MOTP, "pin"),
    {**YANDEX, "pin": "x" * 257},
    {**YANDEX, "digits": 6},
    {**HIDDEN, "secret": b"x"},
    {**HIDDEN, "placeholder": "other"},
    {**HIDDEN, "placeholder": None},
    {**without(HOTP, "secret"), "placeholder": "secret"},
    {"placeholder": "push", "type": "totp"},
]


@pytest.mark.parametrize("wire", BAD_OTPS, ids=range(len(BAD_OTPS)))
def test_an_otp_that_breaks_a_rule_is_malformed(wire: object) -> None:
    with pytest.raises(Malformed):
        Otp.from_wire(wire)
    with pytest.raises(Malformed):
        check_field("otp", wire)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("issuer", 1),
        ("issuer", "a\0"),
        ("issuer", "\ud800"),
        ("issuer", "é" * 2049),
        ("name", b"bytes"),
        ("note", "x" * 65_537),
        ("tags", "text"),
        ("tags", ["b", "a"]),
        ("tags", ["a", "a"]),
        ("tags", [""]),
        ("tags", ["x" * 257]),
        ("tags", [f"{number:03}" for number in range(257)]),
        ("favourite", 1),
        ("position", -1),
        ("position", True),
        ("icon", {"mime": "image/png"}),
        ("icon", {"mime": "x" * 257, "data": b""}),
        ("icon", {"mime": "image/png", "data": b"x" * 262_145}),
        ("icon", {"mime": "image/png", "data": "text"}),
    ],
)
def test_a_known_field_with_a_forbidden_value_is_malformed(field: str, value: object) -> None:
    with pytest.raises(Malformed):
        check_field(field, value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("issuer", "é" * 2048),
        ("note", "x" * 65_536),
        ("tags", ["Z", "a", "é", "家", "👪"]),
        ("tags", []),
        ("icon", {"mime": "", "data": b"x" * 262_144}),
        ("position", 0),
        ("policy", {"anything": [1]}),
        ("push", b"opaque"),
        ("field of the future", 1.5),
    ],
)
def test_the_largest_allowed_and_the_unknown_pass(field: str, value: object) -> None:
    check_field(field, value)


@pytest.mark.parametrize("field", ["otp", "issuer", "name", "note", "tags", "favourite", "position", "icon"])
def test_any_field_may_be_unset(field: str) -> None:
    check_field(field, None)


def test_tags_ascend_by_bytes_beyond_the_basic_plane() -> None:
    # In UTF-16 order the second would come first.
    check_field("tags", ["\uffee", "\U0001f46a"])


def test_unset_fields_read_as_empty() -> None:
    account = Account.from_fields({"otp": TOTP, "issuer": None, "tags": None, "favourite": None, "new": 1})

    assert account == Account("", "", Otp.make("totp", SECRET))
    assert account.to_fields() == {"otp": TOTP}


def test_an_account_without_otp_is_malformed() -> None:
    with pytest.raises(Malformed):
        Account.from_fields({"issuer": "Beispiel"})


def test_counters_do_not_count_as_a_change() -> None:
    here = Otp.make("hotp", SECRET, counter=1)
    there = Otp.make("hotp", SECRET, counter=9, counter_key=b"r" * 16)

    assert here != there
    assert here.comparable() == there.comparable()
    assert here.comparable() != Otp.make("hotp", SECRET, digits=8).comparable()


def test_a_placeholder_carries_nothing_secret() -> None:
    wire = Otp.make("hotp", SECRET, counter=5).as_placeholder().to_wire()

    assert wire == {"placeholder": "secret", "type": "hotp", "algorithm": "SHA1", "digits": 6}
    assert Otp.push().as_placeholder().to_wire() == {"placeholder": "push"}


def test_reprs_reveal_nothing() -> None:
    shown = repr(totp("Geheimbank", "heimlich", b"sesam"))

    assert not any(word in shown for word in ("Geheimbank", "heimlich", "sesam"))


@given(st.sampled_from(["secret", "pin", "algorithm", "type"]))
def test_errors_do_not_quote_values(key: str) -> None:
    with pytest.raises(Malformed) as caught:
        Otp.from_wire({**MOTP, key: "hunter2\0"})

    assert "hunter2" not in caught.value.message + caught.value.hint
