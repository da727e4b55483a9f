"""Codes against published vectors, and against oathtool where it is installed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_protocol.account import Otp
from otpkeep_protocol.errors import Refused
from otpkeep_protocol.otp import code, window

SEED = b"1234567890"
SHA1_SEED = SEED * 2
SHA256_SEED = (SEED * 4)[:32]
SHA512_SEED = (SEED * 7)[:64]
OATHTOOL = shutil.which("oathtool")
MD5_SECRET = b"md5"
EVENLY_MANY = 200


def b32(text: str) -> bytes:
    return base64.b32decode(text + "=" * (-len(text) % 8))


@pytest.mark.parametrize(
    ("counter", "expected", "ten"),
    [
        (0, "755224", "1284755224"),
        (1, "287082", "1094287082"),
        (2, "359152", "0137359152"),
        (3, "969429", "1726969429"),
        (4, "338314", "1640338314"),
        (5, "254676", "0868254676"),
        (6, "287922", "1918287922"),
        (7, "162583", "0082162583"),
        (8, "399871", "0673399871"),
        (9, "520489", "0645520489"),
    ],
)
def test_hotp_gives_the_codes_of_rfc_4226_appendix_d(counter: int, expected: str, ten: str) -> None:
    otp = Otp.make("hotp", SHA1_SEED, counter=counter)

    assert code(otp, 0) == expected
    assert code(Otp.make("hotp", SHA1_SEED), 0, counter) == expected
    assert code(Otp.make("hotp", SHA1_SEED, digits=10), 0, counter) == ten
    assert code(Otp.make("hotp", SHA1_SEED, digits=4), 0, counter) == expected[-4:]


@pytest.mark.parametrize(
    ("at", "sha1", "sha256", "sha512"),
    [
        (59, "94287082", "46119246", "90693936"),
        (1111111109, "07081804", "68084774", "25091201"),
        (1111111111, "14050471", "67062674", "99943326"),
        (1234567890, "89005924", "91819424", "93441116"),
        (2000000000, "69279037", "90698825", "38618901"),
        (20000000000, "65353130", "77737706", "47863826"),
    ],
)
def test_totp_gives_the_codes_of_rfc_6238_appendix_b(at: int, sha1: str, sha256: str, sha512: str) -> None:
    assert code(Otp.make("totp", SHA1_SEED, "SHA1", 8), at) == sha1
    assert code(Otp.make("totp", SHA256_SEED, "SHA256", 8), at + 0.9) == sha256
    assert code(Otp.make("totp", SHA512_SEED, "SHA512", 8), at) == sha512


@pytest.mark.parametrize(
    ("secret", "at", "expected"),
    [
        # Made with the Steam application; published in KeePassXC's tests.
        (b32("63BEDWCQZKTQWPESARIERL5DTTQFCJTK"), 1511200518, "FR8RV"),
        (b32("63BEDWCQZKTQWPESARIERL5DTTQFCJTK"), 1511200714, "9P3VP"),
        (bytes(20), 0, "RYH4D"),
        (bytes(20), 30, "DR2DK"),
    ],
)
def test_steam_gives_its_published_codes(secret: bytes, at: int, expected: str) -> None:
    assert code(Otp.make("steam", secret), at) == expected


@pytest.mark.parametrize(
    ("secret", "pin", "at", "expected"),
    [
        ("e3152afee62599c8", "1234", 165892298, "e7d8b6"),
        ("e3152afee62599c8", "1234", 123456789, "4ebfb2"),
        ("bbb1912bb5c515be", "9999", 1659540022, "ced7b1"),
        ("bbb1912bb5c515be", "9999", 1659539878, "1a14f8"),
    ],
)
def test_motp_gives_its_published_codes(secret: str, pin: str, at: int, expected: str) -> None:
    assert code(Otp.make("motp", bytes.fromhex(secret), pin=pin), at) == expected


@pytest.mark.parametrize(
    ("secret", "pin", "at", "expected"),
    [
        ("6SB2IKNM6OBZPAVBVTOHDKS4FAAAAAAADFUTQMBTRY", "5239", 1641559648, "umozdicq"),
        ("LA2V6KMCGYMWWVEW64RNP3JA3IAAAAAAHTSG4HRZPI", "7586", 1581064020, "oactmacq"),
        ("LA2V6KMCGYMWWVEW64RNP3JA3IAAAAAAHTSG4HRZPI", "7586", 1581090810, "wemdwrix"),
        ("JBGSAU4G7IEZG6OY4UAXX62JU4AAAAAAHTSG4HXU3M", "5210481216086702", 1581091469, "dfrpywob"),
        ("JBGSAU4G7IEZG6OY4UAXX62JU4AAAAAAHTSG4HXU3M", "5210481216086702", 1581093059, "vunyprpd"),
    ],
)
def test_yandex_gives_its_published_codes(secret: str, pin: str, at: int, expected: str) -> None:
    assert code(Otp.make("yandex", b32(secret), pin=pin), at) == expected


def by_the_rfc(secret: bytes, algorithm: str, counter: int, digits: int) -> str:
    """RFC 4226 §5.3 written down a second time."""
    mac = hmac.digest(secret, counter.to_bytes(8, "big"), algorithm.lower())
    start = mac[-1] % 16
    number = (mac[start] % 128) * 2**24 + mac[start + 1] * 2**16 + mac[start + 2] * 2**8 + mac[start + 3]
    return f"{number:010d}"[-digits:]


@given(
    st.binary(min_size=1, max_size=200),
    st.sampled_from(["SHA1", "SHA224", "SHA256", "SHA384", "SHA512"]),
    st.integers(0, 2**53 - 1),
    st.integers(4, 10),
)
def test_every_hash_length_and_short_secret_follows_the_rfc(
    secret: bytes, algorithm: str, counter: int, digits: int
) -> None:
    assert code(Otp.make("hotp", secret, algorithm, digits), 0, counter) == by_the_rfc(
        secret, algorithm, counter, digits
    )


@pytest.mark.skipif(OATHTOOL is None, reason="oathtool is not installed")
@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512"])
@pytest.mark.parametrize("digits", [6, 7, 8])
def test_codes_agree_with_oathtool(algorithm: str, digits: int) -> None:
    secret = hashlib.sha256(f"{algorithm}{digits}".encode()).digest()[: digits + 3]
    for counter in (0, 1, 99_999, 2**31):
        command = ["oathtool", f"--totp={algorithm}", "-s", "1s", "-N", f"@{counter}", f"-d{digits}", secret.hex()]
        expected = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

        assert code(Otp.make("hotp", secret, algorithm, digits), 0, counter) == expected
        assert code(Otp.make("totp", secret, algorithm, digits, 45), counter * 45 + 44) == expected


def test_md5_gives_a_code_or_refuses_where_its_hash_is_too_short() -> None:
    refused = 0
    for counter in range(EVENLY_MANY):
        mac = hmac.digest(MD5_SECRET, counter.to_bytes(8, "big"), "md5")
        otp = Otp.make("hotp", MD5_SECRET, "MD5", 8)
        if mac[-1] % 16 > 12:
            refused += 1
            with pytest.raises(Refused):
                code(otp, 0, counter)
        else:
            assert code(otp, 0, counter) == by_the_rfc(MD5_SECRET, "MD5", counter, 8)
    assert 0 < refused < EVENLY_MANY


@given(st.integers(0, 2**40), st.integers(1, 2**31 - 1))
def test_a_code_lasts_exactly_its_window(at: int, period: int) -> None:
    otp = Otp.make("totp", SHA1_SEED, period=period)

    start, end = window(otp, at)

    assert start <= at < end == start + period
    assert code(otp, start) == code(otp, at) == code(otp, end - 1)
    assert window(otp, end) == (end, end + period)


@pytest.mark.parametrize("otp", [Otp.push(), Otp.make("totp", SHA1_SEED).as_placeholder()], ids=["push", "secret"])
def test_a_placeholder_has_no_code_and_says_where_it_is(otp: Otp) -> None:
    for ask in (code, window):
        with pytest.raises(Refused) as caught:
            ask(otp, 0)
        assert caught.value.hint


def test_hotp_has_no_window() -> None:
    with pytest.raises(Refused):
        window(Otp.make("hotp", SHA1_SEED), 0)


@pytest.mark.parametrize("kind", ["totp", "steam", "motp", "yandex"])
def test_before_1970_there_are_no_codes(kind: str) -> None:
    otp = Otp.make(kind, SHA1_SEED, pin="1234" if kind in {"motp", "yandex"} else None)

    with pytest.raises(Refused):
        code(otp, -1)
