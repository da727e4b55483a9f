"""otpauth URIs as the world writes them, and as we do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given

from otpkeep_daemon.formats import otpauth
from otpkeep_daemon.formats.otpauth import parse_uri
from otpkeep_protocol.account import Account, Icon, Otp
from otpkeep_protocol.errors import Malformed
from support_accounts import SECRET, accounts, totp

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXPORTS = Path(__file__).parents[2].parent / "shared/fixtures/exports"
S = "secret=MZXW6YTBOI"
FOOBAR = b"foobar"
ID = bytes(range(16))


@given(accounts)
def test_what_is_written_reads_back_equal(account: Account) -> None:
    line = otpauth.write_uri(account)

    assert "\n" not in line
    assert parse_uri(line) == dataclasses.replace(account, icon=None)


@pytest.mark.parametrize(
    ("uri", "issuer", "name"),
    [
        (f"otpauth://totp/Acme:anna?{S}&issuer=Acme", "Acme", "anna"),
        (f"otpauth://totp/anna?{S}&issuer=Acme", "Acme", "anna"),
        (f"otpauth://totp/Acme:anna?{S}", "Acme", "anna"),
        (f"otpauth://totp/Acme:anna?{S}&issuer=", "Acme", "anna"),
        (f"otpauth://totp/Acme:anna?{S}&issuer=%20", "Acme", "anna"),
        (f"otpauth://totp/Other:anna?{S}&issuer=Acme", "Acme", "anna"),
        (f"otpauth://totp/Acme%3Aanna?{S}", "Acme", "anna"),
        (f"otpauth://totp/Big%20Corp%3A%20anna%40example.org?{S}", "Big Corp", "anna@example.org"),
        (f"otpauth://totp/Acme: anna?{S}", "Acme", "anna"),
        (f"otpauth://totp/A:B:anna?{S}&issuer=A:B", "A:B", "anna"),
        (f"otpauth://totp/A%3AB:anna?{S}", "A:B", "anna"),
        (f"otpauth://totp/A%3AB%3Aanna?{S}&issuer=A%3AB", "A:B", "anna"),
        (f"otpauth://totp/Acme:a:b?{S}", "Acme", "a:b"),
        (f"otpauth://totp/:a%3Ab?{S}", "", "a:b"),
        (f"otpauth://totp/anna?{S}", "", "anna"),
        (f"otpauth://totp/?{S}", "", ""),
        (f"otpauth://totp?{S}", "", ""),
        (f"otpauth://totp/C#:anna#1?{S}&issuer=C#", "C#", "anna#1"),
        (f"otpauth://totp/家族 👪:花子?{S}&issuer=家族%20👪", "家族 👪", "花子"),
        (f"OTPAUTH://TOTP/Acme:anna?{S.upper()}&ISSUER=Acme", "Acme", "anna"),
        (f"otpauth://totp/100%25:anna%?{S}", "100%", "anna%"),
        (f"otpauth://totp/Acme:a/b?{S}", "Acme", "a/b"),
    ],
)
def test_issuer_and_name_are_found(uri: str, issuer: str, name: str) -> None:
    account = parse_uri(uri)

    assert (account.issuer, account.name) == (issuer, name)
    assert account.otp.secret == FOOBAR


@pytest.mark.parametrize(
    ("uri", "issuer", "name"),
    [
        # A form sends a space as plus in the query, and only there.
        (f"otpauth://totp/Air%20Canada:a+b@c.org?{S}&issuer=Air+Canada", "Air Canada", "a+b@c.org"),
        # Here the label shows that the plus is one.
        (f"otpauth://totp/Disney+:anna?{S}&issuer=Disney+", "Disney+", "anna"),
        (f"otpauth://totp/Disney%2B:anna?{S}&issuer=Disney%2B", "Disney+", "anna"),
    ],
)
def test_a_plus_is_a_space_only_where_it_means_one(uri: str, issuer: str, name: str) -> None:
    account = parse_uri(uri)

    assert (account.issuer, account.name) == (issuer, name)


@pytest.mark.parametrize(
    "secret",
    ["MZXW6YTBOI", "mzxw6ytboi", "MZXW6YTBOI======", "mzxw 6ytb oi", "mzxw-6ytb-oi", "MZXW%206YTBOI%3D", "mzxw+6ytboi"],
)
def test_base32_is_read_as_people_type_it(secret: str) -> None:
    assert parse_uri(f"otpauth://totp/a?secret={secret}").otp.secret == FOOBAR


def test_base32_bits_that_fill_no_byte_are_dropped() -> None:
    assert parse_uri("otpauth://totp/a?secret=MZXW6YTBOIA").otp.secret == FOOBAR


@pytest.mark.parametrize(
    "uri",
    [
        "otpauth://steam/Steam:a?secret=MZXW6YTBOI&issuer=Steam",
        "otpauth://totp/Steam:a?secret=MZXW6YTBOI&issuer=Steam&encoder=steam&digits=5&period=30&algorithm=SHA1",
        "otpauth://totp/Steam:a?secret=MZXW6YTBOI&issuer=Steam&steam",
        "otpauth://totp/Steam:a?secret=MZXW6YTBOI&digits=6&encoder=Steam",
        "steam://MZXW6YTBOI",
    ],
)
def test_steam_is_known_in_all_its_spellings(uri: str) -> None:
    account = parse_uri(uri)

    assert account.issuer == "Steam"
    assert account.otp == Otp.make("steam", FOOBAR)


@pytest.mark.parametrize("pin", ["5239", "GUZDGOI", "guzdgoi%3D"])
def test_a_yandex_pin_is_read_plain_and_in_base32(pin: str) -> None:
    otp = parse_uri(f"otpauth://yaotp/a?secret=MFRGGZDFMZTWQ2LKNNWG23TPOA&pin={pin}").otp

    assert otp == Otp.make("yandex", b"abcdefghijklmnop", pin="5239")


def test_the_checksum_of_a_yandex_secret_is_dropped() -> None:
    whole = "6SB2IKNM6OBZPAVBVTOHDKS4FAAAAAAADFUTQMBTRY"

    account = parse_uri(f"otpauth://yaotp/a?secret={whole}&pin=5239")

    assert account == parse_uri(f"otpauth://yaotp/a?secret={whole[:26]}&pin=5239")


def test_motp_has_a_hexadecimal_secret_and_a_pin() -> None:
    account = parse_uri("motp://Altbau:vpn?secret=E3152afee62599c8&pin=0815")

    assert account == Account("Altbau", "vpn", Otp.make("motp", bytes.fromhex("e3152afee62599c8"), pin="0815"))


@pytest.mark.parametrize("word", ["sha256", "SHA-256", "HmacSHA256", "HMAC-SHA256", "SHA_256"])
def test_an_algorithm_is_known_however_it_is_spelt(word: str) -> None:
    assert parse_uri(f"otpauth://totp/a?{S}&algorithm={word}").otp.algorithm == "SHA256"


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        (f"otpauth://totp/a?{S}&algorithm=SHA3-256", "SHA3-256"),
        (f"otpauth://totp/a?{S}&algorithm=none", "none"),
        (f"otpauth://totp/a?{S}&digits=11", "11"),
        (f"otpauth://totp/a?{S}&digits=3", "3"),
        (f"otpauth://totp/a?{S}&digits=six", "six"),
        (f"otpauth://totp/a?{S}&period=0", "period"),
        (f"otpauth://totp/a?{S}&period=-30", "-30"),
        (f"otpauth://totp/a?{S}&encoder=fancy", "fancy"),
        (f"otpauth://fido/a?{S}", "fido"),
        (f"otpauth://hotp/a?{S}&counter=x", "counter"),
        (f"otpauth://steam/a?{S}&digits=8", "8"),
        (f"otpauth://steam/a?{S}&algorithm=SHA512", "SHA512"),
        (f"otpauth://yaotp/a?{S}", "PIN"),
        (f"motp://a?{S}", "hexadecimal"),
        ("motp://a?secret=abcd", "PIN"),
        ("otpauth://totp/a?secret=", "empty"),
        ("otpauth://totp/a?secret=====", "empty"),
        ("otpauth://totp/a?secret=M", "empty"),
        ("otpauth://totp/a", "empty"),
        ("otpauth://totp/a?secret=MZXW0189", "base32"),
        ("otpauth://totp/a?secret=MZXW6YTBO\u0131", "base32"),  # upper() makes it an I
        ("otpauth://totp/a?secret=MZXW6YTBOI&secret=MZXW6YTBOJ", "two secrets"),
        (f"otpauth://totp/%FF?{S}", "UTF-8"),
        (f"otpauth://totp/%00?{S}", "U+0000"),
        ("otpauth-migration://offline?data=abc", "migration"),
        ("https://example.org", "https"),
        ("MZXW6YTBOI", "not an otpauth"),
    ],
)
def test_what_is_unknown_is_refused_by_name(uri: str, named: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_uri(uri)

    assert named in caught.value.message
    assert "MZXW6" not in caught.value.message


def test_a_list_names_each_line_that_it_could_not_read() -> None:
    parsed = otpauth.read((FIXTURES / "otpauth.txt").read_bytes())

    assert [entry.label for entry in parsed.entries] == [f"line {number}" for number in range(3, 11)]
    assert [(skip.entry, skip.reason) for skip in parsed.skipped] == [
        ("line 11", "unknown algorithm SHA3-256"),
        ("line 12", "not an otpauth, motp or steam URI"),
        ("line 13", "the secret is empty"),
    ]
    assert all(entry.identity is None for entry in parsed.entries)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lists_from_any_editor_are_read(encoding: str, newline: str) -> None:
    text = newline.join(["# mine", "", f"  otpauth://totp/é:a?{S}", f"otpauth://totp/b?{S}", ""])
    data = text.encode(encoding)

    parsed = otpauth.read(data)

    assert otpauth.sniff(data)
    assert [entry.account.issuer for entry in parsed.entries] == ["é", ""]
    assert parsed.skipped == ()


def test_a_line_of_another_encoding_is_skipped_alone() -> None:
    data = f"otpauth://totp/ü?{S}\n".encode("latin-1") + f"otpauth://totp/b?{S}\n".encode()

    parsed = otpauth.read(data)

    assert [entry.label for entry in parsed.entries] == ["line 2"]
    assert [skip.entry for skip in parsed.skipped] == ["line 1"]


def test_what_a_uri_cannot_hold_is_named_as_left_out() -> None:
    account = dataclasses.replace(totp(), icon=Icon("image/png", b"png"))
    hidden = dataclasses.replace(totp(), otp=Otp.make("totp", SECRET).as_placeholder())

    written = otpauth.write([(ID, account), (ID[::-1], hidden)])

    assert written.data.count(b"\n") == 1
    assert [(skip.entry, skip.reason.split()[0]) for skip in written.left_out] == [
        (ID.hex(), "its"),
        (ID[::-1].hex(), "a"),
    ]


@pytest.mark.skipif(not EXPORTS.is_dir(), reason="the shared real exports are not beside this checkout")
def test_a_real_export_is_read_whole() -> None:
    parsed = otpauth.read((EXPORTS / "plain.txt").read_bytes())

    assert parsed.skipped == ()
    assert [(e.account.issuer, e.account.otp.type, e.account.otp.counter) for e in parsed.entries] == [
        ("Deno", "totp", None),
        ("SPDX", "totp", None),
        ("Airbnb", "totp", None),
        ("Issuu", "hotp", 1),
        ("Air Canada", "hotp", 50),
        ("WWE", "hotp", 10300),
        ("Boeing", "steam", None),
    ]
