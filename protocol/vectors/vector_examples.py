"""Otherwise perfect events, for vectors that change one thing of them."""

from vector_basis import Value, labelled
from vector_cast import ACCOUNT, VAULT, WALL, Event, device, make_event, without_ellipsis
from vector_identifiers import event_hash

A = device("A")
PREV = event_hash(b"the event before")
SEEN = [[A.writer, 1, 2, PREV[:16]]]


def example(
    kind: str,
    body: dict[str, Value] | None = None,
    fields: dict[str, Value] | None = None,
    **header: Value,
) -> Event:
    """Event 3 of A's writer, otherwise perfect; a header value of ... removes the key."""
    envelope: dict[str, Value] = {
        "v": 1,
        "vault": VAULT,
        "writer": A.writer,
        "seq": 3,
        "prev": PREV,
        "lamport": 3,
        "wall": WALL,
        "seen": SEEN,
        "kind": kind,
        "fields": sorted(fields or {}, key=str.encode),
        **header,
    }
    return make_event(without_ellipsis(envelope), {"set": fields or {}, **(body or {})}, labelled("event salt", 16))


def add(otp: Value, issuer: str = "Example", **header: Value) -> Event:
    fields = {"otp": otp, "issuer": issuer, "name": "alice@example.org"}
    return example("account.add", None, fields, **{"account": ACCOUNT, "alive": True, **header})


def edit(fields: dict[str, Value], **header: Value) -> Event:
    return example("account.edit", None, fields, **{"account": ACCOUNT, "alive": True, **header})


def own_slot() -> dict[str, Value]:
    return {
        "uuid": "01234567-89ab-cdef-0123-456789abcdef",
        "key": labelled("own key", 32),
        "nonce": labelled("own nonce", 12),
        "tag": labelled("own tag", 16),
        "salt": labelled("own salt", 32),
        "n": 32768,
        "r": 8,
        "p": 1,
    }


def with_envelope_size(size: int) -> Event:
    """An event whose envelope has `size` bytes, 65,536 about, by the long name of an unknown field."""
    short = len(edit({"f" * 60_000: None}).envelope)
    return edit({"f" * (60_000 + size - short): None})


def with_body_size(size: int) -> Event:
    """An event whose body has `size` bytes, 1,048,576 about, by the long value of an unknown field."""
    short = len(edit({"blob": bytes(1_000_000)}).body or b"")
    return edit({"blob": bytes(1_000_000 + size - short)})
