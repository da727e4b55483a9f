"""Requests and replies between a command and the daemon: one msgpack map each, behind a u32 length.

request {v, op, args, keyring?}      keyring: for one request to a locked daemon, without the admin seed
reply   {v, result} or {v, error: {kind, message, hint, data}}

The version rises when a request or an answer changes its meaning; an operation that is new alone needs no new version,
since a daemon that does not know it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgpack

from otpkeep_protocol.errors import Malformed, OtpkeepError, UnknownVersion, by_kind
from otpkeep_protocol.wire import count_through

Call: TypeAlias = Callable[[str, Mapping[str, Any]], Any]
"""Carries out one operation of the service with its arguments; returns its answer or raises its OtpkeepError."""

VERSION = 1
RESTART = "Restart the daemon: otpkeep service restart, or end `otpkeep daemon run` and start it again."
"""The hint for a daemon that is older than the command."""
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
    if (version := value.get("v")) != VERSION:
        raise _skew(command=version, daemon=VERSION)
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
    """Return the result of a reply, or raise the error that it carries; UnknownVersion if another otpkeep sent it."""
    value = _unpack(data)
    if (version := value.get("v")) != VERSION:
        raise _skew(command=VERSION, daemon=version)
    if "error" not in value:
        return value.get("result")
    raise _carried(value["error"])


def _carried(error: Any) -> OtpkeepError:
    """Return the error of a reply. Malformed if it is not one: anything at all may listen at a socket."""
    if not isinstance(error, dict):
        raise Malformed("a reply that is neither a result nor an error")
    kind, message, hint, data = (error.get(key) for key in ("kind", "message", "hint", "data"))
    if not (isinstance(kind, str) and isinstance(message, str) and isinstance(hint, str) and isinstance(data, dict)):
        raise Malformed("a reply that is neither a result nor an error")
    return by_kind(kind, message, hint, data)


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
        count_through(data)
        value = msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape")
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError, OverflowError) as error:
        raise Malformed("a message that is not msgpack") from error
    if not isinstance(value, dict):
        raise Malformed("a message that is not a map")
    return value


def _skew(*, command: object, daemon: object) -> UnknownVersion:
    """Return the error of two that speak different versions; what the other end claims may be anything at all."""
    here, there = (version if isinstance(version, int) else 0 for version in (command, daemon))
    message = f"this command speaks version {here} with the daemon, which speaks version {there}; nothing was changed"
    if here > there:
        return UnknownVersion(f"The running daemon is of an older otpkeep: {message}.", RESTART)
    hint = "Use the otpkeep that the daemon is of, or install this one anew. " + RESTART
    return UnknownVersion(f"This command is of an older otpkeep: {message}.", hint)
