"""events.json: one good event of each kind of SPEC §4, and the bad ones of vector_events_bad."""

from typing import Any

from vector_basis import LARGEST_INT, Case, Value, labelled
from vector_cast import (
    ACCOUNT,
    ADMIN,
    EPOCH,
    SECRET,
    VAULT,
    Event,
    certificate,
    device,
    otp_of,
    placeholder_of,
    statement,
)
from vector_events_bad import bad_events
from vector_examples import PREV, A, add, edit, example, own_slot, with_body_size, with_envelope_size
from vector_identifiers import counter_key

B = device("B").writer


def account_events() -> list[tuple[str, Event]]:
    everything: dict[str, Value] = {
        "otp": otp_of("totp", algorithm="SHA512", digits=8, period=60),
        "issuer": "Beispiel ☃",
        "name": "",
        "note": "two\nlines",
        "tags": ["Work", "bank", "été"],
        "favourite": True,
        "position": 0,
        "icon": {"mime": "image/png", "data": b"\x89PNG\r\n\x1a\n"},
        "policy": {"anything": [1, None]},
        "push": None,
    }
    limits: dict[str, Value] = {
        "otp": otp_of("hotp", secret=b"\x00" * 1024, digits=10, algorithm="MD5", counter=LARGEST_INT),
        "issuer": "i" * 4096,
        "name": "é" * 2048,
        "note": "n" * 65_536,
        "tags": [f"{i:03}" for i in range(255)] + ["t" * 256],
        "position": LARGEST_INT,
        "icon": {"mime": "m" * 256, "data": b"\x00" * 262_144},
    }
    names = ("otp", "issuer", "name", "note", "tags", "favourite", "position", "icon", "policy", "push")
    kinds = ("totp", "hotp", "steam", "motp", "yandex")
    fresh = labelled("fresh counter key", 16)
    return [
        *((f"account.add, {kind}", add(otp_of(kind))) for kind in kinds),
        *((f"account.add, placeholder of {kind}", add(placeholder_of(kind))) for kind in kinds),
        ("account.add, placeholder for push", add({"placeholder": "push"})),
        ("account.add, weak", add(otp_of(), weak=True)),
        ("account.add, otp alone", edit({"otp": otp_of("totp", digits=4, period=2**31 - 1, secret=b"\x00")})),
        *((f"account.add, {name}", add(otp_of(algorithm=name))) for name in ("SHA224", "SHA256", "SHA384")),
        ("account.edit, every field", edit(everything)),
        ("account.edit, every field unset", edit(dict.fromkeys(names))),
        ("account.edit, every field at its limit", edit(limits)),
        ("account.edit, empty values", edit({"issuer": "", "tags": [], "favourite": False, "note": ""})),
        ("account.edit, counter key random after a reset", edit({"otp": otp_of("hotp", counter_key=fresh)})),
        ("account.edit, only position, so not alive", edit({"position": 7}, alive=...)),
        ("account.delete", example("account.delete", account=ACCOUNT, alive=False)),
        *undos(),
        ("account.use", example("account.use", {"counter": [counter_key(SECRET), 42]}, account=ACCOUNT)),
    ]


def undos() -> list[tuple[str, Event]]:
    link: dict[str, Value] = {"undoes": PREV}
    gone: dict[str, Value] = {"account": ACCOUNT, "alive": False}
    return [
        ("account.edit, undo of a delete", example("account.edit", link, account=ACCOUNT, alive=True)),
        ("account.delete, undo of an add", example("account.delete", link, **gone)),
        (
            "account.edit, undo of an edit of a dead account",
            example("account.edit", link, {"name": "a"}, account=ACCOUNT),
        ),
        ("account.edit, undo of an edit that gave life", example("account.edit", link, {"name": None}, **gone)),
        ("account.add, undo by a stranger", example("account.add", link, {"name": "a"}, account=ACCOUNT, alive=True)),
    ]


def other_events() -> list[tuple[str, Event]]:
    opening = {"device": A.public, "nonce": A.nonce}
    slots: dict[str, Value] = {"slots": [labelled("slot 1", 32), labelled("slot 2", 32)], "own": own_slot()}
    events = [
        ("writer.open", example("writer.open", opening, seq=1, prev=..., lamport=1, seen=[])),
        ("writer.close", example("writer.close")),
        (
            "device.add",
            example("device.add", {"certificate": certificate(A.public)}, {"label": A.label}, account=A.id),
        ),
        ("device.rename", example("device.rename", None, {"label": "Ноутбук"}, account=A.id)),
        ("device.retire", example("device.retire", None, {"retired": True}, account=A.id)),
        ("slot.set", example("slot.set", {"statement": statement("slot.set", slots)})),
        *(
            (kind, example(kind, {"statement": statement(kind, {})}))
            for kind in ("epoch.open", "device.revoke", "purge")
        ),
        ("pack", example("pack", {"replaced": [labelled("r1", 32), labelled("r2", 32)], "file": labelled("f", 32)})),
        ("policy.set", example("policy.set")),
        (
            "unknown kind, field and body key",
            example("dance.start", {"tune": "waltz"}, {"shoes": [1]}, account=ACCOUNT),
        ),
        ("known kind, unknown body key", example("writer.close", {"reason": 3})),
        ("unknown field beside a known one", edit({"issuer": "Example", "colour": {"r": 1}})),
        ("kind of 64 bytes", example("k" * 64)),
        ("lamport and wall at their limits", example("writer.close", lamport=LARGEST_INT, wall=LARGEST_INT)),
        ("seq 2^53-1", example("writer.close", seq=LARGEST_INT)),
        ("wall 0", example("writer.close", wall=0)),
        ("seen nothing", example("writer.close", seen=[])),
        ("seen, two pieces of one writer that overlap", example("writer.close", seen=forked_seen())),
    ]
    return [*events, ("body dropped", add(otp_of()).without_body())]


def forked_seen() -> list[Value]:
    return [[B, 1, 3, b"\x01" * 16], [B, 1, 3, b"\x02" * 16], [B, 2, 300, bytes(16)]]


def sized_events() -> list[tuple[str, Event]]:
    """Envelope and body at exactly their limits, by the length of an unknown field's name or value."""
    return [
        ("envelope of 65,536 bytes", with_envelope_size(65_536)),
        ("body of 1,048,576 bytes", with_body_size(1_048_576)),
    ]


def document() -> dict[str, Any]:
    good: list[Case] = [
        {"name": name, **event.stored(), "decoded": event.decoded()}
        for name, event in account_events() + other_events() + sized_events()
    ]
    return {
        "about": "Events (SPEC §4, §5) of one vault; bytes are hex, or a list of [hex, times] to be joined;"
        ' in "decoded" a bin is {"bin": bytes}.',
        "given": {"vault": VAULT.hex(), "epoch": EPOCH.hex(), "admin": ADMIN.hex()},
        "good": good,
        "bad": bad_events(),
    }
