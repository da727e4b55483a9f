"""Text of others made safe for a terminal, and the small phrases that every command uses.

Names, notes and device labels come from files and from other devices: a control character in them could
move the cursor, rename the window or, with a bidi override, show an issuer that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")

SHORT_ID = 8
"""Hex digits of an account id that people are shown."""


def plain(text: object) -> str:
    """Return `text` on one line, each control character, bidi override and half character escaped."""
    return _UNSAFE.sub(_escaped, str(text))


def plain_lines(text: object) -> list[str]:
    """Return the lines of a longer text such as a note, each made safe."""
    return [plain(line) for line in str(text).replace("\r\n", "\n").split("\n")]


def as_json(value: object) -> str:
    """Return JSON in ASCII on one line, so that nothing in it can reach a terminal raw."""
    import json  # only --json needs it

    return json.dumps(value)


def account_text(item: Mapping[str, object]) -> str:
    """Return `issuer (name)`, or what there is of it."""
    issuer, name = plain(item.get("issuer") or ""), plain(item.get("name") or "")
    if issuer and name:
        return f"{issuer} ({name})"
    return issuer or name or "(no name)"


def short(identifier: object) -> str:
    """Return the digits of an account id that people are shown."""
    return plain(identifier)[:SHORT_ID]


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return `1 account`, `2 accounts`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _escaped(found: re.Match[str]) -> str:
    point = ord(found.group())
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"
