"""Values that SPEC §5 forbids: for each account field and each otp key, one or more for each rule."""

from collections.abc import Iterator

from vector_basis import Value, labelled
from vector_cast import otp_of, placeholder_of

FieldRow = tuple[str, str, str, Value]  # field, name of the case, why, value


def bad_fields() -> Iterator[FieldRow]:
    for field, how, value in plain_fields():
        yield field, f"{field} {how}", f"§5: `{field}`", value
    for how, value in otps():
        yield "otp", f"otp {how}", "§5: `otp`", value
    for how, value in placeholders():
        yield "otp", f"placeholder {how}", "§5: placeholder", value


def plain_fields() -> list[tuple[str, str, Value]]:
    texts = [
        *((name, "of 4,097 bytes", "x" * 4097) for name in ("issuer", "name")),
        *((name, "of 2,049 é, which are 4,098 bytes", "é" * 2049) for name in ("issuer", "name")),
        ("note", "of 65,537 bytes", "x" * 65_537),
        *((name, "an int", 1) for name in ("issuer", "name", "note")),
        *((name, "a bin", b"x") for name in ("issuer", "name", "note")),
        *((name, "with U+0000", "a\x00b") for name in ("issuer", "name", "note")),
    ]
    tags: list[tuple[str, Value]] = [
        ("a str", "work"),
        ("a map", {}),
        ("holding an int", [1]),
        ("holding an empty str", ["", "a"]),
        ("holding 257 bytes", ["t" * 257]),
        ("holding U+0000", ["a\x00"]),
        ("not ascending", ["b", "a"]),
        ("ascending by length, not UTF-8 bytes", ["b", "aa"]),
        ("with one twice", ["a", "a"]),
        ("257 of them", [f"{i:03}" for i in range(257)]),
    ]
    icon: list[tuple[str, Value]] = [
        ("a bin", b"\x89PNG"),
        ("without mime", {"data": b"\x89PNG"}),
        ("without data", {"mime": "image/png"}),
        ("mime of 257 bytes", {"mime": "m" * 257, "data": b""}),
        ("mime a bin", {"mime": b"image/png", "data": b""}),
        ("mime with U+0000", {"mime": "image/\x00png", "data": b""}),
        ("data a str", {"mime": "image/png", "data": "x"}),
        ("data of 262,145 bytes", {"mime": "image/png", "data": bytes(262_145)}),
    ]
    return [
        *texts,
        *(("tags", how, value) for how, value in tags),
        ("favourite", "an int", 1),
        ("favourite", "a str", "true"),
        ("position", "negative", -1),
        ("position", "a str", "1"),
        ("position", "a bool", True),
        *(("icon", how, value) for how, value in icon),
    ]


def otps() -> Iterator[tuple[str, Value]]:
    yield from (("a bin", b"secret"), ("an array", []), ("an empty map", {}))
    for key in ("type", "secret", "algorithm", "digits", "period"):
        yield f"totp without {key}", otp_of(**{key: ...})
    for key in ("secret", "digits", "counter", "counter_key"):
        yield f"hotp without {key}", otp_of("hotp", **{key: ...})
    for kind in ("motp", "yandex"):
        yield f"{kind} without pin", otp_of(kind, pin=...)
        yield f"{kind} without period", otp_of(kind, period=...)
        yield f"{kind} with digits 7", otp_of(kind, digits=7)
        yield f"{kind} with SHA1", otp_of(kind, algorithm="SHA1")
    wrong: dict[str, list[Value]] = {
        "type": ["TOTP", "", 1, None, "totp2"],
        "secret": [b"", bytes(1025), "GEZDGNBVGY3TQOJQ", None],
        "algorithm": ["sha1", "SHA-1", "SHA3", "", 1, None],
        "digits": [3, 11, 0, -6, "6", True, None],
        "period": [0, -30, 2**31, "30", True, None],
        "unknown": [1],
        "counter": [0],
        "counter_key": [labelled("k", 16)],
        "pin": ["1234"],
    }
    yield from ((f"totp, {key} {short(value)}", otp_of(**{key: value})) for key, vs in wrong.items() for value in vs)
    yield from (
        ("steam with digits 6", otp_of("steam", digits=6)),
        ("steam with SHA256", otp_of("steam", algorithm="SHA256")),
    )
    yield from (("steam with pin", otp_of("steam", pin="1")), ("steam without period", otp_of("steam", period=...)))
    yield from hotps()
    for pin in ("", "p" * 257, "é" * 129, 1234, b"1234", None, "1\x00"):
        yield f"motp, pin {short(pin)}", otp_of("motp", pin=pin)


def hotps() -> Iterator[tuple[str, Value]]:
    yield from (("hotp with period", otp_of("hotp", period=30)), ("hotp with pin", otp_of("hotp", pin="1")))
    for counter in (-1, "0", True, None):
        yield f"hotp, counter {short(counter)}", otp_of("hotp", counter=counter)
    for key in (bytes(15), bytes(32), "k" * 16, None):
        yield f"hotp, counter_key {short(key)}", otp_of("hotp", counter_key=key)


def placeholders() -> Iterator[tuple[str, Value]]:
    for key, value in (("secret", b"x"), ("pin", "1"), ("counter", 0), ("counter_key", bytes(16)), ("extra", 1)):
        yield f"totp with {key}", placeholder_of(**{key: value})
    for key in ("type", "algorithm", "digits", "period"):
        yield f"totp without {key}", placeholder_of(**{key: ...})
    yield "motp with pin", placeholder_of("motp", pin="1234")
    yield "hotp with counter", placeholder_of("hotp", counter=0)
    yield "hotp with period", placeholder_of("hotp", period=30)
    yield "totp with digits 11", placeholder_of(digits=11)
    yield "totp with algorithm SHA3", placeholder_of(algorithm="SHA3")
    yield "totp with period 0", placeholder_of(period=0)
    yield "of an unknown type", placeholder_of(type="otp")
    for name in ("other", "", 1, None, True):
        yield short(name), placeholder_of(placeholder=name)
    yield "push with type", {"placeholder": "push", "type": "totp"}
    yield "secret alone", {"placeholder": "secret"}


def short(value: Value) -> str:
    """A name for `value` in the name of its case."""
    if isinstance(value, str | bytes) and len(value) > 16:
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)
