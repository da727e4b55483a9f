"""Values of the protocol as the plain rows that commands print; secrets are masked unless asked for."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from otpkeep_daemon.formats import base32
from otpkeep_protocol.comparing import Pair
from otpkeep_protocol.events import Event
from otpkeep_protocol.history import Entry
from otpkeep_protocol.ids import DeviceId, WriterId, event_name
from otpkeep_protocol.state import State, comparable
from otpkeep_protocol.view import View

MASK = "***"


def timestamp(wall_ms: int) -> str:
    """Return RFC 3339 UTC of milliseconds since 1970, however far off the clock was that made them."""
    try:
        moment = datetime.datetime.fromtimestamp(wall_ms / 1000, tz=datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"@{wall_ms}"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Names:
    """What devices are called: labels from the state, devices of writers from the store."""

    def __init__(self, state: State, devices: Mapping[WriterId, DeviceId]) -> None:
        self._state = state
        self._devices = devices

    def label(self, device: DeviceId) -> str:
        """Return the label of a device, or the beginning of its id while its label has not arrived."""
        subject = self._state.subjects.get(device)
        register = subject.registers.get("label") if subject is not None else None
        winner = register.winner() if register is not None else None
        if winner is None or not isinstance(winner.written.value, str):
            return device.hex()[:8]
        return winner.written.value

    def of_writer(self, writer: WriterId) -> str:
        """Return the label of the device that writes as `writer`."""
        device = self._devices.get(writer)
        return self.label(device) if device is not None else writer.hex()[:8]


def account_row(shown: View, names: Names, *, ready: bool, secret: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return one account as `list` prints it; `secret` is its otp if the person asked to see it."""
    otp = shown.values.get("otp") or {}
    row = {
        "id": shown.account.hex(),
        "type": otp.get("type", otp.get("placeholder")),
        "issuer": shown.values.get("issuer", ""),
        "name": shown.values.get("name", ""),
        "algorithm": otp.get("algorithm"),
        "digits": otp.get("digits"),
        "period": otp.get("period"),
        "counter": shown.counter,
        "note": shown.values.get("note", ""),
        "tags": shown.values.get("tags", []),
        "favourite": shown.values.get("favourite", False),
        "placeholder": "placeholder" in otp,
        "ready": ready,
        "deleted": shown.deleted,
        "created": timestamp(shown.born),
        "changed": timestamp(shown.changed),
        "conflict": _conflicts(shown, names, reveal=secret is not None),
    }
    if secret is not None:
        row |= {"secret": _text(secret), "pin": secret.get("pin")}
    return row


def _conflicts(shown: View, names: Names, *, reveal: bool) -> dict[str, list[dict[str, Any]]] | None:
    conflicts = {
        field: [
            {
                "value": plain(field, loser.written.value, reveal=reveal),
                "device": names.of_writer(loser.dot.writer),
                "time": timestamp(loser.written.wall),
            }
            for loser in losers
        ]
        for field, losers in shown.conflicts.items()
    }
    return conflicts or None


def log_row(entry: Entry, current: View | None, names: Names) -> dict[str, Any]:
    """Return one event as `log` prints it; `current` is its account as it is now."""
    event, values = entry.event, current.values if current is not None else {}
    return {
        "event": event_name(event.dot.writer, event.dot.seq),
        "time": timestamp(event.wall),
        "device": names.of_writer(event.dot.writer),
        "kind": event.kind if event.problem is None else "invalid",
        "account": event.account.hex() if current is not None and event.account is not None else None,
        "issuer": values.get("issuer", ""),
        "name": values.get("name", ""),
        "changes": changes(event, entry.before) | _life(entry),
        "concurrent": entry.concurrent,
        "undone": entry.undone,
        **({"undoes": event_name(entry.undoes.writer, entry.undoes.seq)} if entry.undoes is not None else {}),
        **({"problem": event.problem} if event.problem is not None else {}),
    }


def changes(event: Event, before: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return field → [old, new] of what an event wrote, without secrets; of a use, the counter."""
    used = event.extra.get("counter")
    if used is not None:
        return {"counter": [used[1] - 1, used[1]]}
    if event.values is None:
        return {field: [plain(field, before.get(field)), "(gone)"] for field in event.fields}
    return {field: _change(field, before.get(field), value) for field, value in event.values.items()}


def _life(entry: Entry) -> dict[str, list[Any]]:
    """Return the change of an edit that brought an account back, or took it; adds and deletes say so themselves."""
    event = entry.event
    if event.kind != "account.edit" or event.alive is None or entry.lived is None or event.alive == entry.lived:
        return {}
    return {"deleted": [not entry.lived, not event.alive]}


def differences(pair: Pair) -> dict[str, list[Any]]:
    """Return field → [old, new] of an account that lives in two states, without secrets."""
    old, new = pair.old, pair.new
    assert old is not None
    assert new is not None
    found = {field: _change(field, _known(field, old), _known(field, new)) for field in pair.fields}
    if pair.counted:
        if "otp" in found and found["otp"][0] == found["otp"][1]:
            del found["otp"]
        found["counter"] = [old.counter, new.counter]
    return found


def written(values: Mapping[str, Any], before: View) -> dict[str, list[Any]]:
    """Return field → [old, new] of what an edit is about to write, without secrets."""
    return {field: _change(field, _known(field, before), value) for field, value in values.items()}


def _known(field: str, shown: View) -> Any:
    return "(gone)" if field in shown.unknown else shown.values.get(field)


def _change(field: str, old: Any, new: Any) -> list[Any]:
    shown = [plain(field, old), plain(field, new)]
    if field == "otp" and isinstance(new, dict) and isinstance(old, dict):
        replaced = (new.get("secret"), new.get("pin")) != (old.get("secret"), old.get("pin"))
        if replaced and "secret" in new:
            shown[1]["secret"] = f"{MASK} (another one)"
    return shown


def plain(field: str, value: Any, *, reveal: bool = False) -> Any:
    """Return a field's value as JSON can carry it."""
    if field == "otp" and isinstance(value, dict):
        shown = {key: part for key, part in comparable("otp", value).items() if key != "pin" or reveal}
        if "secret" in shown:
            shown["secret"] = _text(value) if reveal else MASK
        return shown
    return _json(value)


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    if isinstance(value, dict):
        return {key: _json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json(part) for part in value]
    return value


def _text(otp: Mapping[str, Any]) -> str | None:
    """Return a secret as its kind is written: mOTP in hex, everything else in base32."""
    secret: bytes | None = otp.get("secret")
    if secret is None:
        return None
    return secret.hex() if otp.get("type") == "motp" else base32.encode(secret)
