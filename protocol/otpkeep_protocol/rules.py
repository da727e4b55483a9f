"""What makes an envelope and a body valid (SPEC §4), as checks that raise Malformed with the rule broken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from typing import Any

from otpkeep_protocol.account import check_field
from otpkeep_protocol.errors import Malformed
from otpkeep_protocol.ids import writer_id
from otpkeep_protocol.wire import Value

_REQUIRED = frozenset({"v", "vault", "writer", "seq", "lamport", "wall", "seen", "kind", "fields", "body"})
_OPTIONAL = frozenset({"prev", "account", "alive", "weak", "critical"})
FEATURES: frozenset[str] = frozenset()
"""Critical features that this version understands: none have been invented yet."""
UNDOABLE = frozenset({"account.add", "account.edit", "account.delete"})
"""Kinds that may be undone, and may undo."""


def check_envelope(content: Mapping[str, Any]) -> None:
    """Check all keys of an envelope whose place in its chain is readable and whose critical features are understood."""
    keys = content.keys()
    _must(keys >= _REQUIRED and keys <= _REQUIRED | _OPTIONAL, "an envelope with missing or unknown keys")
    _must(_is_int(content["lamport"], 1), "a lamport below 1")
    _must(_is_int(content["wall"], 0), "a wall time that is not an integer of milliseconds")
    check_pieces(content["seen"])
    _must(_is_text(content["kind"], 1, 64), "a kind that is not 1 to 64 bytes of text")
    _must("critical" not in keys or _is_critical(content["critical"]), "critical that is not ascending names")
    _must("account" not in keys or is_bytes(content["account"], 16), "an account id that is not 16 bytes")
    _must("alive" not in keys or type(content["alive"]) is bool, "alive that is neither true nor false")
    _must(content.get("weak", True) is True, "weak that is not true")
    _must("account" in keys or not (content["fields"] or "alive" in keys), "fields of no account")
    _must(_is_ascending(content["fields"], _is_field_name), "fields that are not ascending names")
    _must(is_bytes(content["body"], 32), "a body hash that is not 32 bytes")


def needs_update(critical: object, understood: Collection[str]) -> bool:
    """Tell whether an envelope's `critical` names a feature that is not among the `understood`."""
    return isinstance(critical, list) and _is_critical(critical) and not set(critical) <= set(understood)


def _is_critical(value: object) -> bool:
    return bool(value) and _is_ascending(value, _is_field_name)


def check_pieces(pieces: Value) -> None:
    """Check the form of a `seen` array: ascending, distinct, each [writer, first, last, hash]."""
    _must(type(pieces) is list, "seen that is not an array")
    for piece in pieces:
        _must(
            type(piece) is list
            and len(piece) == 4
            and is_bytes(piece[0], 16)
            and _is_int(piece[1], 1)
            and _is_int(piece[2], piece[1])
            and is_bytes(piece[3], 16),
            "a piece that is not writer, first, last, hash",
        )
    _must(all(a < b for a, b in pairwise(pieces)), "pieces that are not ascending")


def check_body(content: Mapping[str, Any], body: Value) -> None:
    """Check a decoded body against its envelope and its kind."""
    _must(type(body) is dict and type(body.get("set")) is dict, "a body without set")
    _must(
        sorted(body["set"], key=str.encode) == content["fields"], "a body that sets other fields than its envelope says"
    )
    for name, value in body["set"].items():
        check_field(name, value)
    if "counter" in body:
        _check_use(body["counter"])
    if "undoes" in body:
        _must(content["kind"] in UNDOABLE, "an undo that is no add, edit or delete of an account")
        _must(is_bytes(body["undoes"], 32), "an undo that names no event")
    _must((content["seq"] == 1) == (content["kind"] == "writer.open"), "a first event that does not open its writer")
    check = _KINDS.get(content["kind"])
    if check is not None:
        check(content, body)


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
    _must("account" in content, "an account event of no account")


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


def _check_slot_set(_content: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    check_statement(body.get("statement"))
    statement = body["statement"]
    _must(statement["kind"] == "slot.set", "a statement of another kind")
    slots, own = statement["values"].get("slots"), statement["values"].get("own")
    _must(type(slots) is list and all(is_bytes(s, 32) for s in slots), "slots that are not file hashes")
    _must(type(own) is dict and own.keys() == {"uuid", "key", "nonce", "tag", "salt", "n", "r", "p"}, "no own slot")


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


def _is_field_name(value: object) -> bool:
    return type(value) is str and len(value) > 0 and value != "live"


def _is_ascending(value: object, each: Callable[[Any], bool]) -> bool:
    """Tell whether `value` is an array of good items, strictly ascending by bytes."""
    if type(value) is not list or not all(each(item) for item in value):
        return False
    keys = [item.encode() if type(item) is str else item for item in value]
    return all(a < b for a, b in pairwise(keys))


def _must(holds: bool, broken: str) -> None:
    if not holds:
        raise Malformed(broken)
