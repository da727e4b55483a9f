"""Canonical msgpack: one value, one encoding (SPEC §2).

`decode` accepts exactly what `encode` produces. Hashes and signatures are over the original bytes, so a
second spelling of one value would be a second event; refusing it here keeps every layer above simple.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias

import msgpack

from otpkeep_protocol.errors import Malformed

Value: TypeAlias = Any
"""nil, bool, int, str, bytes, list or dict with str keys."""

MAX_INT = 2**53 - 1
MAX_DEPTH = 16
_SIMPLE = frozenset({str, bytes, bool, type(None)})
"""Types all of whose values are canonical."""
_MOST_ORDERS, _LONGEST_ORDER = 1024, 256
_orders: set[tuple[str, ...]] = set()
"""Tuples of keys that were found to be in order. There are few, and an event has no time to sort its own."""
_UNCOUNTED = 4096
"""Bytes that may be unpacked unseen, whatever room they ask for."""
_SMALL = 65_536
_unpack = msgpack.unpackb
_pack = msgpack.Packer(use_bin_type=True).pack
"""Quicker than `packb`, but it keeps a buffer as large as the largest value that it ever packed."""


def encode(value: Value, depth: int = MAX_DEPTH) -> bytes:
    """Return the canonical encoding of `value`; tuples count as arrays. Malformed if it has none."""
    try:
        packed: bytes = msgpack.packb(_ordered(value, depth), use_bin_type=True)
    except UnicodeEncodeError as error:
        raise Malformed("a string holds a surrogate, which UTF-8 can't carry") from error
    return packed


def decode(data: bytes, limit: int, depth: int = MAX_DEPTH) -> Value:
    """Return the value of canonical `data` of at most `limit` bytes. Malformed for anything else."""
    value = parse(data, limit)
    check(value, depth)
    return value


def parse(data: bytes, limit: int) -> Value:
    """Return the value of at most `limit` bytes that are just its encoding. Malformed for anything else.

    They are canonical if `check` holds too, or rules of the caller that are at least as narrow.
    """
    if len(data) > limit:
        raise Malformed(f"{len(data)} bytes where at most {limit} are allowed")
    value = unpack(data)
    try:
        packed = _pack(value) if len(data) <= _SMALL else msgpack.packb(value, use_bin_type=True)
    except (ValueError, TypeError, OverflowError) as error:
        raise Malformed("msgpack that is not in canonical form") from error
    if packed != data:
        raise Malformed("msgpack that is not in canonical form")
    return value


def check(value: Value, depth: int = MAX_DEPTH) -> None:
    """Raise Malformed unless types, ranges, depth and key order of what was parsed are those of the format."""
    _check((value,), depth)


def unpack(data: bytes) -> Value:
    """Return the value of `data` without asking whether it is canonical: for bytes that once passed `decode`."""
    try:
        if len(data) > _UNCOUNTED:
            count_through(data)
        return _unpack(data)  # by default strict about map keys and UTF-8
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError, OverflowError) as error:
        raise Malformed("bytes that are not msgpack") from error


def count_through(data: bytes) -> None:
    """Raise what msgpack raises unless there are as many items as the arrays in `data` say.

    Unpacking makes room for what an array says it has. Each of a thousand, one in the other, may say as many items as
    there are bytes; so 1 MiB could ask for 8 GiB.
    """
    skipping = msgpack.Unpacker(max_buffer_size=len(data))
    skipping.feed(data)
    skipping.skip()


def _check(items: Collection[Value], depth: int) -> None:
    """Raise Malformed unless types, ranges, depth and key order are canonical: `_ordered` would change nothing."""
    if depth == 0 and items:
        raise Malformed("nesting deeper than the format allows")
    for item in items:
        kind = type(item)
        if kind in _SIMPLE:
            continue
        if kind is dict:
            _check_keys(tuple(item))
            _check(item.values(), depth - 1)
        elif kind is list:
            _check(item, depth - 1)
        else:
            _check_number(item, kind)


def _check_keys(keys: tuple[Value, ...]) -> None:
    if keys in _orders or (len(keys) == 1 and type(keys[0]) is str):
        return
    orders = [_key_order(key) for key in keys]
    if orders != sorted(orders):
        raise Malformed("msgpack that is not in canonical form")
    if len(_orders) < _MOST_ORDERS and sum(map(len, keys)) <= _LONGEST_ORDER:
        _orders.add(keys)


def _ordered(value: Value, depth: int) -> Value:
    """Return `value` with every map in canonical key order, having checked types, ranges and depth."""
    if depth == 0:
        raise Malformed("nesting deeper than the format allows")
    kind = type(value)
    if kind is dict:
        return {key: _ordered(value[key], depth - 1) for key in sorted(value, key=_key_order)}
    if kind is list or isinstance(value, tuple):
        return [_ordered(item, depth - 1) for item in value]
    if kind not in _SIMPLE:
        _check_number(value, kind)
    return value


def _check_number(value: Value, kind: type) -> None:
    if kind is int:
        if not -MAX_INT <= value <= MAX_INT:
            raise Malformed("an integer beyond 2^53-1")
    else:
        raise Malformed(f"a value of type {kind.__name__}, which the format does not have")


def _key_order(key: Value) -> tuple[int, bytes]:
    """Order keys as their encodings do: the length stands before the text in each of them."""
    if type(key) is not str:
        raise Malformed("a map key that is not a string")
    encoded = key.encode()
    return len(encoded), encoded
