"""The bad events of events.json: each breaks one rule of SPEC §4 or §5 and is perfect otherwise."""

from vector_basis import Case, Value, bad, canonical, labelled, sha
from vector_cast import ACCOUNT, VAULT, WALL, Event, without_ellipsis
from vector_examples import PREV, SEEN, A, edit, example, with_body_size, with_envelope_size
from vector_fields_bad import bad_fields
from vector_kinds_bad import kind_rules

INVALID, MALFORMED, UNKNOWN = "invalid-event", "malformed", "unknown-version"
Rows = list[tuple[str, str, str, Event]]
PERFECT: dict[str, Value] = {"issuer": "Example"}
SALT = labelled("event salt", 16)
WRITER, PIECE = A.writer, SEEN[0]


def changed(key: str, value: Value) -> Event:
    """The perfect event with envelope key `key` set to `value`, or without it for ...

    When `key` is `body`, the body is dropped, so that the envelope alone is judged.
    """
    event = edit(PERFECT) if key != "body" else edit(PERFECT).without_body()
    return enveloped(event, canonical(without_ellipsis({**event.header, key: value})))


def enveloped(event: Event, envelope: bytes) -> Event:
    return Event(envelope, event.body, event.header, event.values)


def spoiling() -> Rows:
    """Broken v, vault, writer, seq or prev, another vault, not canonical: the whole file is spoiled (§4)."""
    wrong: dict[str, list[tuple[str, Value]]] = {
        "v": [("missing", ...), ("a str", "1"), ("nil", None), ("a bool", True)],
        "vault": [("missing", ...), ("a str", "v" * 16), ("of 15 bytes", VAULT[:15]), ("of 17 bytes", VAULT + b"\x00")],
        "writer": [("missing", ...), ("an int", 5), ("of 15 bytes", WRITER[:15]), ("nil", None)],
        "seq": [("missing", ...), ("a str", "3"), ("0", 0), ("negative", -1), ("a bool", True)],
        "prev": [("missing though seq is 3", ...), ("nil", None), ("of 31 bytes", PREV[:31]), ("a str", "p" * 32)],
    }
    rows = [
        (f"{key} {how}", f"§4: `{key}` must be readable", MALFORMED, changed(key, value))
        for key, cases in wrong.items()
        for how, value in cases
    ]
    opening = example("writer.open", {"device": A.public, "nonce": A.nonce}, seq=1, lamport=1, seen=[])
    return [
        *rows,
        ("prev present though seq is 1", "§4: `prev` is absent if and only if seq is 1", MALFORMED, opening),
        ("vault of somebody else", "§4: an event of another vault", MALFORMED, changed("vault", labelled("v", 16))),
        *not_canonical(),
    ]


def not_canonical() -> Rows:
    event = edit(PERFECT)
    swapped = event.envelope.replace(b"\xa1v\x01", b"") + b"\xa1v\x01"
    long_int = event.envelope.replace(b"\xa3seq\x03", b"\xa3seq\xcc\x03")
    forms = [
        ("keys not in order", swapped),
        ("int in long form", long_int),
        ("byte after the map", event.envelope + b"\xc0"),
        ("cut short", event.envelope[:-1]),
        ("an array", canonical(list(event.header.values()))),
        ("empty", b""),
    ]
    rows = [(f"envelope {how}", "§2, §4: canonical map", MALFORMED, enveloped(event, raw)) for how, raw in forms]
    other = Event(event.envelope, SALT + canonical({"set": {"issuer": "Exbmple"}}), event.header, event.values)
    return [*rows, ("body of another hash", "§4: `body` is H(body bytes)", MALFORMED, other)]


def envelope_rules() -> Rows:
    wrong: dict[str, list[tuple[str, Value]]] = {
        "lamport": [("missing", ...), ("a str", "3"), ("0", 0), ("a bool", True)],
        "wall": [("missing", ...), ("a str", "now"), ("negative", -1), ("nil", None), ("a bool", True)],
        "seen": seen_rules(),
        "kind": [("missing", ...), ("an int", 1), ("empty", ""), ("of 65 bytes", "k" * 65), ("of 33 é", "é" * 33)],
        "account": [("a str", "a" * 16), ("nil", None), ("of 15 bytes", ACCOUNT[:15]), ("of 32 bytes", ACCOUNT * 2)],
        "alive": [("nil", None), ("an int", 1), ("a str", "true")],
        "weak": [("false", False), ("nil", None), ("an int", 1)],
        "fields": [("missing", ...), ("nil", None), ("a map", {"issuer": True}), ("holding an int", [1])],
        "body": [("missing", ...), ("nil", None), ("of 31 bytes", bytes(31)), ("a str", "b" * 32)],
        "critical": [("empty", []), ("nil", None), ("a str", "x"), ("holding an int", [1])],
        "extra": [("nil", None), ("true", True)],
    }
    return [
        (
            f"{key} {how}",
            f"§4: {'unknown envelope key' if key == 'extra' else f'`{key}`'}",
            INVALID,
            changed(key, value),
        )
        for key, cases in wrong.items()
        for how, value in cases
    ]


