"""Canonical values (SPEC §2): one value, one encoding, and nothing else is accepted."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_protocol.errors import Malformed
from otpkeep_protocol.wire import MAX_DEPTH, MAX_INT, decode, encode

LIMIT = 1_000_000
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INT, MAX_INT)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_is_encoded_decodes_to_itself(value: Any) -> None:
    assert decode(encode(value), LIMIT) == value


@given(st.binary(max_size=40))
def test_whatever_decodes_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        value = decode(data, LIMIT)
    except Malformed:
        return
    assert encode(value) == data


@given(st.dictionaries(st.text(max_size=4), st.integers(0, 9)), st.randoms(use_true_random=False))
def test_a_map_has_one_encoding_whatever_order_it_was_made_in(value: dict[str, int], chance: Any) -> None:
    items = list(value.items())
    chance.shuffle(items)

    assert encode(dict(items)) == encode(value)


@pytest.mark.parametrize("edge", [0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, MAX_INT])
def test_integers_take_the_shortest_form(edge: int) -> None:
    assert encode(edge) == msgpack.packb(edge)
    assert decode(encode(-edge), LIMIT) == -edge


def test_shorter_keys_come_before_longer_ones() -> None:
    assert encode({"b": 1, "aa": 2}) == b"\x82\xa1b\x01\xa2aa\x02"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xcc\x05",  # 5 in two bytes
        b"\xd0\x05",  # 5 as a signed int
        b"\xcd\x00\xff",
        b"\xd9\x01a",  # a short string with a long header
        b"\xdc\x00\x01\x01",
        b"\xde\x00\x01\xa1a\x01",
        b"\x82\xa1b\x01\xa1a\x02",  # keys that descend
        b"\x82\xa1a\x01\xa1a\x01",  # a key twice
        b"\x81\x01\x01",  # a key that is no string
        b"\x81\xc4\x01a\x01",
        b"\xcb" + bytes(8),  # a float
        b"\xd4\x01\x00",  # an extension
        b"\xc1",
        b"\xa1\xff",  # no UTF-8
        b"\xa3\xed\xa0\x80",  # a surrogate
        b"\x01\x01",  # a value after the value
        b"\x91",
        b"\xcf" + (2**53).to_bytes(8, "big"),
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_other_spellings_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data, LIMIT)


@pytest.mark.parametrize("value", [1.0, 2**53, -(2**53), "\ud800", {1: 2}, {b"a": 1}, {"\ud800": 1}, object(), {1}])
def test_what_the_format_does_not_have_is_not_encoded(value: Any) -> None:
    with pytest.raises(Malformed):
        encode(value)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return value


def test_nesting_ends_at_sixteen() -> None:
    assert decode(encode(nested(MAX_DEPTH)), LIMIT) == nested(MAX_DEPTH)
    with pytest.raises(Malformed):
        encode(nested(MAX_DEPTH + 1))
    with pytest.raises(Malformed):
        decode(b"\x91" * MAX_DEPTH + b"\x01", LIMIT)


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a"])
def test_a_bomb_of_nesting_is_refused(opening: bytes) -> None:
    with pytest.raises(Malformed):
        decode(opening * 100_000, LIMIT)


def test_more_bytes_than_allowed_are_not_looked_at() -> None:
    data = encode("abc")

    assert decode(data, len(data)) == "abc"
    with pytest.raises(Malformed):
        decode(data, len(data) - 1)


def test_a_bool_is_no_int() -> None:
    assert encode(True) == b"\xc3"
    assert encode(1) == b"\x01"
