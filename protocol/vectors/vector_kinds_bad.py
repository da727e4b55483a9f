"""Events that break the table of kinds in SPEC §4: a missing subject, or a body key missing or of another shape."""

from vector_basis import Value, labelled
from vector_cast import ACCOUNT, SECRET, Event, certificate, statement
from vector_examples import PREV, A, example
from vector_identifiers import counter_key

PERFECT: dict[str, Value] = {"issuer": "Example"}
INVALID = "invalid-event"


def own_slots() -> list[tuple[str, str, dict[str, Value], dict[str, Value], dict[str, Value]]]:
    """Statements whose slots or own slot are of another shape (§9)."""
    own: dict[str, Value] = {"uuid": "u", "key": b"k", "nonce": b"n", "tag": b"t", "salt": b"s", "n": 2, "r": 8, "p": 1}
    values: dict[str, Value] = {"slots": [labelled("slot 1", 32)], "own": own}
    changed: dict[str, dict[str, Value]] = {
        "without slots": {"own": own},
        "slots nil": {**values, "slots": None},
        "slots a map": {**values, "slots": {}},
        "slots of 31 bytes": {**values, "slots": [bytes(31)]},
        "without own": {"slots": values["slots"]},
        "own an array": {**values, "own": []},
        "own with another key": {**values, "own": {**own, "more": 1}},
        **{f"own without {key}": {**values, "own": {k: v for k, v in own.items() if k != key}} for key in own},
        **{f"own {key} nil": {**values, "own": {**own, key: None}} for key in own},
        "own n a bool": {**values, "own": {**own, "n": True}},
        "own uuid a bin": {**values, "own": {**own, "uuid": b"u"}},
        "own key a str": {**values, "own": {**own, "key": "k"}},
    }
    return [("slot.set", how, {"statement": statement("slot.set", made)}, {}, {}) for how, made in changed.items()]


def kind_rules() -> list[tuple[str, str, str, Event]]:
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
        ("account.use", "that undoes", {**counter, "undoes": PREV}, {}, {"account": ACCOUNT}),
        ("account.edit", "that undoes 31 bytes", {"undoes": PREV[:31]}, PERFECT, {"account": ACCOUNT, "alive": True}),
        ("account.edit", "that undoes nil", {"undoes": None}, PERFECT, {"account": ACCOUNT, "alive": True}),
        ("account.add", "that undoes a name", {"undoes": "a" * 32}, PERFECT, {"account": ACCOUNT, "alive": True}),
        ("device.rename", "that undoes", {"undoes": PREV}, {"label": "x"}, {"account": A.id}),
        ("writer.close", "that undoes", {"undoes": PREV}, {}, {}),
        ("dance.start", "that undoes", {"undoes": PREV}, {}, {"account": ACCOUNT}),
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
        (
            "device.add",
            "certificate epoch of 15 bytes",
            {"certificate": [cert[0][:15], cert[1]]},
            {"label": "x"},
            {"account": A.id},
        ),
        (
            "device.add",
            "certificate signature of 63 bytes",
            {"certificate": [cert[0], cert[1][:63]]},
            {"label": "x"},
            {"account": A.id},
        ),
        ("device.add", "label an int", {"certificate": cert}, {"label": 1}, {"account": A.id}),
        ("device.rename", "label a bin", {}, {"label": b"x"}, {"account": A.id}),
        ("device.retire", "retired a str", {}, {"retired": "yes"}, {"account": A.id}),
        ("slot.set", "without statement", {}, {}, {}),
        ("slot.set", "statement an array", {"statement": [made]}, {}, {}),
        (
            "slot.set",
            "statement without signature",
            {"statement": {k: v for k, v in made.items() if k != "signature"}},
            {},
            {},
        ),
        ("slot.set", "statement signature of 63 bytes", {"statement": {**made, "signature": bytes(63)}}, {}, {}),
        ("slot.set", "statement epoch of 15 bytes", {"statement": {**made, "epoch": bytes(15)}}, {}, {}),
        (
            "slot.set",
            "statement supersedes descending",
            {"statement": {**made, "supersedes": [b"\x01" * 32, bytes(32)]}},
            {},
            {},
        ),
        ("slot.set", "statement supersedes of 31 bytes", {"statement": {**made, "supersedes": [bytes(31)]}}, {}, {}),
        ("slot.set", "statement values nil", {"statement": {**made, "values": None}}, {}, {}),
        *own_slots(),
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
