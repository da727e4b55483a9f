"""What makes an envelope and a body valid (SPEC §4), as checks that raise Malformed with the rule broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations, pairwise
from typing import Any

from otpkeep_protocol.account import check_field
from otpkeep_protocol.errors import Malformed
from otpkeep_protocol.ids import writer_id
from otpkeep_protocol.wire import MAX_INT, Value

_REQUIRED = ("v", "vault", "writer", "seq", "lamport", "wall", "seen", "kind", "fields", "body")
_OPTIONAL = ("prev", "account", "alive", "weak")
_SHAPES = frozenset(
    tuple(sorted((*_REQUIRED, *some), key=lambda key: (len(key), key)))
    for count in range(len(_OPTIONAL) + 1)
    for some in combinations(_OPTIONAL, count)
)
"""The keys that an envelope may have, each time in canonical order."""
UNDOABLE = frozenset({"account.add", "account.edit", "account.delete"})
"""Kinds that may be undone, and may undo."""


def check_envelope(content: Mapping[str, Any]) -> None:
    """Check all keys of an envelope whose place in its chain is known to be readable, down to every type and range.

    What passes is canonical if it is in the shortest form, so nothing here may be more generous than `wire.check`.
    """
    if tuple(content) not in _SHAPES:
        raise Malformed("an envelope with missing or unknown keys")
    lamport, wall, kind = content["lamport"], content["wall"], content["kind"]
    if type(lamport) is not int or not 1 <= lamport <= MAX_INT:
        raise Malformed("a lamport below 1")
    if type(wall) is not int or not 0 <= wall <= MAX_INT:
        raise Malformed("a wall time that is not an integer of milliseconds")
    if type(kind) is not str or not 1 <= len(kind.encode()) <= 64:
        raise Malformed("a kind that is not 1 to 64 bytes of text")
    check_pieces(content["seen"])
    _check_subject(content)


def _check_subject(content: Mapping[str, Any]) -> None:
    """Check what an event says of its subject, and the hash of what it says."""
    fields, body = content["fields"], content["body"]
    if not _is_names(fields):
        raise Malformed("fields that are not ascending names")
    if "account" in content:
        if not is_bytes(content["account"], 16):
            raise Malformed("an account id that is not 16 bytes")
    elif fields or "alive" in content:
        raise Malformed("fields of no account")
    if "alive" in content and type(content["alive"]) is not bool:
        raise Malformed("alive that is neither true nor false")
    if "weak" in content and content["weak"] is not True:
        raise Malformed("weak that is not true")
    if type(body) is not bytes or len(body) != 32:
        raise Malformed("a body hash that is not 32 bytes")


def is_critical(value: object) -> bool:
    """Tell whether an envelope's `critical` names features; this version knows none of them."""
    return bool(value) and _is_names(value)


def check_pieces(pieces: Value) -> None:
    """Check the form of a `seen` array: ascending, distinct, each [writer, first, last, hash]."""
    if type(pieces) is not list:
        raise Malformed("seen that is not an array")
    before: list[Any] = []
    for piece in pieces:
        if not _is_piece(piece):
            raise Malformed("a piece that is not writer, first, last, hash")
        if not before < piece:
            raise Malformed("pieces that are not ascending")
        before = piece


def _is_piece(piece: Value) -> bool:
    if type(piece) is not list or len(piece) != 4:
        return False
    writer, first, last, digest = piece
    return (
        type(writer) is type(digest) is bytes
        and len(writer) == len(digest) == 16
        and type(first) is type(last) is int
        and 1 <= first <= last <= MAX_INT
    )


def check_body(content: Mapping[str, Any], body: Value) -> None:
    """Check a decoded body against its envelope and its kind."""
    fields = body.get("set") if type(body) is dict else None
    if type(fields) is not dict:
        raise Malformed("a body without set")
    # Code points ascend exactly as their UTF-8 bytes do.
    if sorted(fields) != content["fields"]:
        raise Malformed("a body that sets other fields than its envelope says")
    for name, value in fields.items():
        check_field(name, value)
    if len(body) > 1:
        _check_links(content, body)
    kind = content["kind"]
    if (content["seq"] == 1) != (kind == "writer.open"):
        raise Malformed("a first event that does not open its writer")
    check = _KINDS.get(kind)
    if check is not None:
        check(content, body)


