"""Bytes as values: whatever a fuzzer does to msgpack, there is still a wire value in it.

A mutated byte would mostly end in "not canonical", and nothing behind that check would ever be reached. So a target
that is to get further reads its input with `value_of` and encodes the value as it should be.
"""

from __future__ import annotations

from typing import Any

from otpkeep_protocol.wire import MAX_DEPTH, MAX_INT

LONGEST = 65_536
_FIXED = {0xC0: None, 0xC1: None, 0xC2: False, 0xC3: True}
_SIZES = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_NUMBERS = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_SIGNED = 0xD0


def value_of(data: bytes, depth: int = MAX_DEPTH) -> Any:
    """Return a wire value for any bytes: that of msgpack bytes, and the nearest one for others."""
    return _Reader(data[:LONGEST]).value(depth)


def text_of(data: bytes) -> str:
    """Return a text for any bytes; what is not UTF-8 becomes surrogates, as in names and arguments."""
    return data.decode("utf-8", "surrogateescape")


def parts_of(data: bytes) -> tuple[bytes, bytes]:
    """Return the two parts of bytes of which the first two tell the length of the first."""
    size = int.from_bytes(data[:2], "big")
    return data[2 : 2 + size], data[2 + size :]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        self._at += size
        return piece

    def value(self, depth: int) -> Any:
        if self._at >= len(self._data):
            return None
        first = self._take(1)[0]
        if first in _FIXED:
            return _FIXED[first]
        if first in _NUMBERS:
            number = int.from_bytes(self._take(_NUMBERS[first]), "big", signed=first >= _SIGNED)
            return max(-MAX_INT, min(MAX_INT, number))
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 0x100
        return self._sized(first, depth)

    def _sized(self, first: int, depth: int) -> Any:
        if first < 0x90:
            return self._map(first & 0x0F, depth)
        if first < 0xA0:
            return self._array(first & 0x0F, depth)
        if first < 0xC0:
            return self._text(first & 0x1F)
        size = int.from_bytes(self._take(_SIZES.get(first, 1)), "big")
        if first >= 0xDE:
            return self._map(size, depth)
        if first >= 0xDC:
            return self._array(size, depth)
        return self._text(size) if 0xD9 <= first <= 0xDB else self._take(size)

    def _text(self, size: int) -> str:
        return self._take(size).decode("utf-8", "replace")

    def _array(self, size: int, depth: int) -> Any:
        if depth <= 1:
            return None
        found = []
        while len(found) < size and self._at < len(self._data):
            found.append(self.value(depth - 1))
        return found

    def _map(self, size: int, depth: int) -> Any:
        if depth <= 1:
            return None
        found: dict[str, Any] = {}
        for _ in range(size):
            if self._at >= len(self._data):
                break
            key = self.value(1)
            found[key if isinstance(key, str) else repr(key)] = self.value(depth - 1)
        return found
