"""The registry finds a format by content, and no bytes bring it down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otpkeep_daemon.formats import registry
from otpkeep_daemon.formats.entry import Parsed
from otpkeep_protocol.errors import Locked, Malformed, NotFound, OtpkeepError
from support_accounts import totp

FIXTURES = Path(__file__).parents[1] / "fixtures"
NAMES = {"aegis-plain.json": "aegis", "aegis-encrypted.json": "aegis-encrypted", "otpauth.txt": "otpauth"}
PLAIN = (FIXTURES / "aegis-plain.json").read_bytes()
ENCRYPTED = (FIXTURES / "aegis-encrypted.json").read_bytes()
LIST = (FIXTURES / "otpauth.txt").read_bytes()
ID = bytes(16)


def zeros(size: int) -> bytes:
    return bytes(size)


def outcome(data: bytes, name: str | None = None) -> Parsed | OtpkeepError:
    """What reading gives; any exception that is not ours fails the test that asked."""
    try:
        return registry.read(data, format=name, passphrase=lambda: "test-only")
    except OtpkeepError as problem:
        return problem


@pytest.mark.parametrize(("file", "name"), NAMES.items())
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_format_is_found_by_content(file: str, name: str, bom: bytes) -> None:
    found = outcome(bom + (FIXTURES / file).read_bytes())

    assert isinstance(found, Parsed)
    assert found.format == name


def test_what_nobody_knows_is_malformed_and_lists_what_is_known() -> None:
    with pytest.raises(Malformed) as caught:
        registry.read(b"hello", format=None, passphrase=None)

    assert all(name in caught.value.hint for name in NAMES.values())


def test_an_unknown_name_lists_what_is_known() -> None:
    with pytest.raises(NotFound) as caught:
        registry.read(LIST, format="odd", passphrase=None)
    assert "otpauth" in caught.value.hint
    with pytest.raises(NotFound):
        registry.write("odd", [], passphrase=None, random=zeros)


def test_more_than_64_mib_is_refused_unread() -> None:
    with pytest.raises(Malformed, match="64 MiB"):
        registry.read(bytes(64 * 1024 * 1024 + 1), format=None, passphrase=None)


def test_more_entries_than_anyone_has_are_refused() -> None:
    with pytest.raises(Malformed, match="100000"):
        registry.read(LIST + b"\n" * 100_000, format=None, passphrase=None)


@pytest.mark.parametrize("name", NAMES.values())
def test_each_format_reads_what_it_wrote(name: str) -> None:
    written = registry.write(name, [(ID, totp())], passphrase="test-only", random=zeros)

    found = outcome(written.data)

    assert written.left_out == ()
    assert isinstance(found, Parsed)
    assert found.format == name
    assert [entry.account for entry in found.entries] == [totp()]


def test_an_encrypted_export_without_a_password_is_locked() -> None:
    with pytest.raises(Locked):
        registry.write("aegis-encrypted", [], passphrase=None, random=zeros)


@given(st.binary(max_size=400), st.sampled_from([None, *NAMES.values()]))
def test_any_bytes_give_accounts_or_a_named_error(data: bytes, name: str | None) -> None:
    assert isinstance(outcome(data, name), Parsed | OtpkeepError)


def mutated(data: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, replacement in cuts:
        start = at % len(data) if data else 0
        data = data[:start] + replacement + data[start + length :]
    return data


snippets = st.one_of(
    st.binary(max_size=6),
    st.sampled_from(
        [b"null", b"[]", b"{}", b"-1", b"1e999", b"NaN", b'"\\ud800"', b"true", b"%", b"%ff", b"&", b"?", b"9" * 5000]
    ),
)
cuts = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 12), snippets), min_size=1, max_size=4)


@pytest.mark.parametrize("original", [PLAIN, LIST], ids=["aegis", "otpauth"])
@given(cuts)
@settings(max_examples=300)
def test_a_mutated_file_gives_accounts_or_a_named_error(original: bytes, cuts: list[tuple[int, int, bytes]]) -> None:
    assert isinstance(outcome(mutated(original, cuts)), Parsed | OtpkeepError)


@given(cuts)
@settings(max_examples=60)
def test_a_mutated_encrypted_file_gives_accounts_or_a_named_error(cuts: list[tuple[int, int, bytes]]) -> None:
    assert isinstance(outcome(mutated(ENCRYPTED, cuts)), Parsed | OtpkeepError)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 20), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
KEYS = ["type", "uuid", "name", "issuer", "note", "favorite", "icon", "icon_mime", "group", "groups", "info"]


@given(st.sampled_from(KEYS), json_values)
def test_any_value_in_any_place_of_an_entry_gives_accounts_or_a_reason(key: str, value: object) -> None:
    outer = json.loads(PLAIN)
    outer["db"]["entries"] = outer["db"]["entries"][:1]
    outer["db"]["entries"][0][key] = value

    found = outcome(json.dumps(outer).encode())

    assert isinstance(found, Parsed)
    assert len(found.entries) + len(found.skipped) == 1
