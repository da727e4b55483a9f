"""Aegis vault files: what is read, what is written, and what a hostile one can't do."""

from __future__ import annotations

import base64
import copy
import dataclasses
import hashlib
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_daemon.formats import aegis, aegis_crypto
from otpkeep_daemon.formats.entry import Parsed
from otpkeep_protocol.account import Account, Icon, Otp
from otpkeep_protocol.errors import Locked, Malformed, NotAuthentic, Refused, UnknownVersion, WrongPassphrase
from support_accounts import SECRET, accounts, totp

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXPORTS = Path(__file__).parents[2].parent / "shared/fixtures/exports"
real = pytest.mark.skipif(not EXPORTS.is_dir(), reason="the shared real exports are not beside this checkout")
ID = bytes(range(16))
MASTER = b"m" * 32
PASSWORD = "test-only"


def read(name: str, password: str = PASSWORD) -> Parsed:
    return aegis.read((FIXTURES / name).read_bytes(), lambda: password)


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / name).read_bytes())


def reread(outer: Any, password: str = PASSWORD) -> Parsed:
    return aegis.read(json.dumps(outer).encode(), lambda: password)


def seeded() -> Callable[[int], bytes]:
    """Distinct bytes at each call, the same in each run."""
    calls = iter(range(1_000_000))
    return lambda size: hashlib.shake_128(str(next(calls)).encode()).digest(size)


def one(**changes: object) -> Any:
    """A plain file of one entry; `info` is merged, other keys replace."""
    outer = fixture("aegis-plain.json")
    entry = outer["db"]["entries"][0]
    entry["info"] |= changes.pop("info", {})
    entry |= changes
    outer["db"]["entries"] = [entry]
    return outer


def test_plain_and_encrypted_hold_the_same_accounts() -> None:
    plain, encrypted = read("aegis-plain.json"), read("aegis-encrypted.json")

    assert (plain.format, encrypted.format) == ("aegis", "aegis-encrypted")
    assert plain.entries == encrypted.entries
    assert plain.skipped == encrypted.skipped


def test_every_part_of_an_entry_is_kept() -> None:
    entries = {entry.label: entry for entry in read("aegis-plain.json").entries}

    second = entries["entry 2"]
    assert second.identity == ("aegis", "0b5e0000-0000-4000-8000-000000000002")
    assert second.account == Account(
        "Beispiel GmbH",
        "anna@example.org",
        Otp.make("totp", SECRET, "SHA512", 8, 60),
        note="the second of two equal names\nwith two lines",
        tags=("Arbeit", "家族 👪"),
        favourite=True,
    )
    assert entries["entry 3"].account.otp == Otp.make("hotp", b"abcdefghijklmnop", "SHA256", 7, counter=41)
    assert entries["entry 4"].account.otp == Otp.make("steam", b"secret player")
    assert entries["entry 5"].account.otp == Otp.make("motp", bytes.fromhex("e3152afee62599c8"), pin="1234")
    assert entries["entry 6"].account.otp == Otp.make("yandex", b"abcdefghijklmnop", pin="5239")
    icon = entries["entry 7"].account.icon
    assert icon is not None
    assert icon.mime == "image/png"
    assert icon.data.startswith(b"\x89PNG")


def test_what_is_unknown_is_skipped_by_name() -> None:
    assert [(skip.entry, skip.reason) for skip in read("aegis-plain.json").skipped] == [
        ("entry 8", "unknown algorithm SHA3-256"),
        ("entry 9", "unknown type fido"),
        ("entry 10", "11 digits; from 4 to 10 are possible"),
        ("entry 11", "the secret is empty"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 1},
        {"issuer": "\ud800"},
        {"issuer": "a\0"},
        {"info": {"digits": "6"}},
        {"info": {"digits": True}},
        {"info": {"period": 1.5}},
        {"info": {"secret": None}},
        {"info": {"algo": None}},
        {"type": "motp", "info": {"algo": "MD5", "pin": None}},
        {"type": "steam", "info": {"digits": 6}},
        {"type": "hotp", "info": {"counter": -1}},
        {"type": "hotp"},
        {"type": []},
    ],
)
def test_a_broken_entry_is_skipped_and_quotes_no_secret(changes: dict[str, object]) -> None:
    parsed = reread(one(**copy.deepcopy(changes)))

    assert parsed.entries == ()
    assert [skip.entry for skip in parsed.skipped] == ["entry 1"]
    assert "JBSWY3DP" not in parsed.skipped[0].reason


