"""What SPEC §5 allows in the fields of an account, as checks over wire values.

A *wire value* is what an event carries: nil, bool, int, str, bytes, list or dict. The checks name the field
and the rule, never the value. They run for each event of a long history, so they are tables of closures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

from otpkeep_protocol.errors import Malformed

ALGORITHMS = frozenset({"MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"})
DEFAULTS: Mapping[str, tuple[str, int, int | None]] = {
    "totp": ("SHA1", 6, 30),
    "hotp": ("SHA1", 6, None),
    "steam": ("SHA1", 5, 30),
    "motp": ("MD5", 6, 10),
    "yandex": ("SHA256", 8, 30),
}
"""Type -> (algorithm, digits, period in seconds) when a source names none."""
FIXED = frozenset({"steam", "motp", "yandex"})
"""Types whose algorithm and digits are always those of DEFAULTS."""
PINNED = frozenset({"motp", "yandex"})
"""Types that mix a PIN into every code."""

MAX_SECRET = 1024
MAX_PERIOD = 2**31 - 1
MAX_COUNTER = 2**53 - 1
MAX_TEXT = 4096
MAX_NOTE = 65_536
MAX_TAG = 256
MAX_TAGS = 256
MAX_PIN = 256
MAX_MIME = 256
MAX_ICON = 262_144

_PLAIN = frozenset({"type", "algorithm", "digits"})
_TIMED = {kind: frozenset() if kind == "hotp" else frozenset({"period"}) for kind in DEFAULTS}
_PLACEHOLDER_KEYS = {kind: _PLAIN | _TIMED[kind] | {"placeholder"} for kind in DEFAULTS}
_KEYS = {
    kind: _PLAIN
    | _TIMED[kind]
    | {"secret"}
    | ({"counter", "counter_key"} if kind == "hotp" else set())
    | ({"pin"} if kind in PINNED else set())
    for kind in DEFAULTS
}


def check_field(name: str, value: object) -> None:
    """Raise Malformed if `name` is a known field and `value` is one that SPEC §5 forbids."""
    check = _CHECKS.get(name)
    if check is not None and value is not None:
        check(value)


def _text(what: str, least: int, most: int) -> Callable[[object], None]:
    """Return a check for a str of `least` to `most` UTF-8 bytes without U+0000."""

    def check(value: object) -> None:
        if type(value) is not str or "\0" in value:
            raise Malformed(f"{what} is not a text free of U+0000")
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise Malformed(f"{what} holds half a character (a surrogate)") from None
        if not least <= size <= most:
            raise Malformed(f"{what} has not {least} to {most} bytes")

    return check


def _int(what: str, least: int, most: int) -> Callable[[object], None]:
    """Return a check for an int (never a bool) from `least` to `most`."""

    def check(value: object) -> None:
        if type(value) is not int or not least <= value <= most:
            raise Malformed(f"{what} is not a number from {least} to {most}")

    return check


def _bin(what: str, least: int, most: int) -> Callable[[object], None]:
    """Return a check for bytes of a length from `least` to `most`."""

    def check(value: object) -> None:
        if type(value) is not bytes or not least <= len(value) <= most:
            raise Malformed(f"{what} has not {least} to {most} bytes")

    return check


def _check_algorithm(value: object) -> None:
    if type(value) is not str or value not in ALGORITHMS:
        raise Malformed("otp.algorithm is not a known one")


_OTP_CHECKS: Mapping[str, Callable[[object], None]] = {
    "secret": _bin("otp.secret", 1, MAX_SECRET),
    "algorithm": _check_algorithm,
    "digits": _int("otp.digits", 4, 10),
    "period": _int("otp.period", 1, MAX_PERIOD),
    "counter": _int("otp.counter", 0, MAX_COUNTER),
    "counter_key": _bin("otp.counter_key", 16, 16),
    "pin": _text("otp.pin", 1, MAX_PIN),
}


def checked_otp(value: object) -> dict[str, object]:
    """Return `value` if it is a valid otp map; raises Malformed."""
    if not isinstance(value, dict):
        raise Malformed("otp is not a map")
    if "placeholder" in value and value["placeholder"] != "secret":
        if value != {"placeholder": "push"}:
            raise Malformed("otp.placeholder is neither secret nor push alone")
        return value
    kind = value.get("type")
    if type(kind) is not str or kind not in DEFAULTS:
        raise Malformed("otp.type is not a known one")
    if value.keys() != (_PLACEHOLDER_KEYS if "placeholder" in value else _KEYS)[kind]:
        raise Malformed(f"otp has not exactly the keys of type {kind}")
    for key, check in _OTP_CHECKS.items():
        if key in value:
            check(value[key])
    if kind in FIXED and (value["algorithm"], value["digits"]) != DEFAULTS[kind][:2]:
        raise Malformed(f"otp of type {kind} has another algorithm or number of digits")
    return value


_check_tag = _text("a tag", 1, MAX_TAG)


def _check_tags(value: object) -> None:
    if not isinstance(value, list) or len(value) > MAX_TAGS:
        raise Malformed(f"tags is not an array of at most {MAX_TAGS}")
    for tag in value:
        _check_tag(tag)
    # Code points ascend exactly as their UTF-8 bytes do.
    if any(left >= right for left, right in pairwise(value)):
        raise Malformed("tags are not ascending and distinct")


def _check_favourite(value: object) -> None:
    if type(value) is not bool:
        raise Malformed("favourite is neither true nor false")


_check_mime = _text("icon.mime", 0, MAX_MIME)
_check_icon_data = _bin("icon.data", 0, MAX_ICON)


def _check_icon(value: object) -> None:
    if not isinstance(value, dict) or value.keys() != {"mime", "data"}:
        raise Malformed("icon is not a map of mime and data")
    _check_mime(value["mime"])
    _check_icon_data(value["data"])


def _check_otp(value: object) -> None:
    checked_otp(value)


_CHECKS: Mapping[str, Callable[[object], None]] = {
    "otp": _check_otp,
    "issuer": _text("issuer", 0, MAX_TEXT),
    "name": _text("name", 0, MAX_TEXT),
    "note": _text("note", 0, MAX_NOTE),
    "tags": _check_tags,
    "favourite": _check_favourite,
    "position": _int("position", 0, MAX_COUNTER),
    "icon": _check_icon,
}