def _check_links(content: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Check the keys of a body that any kind may have."""
    if "counter" in body:
        _check_use(body["counter"])
    if "undoes" in body:
        _must(content["kind"] in UNDOABLE, "an undo that is no add, edit or delete of an account")
        _must(is_bytes(body["undoes"], 32), "an undo that names no event")


STATEMENT_KINDS = frozenset({"slot.set", "epoch.open", "device.revoke", "purge"})
"""Kinds whose body carries an admin statement."""


def check_statement(statement: Value) -> None:
    """Check the form of an admin statement, not its signature (SPEC §9)."""
    keys = {"epoch", "kind", "values", "supersedes", "signature"}
    _must(type(statement) is dict and statement.keys() == keys, "a statement with other keys than it should have")
    _must(is_bytes(statement["epoch"], 16) and is_bytes(statement["signature"], 64), "a statement unsigned")
    _must(_is_text(statement["kind"], 1, 64) and type(statement["values"]) is dict, "a statement of no kind")
    _must(_is_ascending(statement["supersedes"], lambda h: is_bytes(h, 32)), "supersedes that is not ascending")


def is_bytes(value: object, size: int) -> bool:
    """Tell whether `value` is exactly `size` bytes."""
    return type(value) is bytes and len(value) == size


def is_certificate(value: object) -> bool:
    """Tell whether `value` has the form of a certificate, [epoch, signature]."""
    return type(value) is list and len(value) == 2 and is_bytes(value[0], 16) and is_bytes(value[1], 64)


def _check_use(counter: Value) -> None:
    good = type(counter) is list and len(counter) == 2 and is_bytes(counter[0], 16) and _is_int(counter[1], 0)
    _must(good, "a counter that is not a key and a number")


def _check_account(content: Mapping[str, Any], _body: Mapping[str, Any]) -> None:
    if "account" not in content:
        raise Malformed("an account event of no account")


def _check_add(content: Mapping[str, Any], _body: Mapping[str, Any]) -> None:
    _must("account" in content and content.get("alive") is True, "an add that gives no life")


def _check_delete(content: Mapping[str, Any], _body: Mapping[str, Any]) -> None:
    _must("account" in content and content.get("alive") is False, "a delete that takes no life")
    _must(content["fields"] == [], "a delete that writes fields")


def _check_use_event(content: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    _must("account" in content and "counter" in body, "a use without account and counter")
    _must(content["fields"] == [] and "alive" not in content, "a use that writes more than a counter")


def _check_writer_open(content: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    _must(is_bytes(body.get("device"), 32) and is_bytes(body.get("nonce"), 16), "a writer opened without its key")
    _must(writer_id(body["device"], body["nonce"]) == content["writer"], "a writer that its key does not make")


def _check_device_add(content: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    _must("account" in content and is_certificate(body.get("certificate")), "a device without certificate")
    _check_label(content, body)


def _check_label(content: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    label = body["set"].get("label")
    _must("account" in content and _is_text(label, 1, 256), "a device label that is not 1 to 256 bytes of text")


def _check_retire(content: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    _must("account" in content and body["set"].get("retired") is True, "a device retired without saying so")


_OWN = {"uuid": str, "key": bytes, "nonce": bytes, "tag": bytes, "salt": bytes, "n": int, "r": int, "p": int}


def _check_slot_set(_content: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    check_statement(body.get("statement"))
    statement = body["statement"]
    _must(statement["kind"] == "slot.set", "a statement of another kind")
    slots, own = statement["values"].get("slots"), statement["values"].get("own")
    _must(type(slots) is list and all(is_bytes(s, 32) for s in slots), "slots that are not file hashes")
    _must(type(own) is dict and {key: type(part) for key, part in own.items()} == _OWN, "no own slot")


def _check_pack(_content: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    replaced = body.get("replaced")
    _must(type(replaced) is list and all(is_bytes(h, 32) for h in replaced), "a pack that replaces nothing")
    _must(is_bytes(body.get("file"), 32), "a pack without its file")


def _check_statement_body(_content: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    check_statement(body.get("statement"))


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], None]] = {
    "account.add": _check_add,
    "account.edit": _check_account,
    "account.delete": _check_delete,
    "account.use": _check_use_event,
    "writer.open": _check_writer_open,
    "device.add": _check_device_add,
    "device.rename": _check_label,
    "device.retire": _check_retire,
    "slot.set": _check_slot_set,
    "epoch.open": _check_statement_body,
    "device.revoke": _check_statement_body,
    "purge": _check_statement_body,
    "pack": _check_pack,
}


def _is_int(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _is_text(value: object, least: int, most: int) -> bool:
    return type(value) is str and least <= len(value.encode()) <= most


def _is_names(value: object) -> bool:
    """Tell whether `value` is an array of field names: text, not empty, none of them `live`, strictly ascending."""
    if type(value) is not list:
        return False
    before = ""
    for name in value:
        if type(name) is not str or not before < name or name == "live":
            return False
        before = name
    return True


def _is_ascending(value: object, each: Callable[[Any], bool]) -> bool:
    """Tell whether `value` is an array of good items, strictly ascending by bytes."""
    if type(value) is not list or not all(each(item) for item in value):
        return False
    return all(a < b for a, b in pairwise(value))


def _must(holds: bool, broken: str) -> None:
    if not holds:
        raise Malformed(broken)