def test_use_counts_are_no_edits_and_unknown_keys_are_named() -> None:
    used = reread(one(usage_count=7, last_used_timestamp=1_700_000_000))
    archived = reread(one(archived=True))

    assert used == reread(one())
    assert used.unmapped == ()
    assert archived.unmapped == ("archived",)


@pytest.mark.parametrize("icon", ["not base64!", 5, base64.b64encode(b"x" * 262_145).decode()])
def test_an_icon_that_cannot_be_kept_does_not_cost_the_account(icon: object) -> None:
    parsed = reread(one(icon=icon, icon_mime="image/png"))

    assert [entry.account.icon for entry in parsed.entries] == [None]
    assert parsed.unmapped == ("icons that are broken or too large",)


def test_a_repeated_uuid_does_not_merge_two_entries() -> None:
    outer = one()
    outer["db"]["entries"] *= 2

    identities = [entry.identity for entry in reread(outer).entries]

    assert identities == [("aegis", "0b5e0000-0000-4000-8000-000000000001"), None]


def test_a_uuid_in_capitals_is_the_same_identity() -> None:
    assert reread(one(uuid="0B5E0000-0000-4000-8000-000000000001")).entries == reread(one()).entries


@pytest.mark.parametrize("change", [{"version": 2}, {"version": "1"}, {"db": {"version": 4, "entries": []}}])
def test_a_newer_file_says_update(change: dict[str, object]) -> None:
    with pytest.raises(UnknownVersion):
        reread({**one(), **change})


def test_without_a_way_to_ask_an_encrypted_file_is_locked() -> None:
    with pytest.raises(Locked):
        aegis.read((FIXTURES / "aegis-encrypted.json").read_bytes(), None)


def test_a_plain_file_asks_for_no_password() -> None:
    assert aegis.read((FIXTURES / "aegis-plain.json").read_bytes(), None).entries


@pytest.mark.parametrize("password", ["wrong", "", "\udcff"])
def test_a_wrong_password_is_named_as_one(password: str) -> None:
    with pytest.raises(WrongPassphrase):
        read("aegis-encrypted.json", password)


def test_each_password_slot_opens_the_file() -> None:
    assert read("aegis-encrypted.json", "another password") == read("aegis-encrypted.json")


def test_only_biometric_slots_is_refused_with_what_to_do() -> None:
    outer = fixture("aegis-encrypted.json")
    outer["header"]["slots"] = [slot for slot in outer["header"]["slots"] if slot["type"] == 2]

    with pytest.raises(Refused) as caught:
        reread(outer)
    assert caught.value.hint


def test_a_changed_byte_is_not_authentic() -> None:
    outer = fixture("aegis-encrypted.json")
    sealed = bytearray(base64.b64decode(outer["db"]))
    sealed[100] ^= 1
    outer["db"] = base64.b64encode(sealed).decode()

    with pytest.raises(NotAuthentic):
        reread(outer)


