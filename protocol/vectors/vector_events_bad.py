"""The bad events of events.json: each breaks one rule of SPEC §4 or §5 and is perfect otherwise."""

from vector_basis import Case, Value, bad, canonical, labelled, sha
from vector_cast import ACCOUNT, SECRET, VAULT, WALL, Event, certificate, statement, without_ellipsis
from vector_examples import PREV, SEEN, A, edit, example, with_body_size, with_envelope_size
from vector_fields_bad import bad_fields
from vector_identifiers import counter_key

INVALID, MALFORMED, UNKNOWN = "invalid-event", "malformed", "unknown-version"
Rows = list[tuple[str, str, str, Event]]
PERFECT: dict[str, Value] = {"issuer": "Example"}
SALT = labelled("event salt", 16)
WRITER, PIECE = A.writer, SEEN[0]


def changed(key: str, value: Value) -> Event:
    """The perfect event with envelope key `key` set to `value`, or without it for ...; even `body`."""
    event = edit(PERFECT)
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
        (f"{key} {how}", f"§4: {'unknown envelope key' if key == 'extra' else f'`{key}`'}", INVALID, changed(key, value))
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
    return [
        ("fields not ascending", "§4: `fields` ascending", INVALID, edit(two, fields=["name", "issuer"])),
        (
            "fields ascending by encoded bytes, not UTF-8 bytes",
            "§4: `fields` ascending by UTF-8 bytes",
            INVALID,
            edit(two, fields=["name", "issuer"]),
        ),
        ("fields with one twice", "§4: `fields` distinct", INVALID, edit(PERFECT, fields=["issuer", "issuer"])),
        ("set lacks a field", rule, INVALID, edit(PERFECT, fields=["issuer", "name"])),
        ("set has one field more", rule, INVALID, edit(two, fields=["issuer"])),
        ("set has another field", rule, INVALID, edit(PERFECT, fields=["name"])),
        ("envelope of 65,537 bytes", "§4: at most 65,536 bytes", INVALID, with_envelope_size(65_537)),
        ("body of 1,048,577 bytes", "§4: at most 1,048,576 bytes", INVALID, with_body_size(1_048_577)),
    ]


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


def kind_rules() -> Rows:
    """The table of kinds: subjects and the body keys that each kind needs."""
    open_body: dict[str, Value] = {"device": A.public, "nonce": A.nonce}
    counter: dict[str, Value] = {"counter": [counter_key(SECRET), 42]}
    opening: dict[str, Value] = {"seq": 1, "prev": ..., "lamport": 1, "seen": []}
    cert = certificate(A.public)
    pack: dict[str, Value] = {"replaced": [labelled("r1", 32)], "file": labelled("f", 32)}
    made = statement("slot.set", {"slots": [labelled("slot 1", 32)]})
    bodies: list[tuple[str, str, dict[str, Value], dict[str, Value], dict[str, Value]]] = [
        ("account.use", "without counter", {}, {}, {"account": ACCOUNT}),
        ("account.use", "counter nil", {"counter": None}, {}, {"account": ACCOUNT}),
        ("account.use", "counter of one", {"counter": counter["counter"][:1]}, {}, {"account": ACCOUNT}),
        ("account.use", "counter key of 15 bytes", {"counter": [bytes(15), 1]}, {}, {"account": ACCOUNT}),
        ("account.use", "counter negative", {"counter": [bytes(16), -1]}, {}, {"account": ACCOUNT}),
        ("account.use", "counter a str", {"counter": [bytes(16), "1"]}, {}, {"account": ACCOUNT}),
        ("account.use", "without subject", counter, {}, {}),
        ("account.edit", "without subject", {}, PERFECT, {"alive": True}),
        ("account.delete", "without subject", {}, {}, {"alive": False}),
        ("device.rename", "without subject", {}, {"label": "x"}, {}),
        ("writer.open", "without device", {"nonce": A.nonce}, {}, opening),
        ("writer.open", "without nonce", {"device": A.public}, {}, opening),
        ("writer.open", "device of 31 bytes", {**open_body, "device": A.public[:31]}, {}, opening),
        ("writer.open", "nonce of 15 bytes", {**open_body, "nonce": A.nonce[:15]}, {}, opening),
        ("writer.open", "nonce of another writer", {**open_body, "nonce": bytes(16)}, {}, opening),
        ("writer.open", "at seq 3", open_body, {}, {}),
        ("writer.close", "at seq 1, where writer.open belongs", {}, {}, opening),
        ("device.add", "without certificate", {}, {"label": "x"}, {"account": A.id}),
        ("device.add", "certificate a map", {"certificate": {}}, {"label": "x"}, {"account": A.id}),
        ("device.add", "certificate of one", {"certificate": cert[:1]}, {"label": "x"}, {"account": A.id}),
        ("device.add", "certificate epoch of 15 bytes", {"certificate": [cert[0][:15], cert[1]]}, {"label": "x"}, {"account": A.id}),
        ("device.add", "certificate signature of 63 bytes", {"certificate": [cert[0], cert[1][:63]]}, {"label": "x"}, {"account": A.id}),
        ("device.add", "label an int", {"certificate": cert}, {"label": 1}, {"account": A.id}),
        ("device.rename", "label a bin", {}, {"label": b"x"}, {"account": A.id}),
        ("device.retire", "retired a str", {}, {"retired": "yes"}, {"account": A.id}),
        ("slot.set", "without statement", {}, {}, {}),
        ("slot.set", "statement an array", {"statement": [made]}, {}, {}),
        ("slot.set", "statement without signature", {"statement": {k: v for k, v in made.items() if k != "signature"}}, {}, {}),
        ("slot.set", "statement signature of 63 bytes", {"statement": {**made, "signature": bytes(63)}}, {}, {}),
        ("slot.set", "statement epoch of 15 bytes", {"statement": {**made, "epoch": bytes(15)}}, {}, {}),
        ("slot.set", "statement supersedes descending", {"statement": {**made, "supersedes": [b"\x01" * 32, bytes(32)]}}, {}, {}),
        ("slot.set", "statement supersedes of 31 bytes", {"statement": {**made, "supersedes": [bytes(31)]}}, {}, {}),
        ("slot.set", "statement values nil", {"statement": {**made, "values": None}}, {}, {}),
        ("purge", "without statement", {}, {}, {}),
        ("epoch.open", "without statement", {}, {}, {}),
        ("device.revoke", "without statement", {}, {}, {}),
        ("pack", "without replaced", {"file": pack["file"]}, {}, {}),
        ("pack", "without file", {"replaced": pack["replaced"]}, {}, {}),
        ("pack", "replaced of 31 bytes", {**pack, "replaced": [bytes(31)]}, {}, {}),
        ("pack", "file a str", {**pack, "file": "f" * 32}, {}, {}),
    ]
    return [
        (f"{kind} {how}", "§4: the table of kinds", INVALID, example(kind, body, fields, **header))
        for kind, how, body, fields, header in bodies
    ]


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