def seen_rules() -> list[tuple[str, Value]]:
    hash_ = PREV[:16]
    later, earlier = [b"\xff" * 16, 1, 1, hash_], [bytes(16), 1, 1, hash_]
    return [
        ("missing", ...),
        ("nil", None),
        ("a map", {}),
        ("not ascending by writer", [later, earlier]),
        ("not ascending by first", [[WRITER, 4, 5, hash_], [WRITER, 1, 2, hash_]]),
        ("not ascending by last", [[WRITER, 1, 3, hash_], [WRITER, 1, 2, hash_]]),
        ("not ascending by hash", [[WRITER, 1, 2, b"\x02" * 16], [WRITER, 1, 2, b"\x01" * 16]]),
        ("with one piece twice", [PIECE, PIECE]),
        ("first 0", [[WRITER, 0, 2, hash_]]),
        ("last below first", [[WRITER, 2, 1, hash_]]),
        ("piece of three", [[WRITER, 1, 2]]),
        ("piece of five", [[*PIECE, None]]),
        ("piece a map", [{"writer": WRITER}]),
        ("piece with a writer of 15 bytes", [[WRITER[:15], 1, 2, hash_]]),
        ("piece with a hash of 32 bytes", [[WRITER, 1, 2, PREV]]),
        ("piece with a str as first", [[WRITER, "1", 2, hash_]]),
        ("piece with a bool as last", [[WRITER, 1, True, hash_]]),
    ]


def fields_and_set() -> Rows:
    """`fields` and the body's `set` must name the same registers, in order and once."""
    two: dict[str, Value] = {"issuer": "E", "name": "n"}
    rule = "§4: `set` has exactly the envelope's `fields`"
    order = "§4: `fields` ascending by UTF-8 bytes, distinct"
    cases: list[tuple[str, str, dict[str, Value], list[str]]] = [
        ("fields not ascending", order, {"icon": None, "issuer": "E"}, ["issuer", "icon"]),
        ("fields ascending by encoded bytes, not UTF-8 bytes", order, two, ["name", "issuer"]),
        ("fields with one twice", order, PERFECT, ["issuer", "issuer"]),
        ("set lacks a field", rule, PERFECT, ["issuer", "name"]),
        ("set has one field more", rule, two, ["issuer"]),
        ("set has another field", rule, PERFECT, ["name"]),
        ("set is empty though a field is written", rule, {}, ["issuer"]),
        ("set is not empty though no field is written", rule, PERFECT, []),
    ]
    return [
        *((name, why, INVALID, with_fields(written, fields)) for name, why, written, fields in cases),
        ("envelope of 65,537 bytes", "§4: at most 65,536 bytes", MALFORMED, with_envelope_size(65_537)),
        ("body of 1,048,577 bytes", "§4: at most 1,048,576 bytes", INVALID, with_body_size(1_048_577)),
    ]


def with_fields(written: dict[str, Value], fields: list[str]) -> Event:
    event = edit(written)
    return enveloped(event, canonical({**event.header, "fields": fields}))


def raw_body(body: bytes) -> Event:
    header = {**edit(PERFECT).header, "body": sha(body)}
    return Event(canonical(header), body, header, None)


def body_forms() -> Rows:
    plain = canonical({"set": PERFECT})
    forms: list[tuple[str, bytes]] = [
        ("empty", b""),
        ("without a whole salt", SALT[:15]),
        ("salt alone", SALT),
        ("an array", SALT + canonical([PERFECT])),
        ("with a byte after the map", SALT + plain + b"\xc0"),
        ("cut short", SALT + plain[:-1]),
        ("with a length in long form", SALT + plain.replace(b"\xa6issuer", b"\xd9\x06issuer")),
        ("with its keys not in order", SALT + b"\x82" + plain[1:] + canonical("a") + b"\xc0"),
        ("with a float", SALT + b"\x82\xa1a\xca\x3f\x80\x00\x00" + plain[1:]),
        ("without set", SALT + canonical({})),
        ("with set nil", SALT + canonical({"set": None})),
        ("with set an array", SALT + canonical({"set": ["Example"]})),
    ]
    return [(f"body {how}", "§4: salt, then a canonical map with `set`", INVALID, raw_body(raw)) for how, raw in forms]


def unknown_versions() -> Rows:
    future = edit(PERFECT, v=2, novelty=[1], lamport="not an int in version 2")
    return [
        ("v 2", "§4: `v` is not 1", UNKNOWN, edit(PERFECT, v=2)),
        ("v 0", "§4: `v` is not 1", UNKNOWN, edit(PERFECT, v=0)),
        ("v 2, other keys and types", "§4: `v` is not 1, so that no other rule holds", UNKNOWN, future),
        ("critical feature", "§4: an unknown feature", UNKNOWN, edit(PERFECT, critical=["time-travel"])),
        ("two critical features", "§4: unknown features", UNKNOWN, edit(PERFECT, critical=["a", "b"])),
        (
            "critical feature with an envelope key of its own",
            "§4: an unknown feature, which may allow that key",
            UNKNOWN,
            edit(PERFECT, critical=["time-travel"], travel=WALL),
        ),
        (
            "critical feature, body dropped",
            "§4: an unknown feature",
            UNKNOWN,
            edit(PERFECT, critical=["time-travel"]).without_body(),
        ),
    ]


def bad_events() -> list[Case]:
    rows = [*spoiling(), *envelope_rules(), *fields_and_set(), *body_forms(), *kind_rules(), *unknown_versions()]
    rows += [(name, why, INVALID, edit({field: value})) for field, name, why, value in bad_fields()]
    return [bad(name, why, effect, **event.stored()) for name, why, effect, event in rows]