@pytest.mark.parametrize(
    "costs",
    [
        {"n": 2**21},
        {"n": 2**15 + 1},
        {"n": 1},
        {"n": 0},
        {"n": -(2**15)},
        {"n": True},
        {"n": "32768"},
        {"n": 2**16, "r": 1},
        {"r": 33},
        {"r": 0},
        {"p": 17},
        {"n": 2**20, "r": 16},
        {"n": 2**18, "r": 32, "p": 16},
    ],
)
def test_scrypt_costs_beyond_bounds_are_refused_before_deriving(costs: dict[str, object]) -> None:
    outer = fixture("aegis-encrypted.json")
    outer["header"]["slots"][-1] |= costs

    with pytest.raises(Malformed):
        reread(outer)


def test_many_slots_cannot_stall_the_reader() -> None:
    outer = fixture("aegis-encrypted.json")
    outer["header"]["slots"] = [outer["header"]["slots"][1] | {"n": 2**15}] * 600

    with pytest.raises(Malformed, match="scrypt work"):
        reread(outer)


@pytest.mark.parametrize("key", ["key", "salt", "key_params"])
@pytest.mark.parametrize("value", [None, "", "zz", "ab", 5, {}])
def test_a_broken_slot_is_malformed(key: str, value: object) -> None:
    outer = fixture("aegis-encrypted.json")
    outer["header"]["slots"][-1][key] = value
    if (key, value) == ("salt", "ab"):
        with pytest.raises(WrongPassphrase):
            reread(outer)
        return

    with pytest.raises(Malformed):
        reread(outer)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"1", b'{"version": 1}', b"[" * 500_000, b'{"a":' * 500_000])
def test_what_is_no_aegis_file_is_malformed(data: bytes) -> None:
    with pytest.raises((Malformed, UnknownVersion)):
        aegis.read(data, None)


def fits_aegis(account: Account) -> bool:
    otp = account.otp
    return otp.algorithm not in {"SHA224", "SHA384"} and (otp.period or 1) <= 2_147_483


@given(st.lists(accounts.filter(fits_aegis), max_size=4))
def test_what_is_written_reads_back_equal(several: list[Account]) -> None:
    pairs = [(bytes([number]) * 16, account) for number, account in enumerate(several)]

    parsed = aegis.read(aegis.write_plain(pairs).data, None)

    found = {entry.identity: entry.account for entry in parsed.entries}
    assert (parsed.skipped, parsed.unmapped) == ((), ())
    assert found == {
        ("aegis", str(uuid.UUID(bytes=account_id))): dataclasses.replace(account, position=None)
        for account_id, account in pairs
    }


@given(accounts)
def test_what_aegis_cannot_hold_is_left_out_and_named(account: Account) -> None:
    written = aegis.write_plain([(ID, account)])

    kept = len(aegis.read(written.data, None).entries)
    assert kept == fits_aegis(account)
    assert [skip.entry for skip in written.left_out if skip.entry == ID.hex()] == [ID.hex()] * (1 - kept)


@pytest.mark.parametrize(
    ("otp", "kept"),
    [
        (Otp.make("totp", SECRET, period=2_147_483), 1),
        (Otp.make("totp", SECRET, period=2_147_484), 0),
        (Otp.make("totp", SECRET, "SHA224"), 0),
        (Otp.make("totp", SECRET, "SHA384"), 0),
        (Otp.make("yandex", b"x" * 16, pin="5239"), 1),
        (Otp.make("yandex", b"x" * 26, pin="5239"), 1),
        (Otp.make("yandex", b"x" * 15, pin="5239"), 0),
    ],
)
def test_one_entry_never_makes_aegis_reject_the_file(otp: Otp, kept: int) -> None:
    written = aegis.write_plain([(ID, Account("", "", otp))])

    assert len(json.loads(written.data)["db"]["entries"]) == kept
    assert len(written.left_out) == 1 - kept


def test_placeholders_foreign_icons_and_positions_are_named() -> None:
    hidden = dataclasses.replace(totp(), otp=Otp.push(), position=4)
    odd = dataclasses.replace(totp(), icon=Icon("image/webp", b"webp"), position=3)

    written = aegis.write_plain([(ID, hidden), (ID[::-1], odd)])

    assert [(skip.entry, skip.reason) for skip in written.left_out] == [
        (ID[::-1].hex(), "its icon: Aegis knows no such kind of picture"),
        (ID.hex(), "a placeholder has no secret to write"),
        ("position of 2", "Aegis keeps only the order of the entries"),
    ]


