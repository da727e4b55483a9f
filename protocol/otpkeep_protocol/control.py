"""Requests and replies between a command and the daemon: one msgpack map each, behind a u32 length.

request {v, op, args, keyring?}      keyring: for one request to a locked daemon, without the admin seed
reply   {v, result} or {v, error: {kind, message, hint, data}}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgpack

from otpkeep_protocol.errors import Malformed, OtpkeepError, UnknownVersion, by_kind

Call: TypeAlias = Callable[[str, Mapping[str, Any]], Any]
"""Carries out one operation of the service with its arguments; returns its answer or raises its OtpkeepError."""

VERSION = 1
LENGTH_SIZE = 4
REQUEST_LIMIT = 67_108_864
REPLY_LIMIT = 268_435_456


@dataclass(frozen=True, slots=True)
class Request:
    """What a command asks: an operation, its arguments, and a keyring's canonical bytes if it brings keys along."""

    op: str
    args: Mapping[str, Any] = field(repr=False)
    keyring: bytes | None = field(default=None, repr=False)


def encode_request(request: Request) -> bytes:
    """Return the framed bytes of a request. Malformed if it is too large to send."""
    return _frame({"v": VERSION, "op": request.op, "args": request.args, "keyring": request.keyring}, REQUEST_LIMIT)


def decode_request(data: bytes) -> Request:
    """Return the request of unframed bytes. Malformed, or UnknownVersion if another otpkeep sent it."""
    value = _unpack(data)
    op, args, keyring = value.get("op"), value.get("args"), value.get("keyring")
    if not isinstance(op, str) or not isinstance(args, dict) or not isinstance(keyring, bytes | None):
        raise Malformed("not a request")
    return Request(op, args, keyring)


def encode_result(result: Any) -> bytes:
    """Return the framed bytes of a successful reply."""
    return _frame({"v": VERSION, "result": result}, REPLY_LIMIT)


def encode_error(error: OtpkeepError) -> bytes:
    """Return the framed bytes of a failed reply."""
    said = {"kind": error.kind, "message": error.message, "hint": error.hint, "data": error.data}
    return _frame({"v": VERSION, "error": said}, REPLY_LIMIT)


def decode_reply(data: bytes) -> Any:
    """Return the result of a reply, or raise the error that it carries."""
    value = _unpack(data)
    if "error" not in value:
        return value.get("result")
    error = value["error"]
    raise by_kind(error["kind"], error["message"], error["hint"], error["data"])


def read_length(prefix: bytes, limit: int) -> int:
    """Return the length that a frame announces. Malformed if it is beyond `limit`."""
    length = int.from_bytes(prefix, "big")
    if length > limit:
        raise Malformed("a message larger than this socket carries")
    return length


def _frame(value: Mapping[str, Any], limit: int) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogateescape")
    if len(packed) > limit:
        raise Malformed("a message larger than this socket carries")
    return len(packed).to_bytes(LENGTH_SIZE, "big") + packed


def _unpack(data: bytes) -> dict[str, Any]:
    try:
        value = msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape")
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError) as error:
        raise Malformed("a message that is not msgpack") from error
    if not isinstance(value, dict):
        raise Malformed("a message that is not a map")
    if value.get("v") != VERSION:
        raise UnknownVersion(
            "the daemon and this command are of different versions; nothing was changed",
            "Restart the daemon after an update.",
        )
    return value