def test_entries_stand_in_the_order_in_which_accounts_are_shown() -> None:
    pairs = [
        (b"a" * 16, totp("Z")),
        (b"b" * 16, totp("A")),
        (b"c" * 16, dataclasses.replace(totp("Q"), position=1)),
    ]

    parsed = aegis.read(aegis.write_plain(pairs).data, None)

    assert [entry.account.issuer for entry in parsed.entries] == ["Q", "A", "Z"]


def test_an_encrypted_export_opens_with_its_password_alone() -> None:
    written = aegis.write_encrypted([(ID, totp())], "ein pässwort", seeded())

    parsed = aegis.read(written.data, lambda: "ein pa\u0308sswort")
    assert [entry.account for entry in parsed.entries] == [totp()]
    assert b"Beispiel" not in written.data
    with pytest.raises(WrongPassphrase):
        aegis.read(written.data, lambda: "ein passwort")


def test_an_encrypted_export_has_the_shape_that_aegis_documents() -> None:
    outer = json.loads(aegis.write_encrypted([(ID, totp())], "test-only", seeded()).data)

    slot = outer["header"]["slots"][0]
    assert {key: slot[key] for key in ("type", "n", "r", "p")} == {"type": 1, "n": 2**15, "r": 8, "p": 1}
    assert [len(bytes.fromhex(slot[key])) for key in ("key", "salt")] == [32, 32]
    for params in (slot["key_params"], outer["header"]["params"]):
        assert [len(bytes.fromhex(params[key])) for key in ("nonce", "tag")] == [12, 16]
    assert uuid.UUID(slot["uuid"]).version == 4


def test_the_own_vault_file_is_written_without_the_passphrase() -> None:
    slot = aegis_crypto.password_slot(MASTER, "test-only", seeded())

    first = aegis.write_with_master_key([(ID, totp())], MASTER, slot, seeded())
    other = aegis.write_with_master_key([(ID, totp("Later"))], MASTER, slot, lambda size: b"n" * size)

    assert {name: type(value) for name, value in slot.items()} == {
        "uuid": str,
        **dict.fromkeys(("key", "nonce", "tag", "salt"), bytes),
        **dict.fromkeys(("n", "r", "p"), int),
    }
    for written, issuer in ((first, "Beispiel"), (other, "Later")):
        parsed = aegis.read(written.data, lambda: "test-only")
        assert [(entry.account.issuer, entry.identity) for entry in parsed.entries] == [
            (issuer, ("aegis", str(uuid.UUID(bytes=ID))))
        ]


@real
@pytest.mark.parametrize("name", ["aegis_plain.json", "aegis_plain_grouped_v2.json", "aegis_encrypted.json"])
def test_a_real_export_is_read_whole(name: str) -> None:
    parsed = aegis.read((EXPORTS / name).read_bytes(), lambda: "test")

    assert (parsed.skipped, parsed.unmapped) == ((), ())
    assert [(e.account.issuer, e.account.otp.type, e.account.otp.digits) for e in parsed.entries] == [
        ("Deno", "totp", 6),
        ("SPDX", "totp", 7),
        ("Airbnb", "totp", 8),
        ("Issuu", "hotp", 6),
        ("Air Canada", "hotp", 7),
        ("WWE", "hotp", 8),
        ("Boeing", "steam", 5),
    ]


@real
def test_an_old_group_becomes_a_tag() -> None:
    parsed = aegis.read((EXPORTS / "aegis_plain_grouped_v2.json").read_bytes(), None)

    assert [entry.account.tags for entry in parsed.entries][:4] == [("group1",), (), ("group1",), ("group2",)]
