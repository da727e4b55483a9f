"""The devices of the vault: who they are, what they are called, and who no longer takes part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otpkeep_daemon import report
from otpkeep_daemon.finding import ID_DIGITS
from otpkeep_daemon.replica import returning
from otpkeep_daemon.service import Args, Service
from otpkeep_protocol.errors import Ambiguous, NotFound, Refused, Usage
from otpkeep_protocol.events import Draft

LABEL_BYTES = 256


def devices(service: Service, _args: Args) -> list[dict[str, Any]]:
    """Return the devices."""
    return report.devices(service.store, service.open)


def retire(service: Service, args: Args) -> dict[str, Any]:
    """Retire `device`, or with `undo` make it active again; this very device only if it is meant by `own`."""
    row = _find(devices(service, args), args["device"])
    if args["undo"] == (row["state"] == "active"):
        return _answer(service, row, [])
    device = bytes.fromhex(row["id"])
    if args["undo"]:
        return _answer(service, row, [returning(device)])
    if row["this"] and not args["own"]:
        raise Usage("That is this very device; nothing was changed.", "Say --yes if it is to be retired all the same.")
    return _answer(service, row, [Draft("device.retire", device, values={"retired": True})])


def rename(service: Service, args: Args) -> dict[str, Any]:
    """Give `device` the name `label`."""
    rows, label = devices(service, args), args["label"].strip()
    row = _find(rows, args["device"])
    if not 0 < len(label.encode()) <= LABEL_BYTES or not label.isprintable():
        raise Usage(f"A name has 1 to {LABEL_BYTES} bytes and no control characters.", "Choose another one.")
    if any(_is_called(other, label) and other is not row for other in rows):
        raise Refused("another device has this name already; nothing was changed", "Choose another one.")
    if row["name"] == label:
        return _answer(service, row, [])
    return _answer(service, row, [Draft("device.rename", bytes.fromhex(row["id"]), values={"label": label})])


def _answer(service: Service, row: dict[str, Any], drafts: list[Draft]) -> dict[str, Any]:
    device = bytes.fromhex(row["id"])
    made = service.open.replica.commit(drafts)[-1] if drafts else None
    after = next(r for r in devices(service, {}) if r["id"] == row["id"])
    return service.edited(device, made) | {"name": after["name"], "state": after["state"]}


def _find(rows: Sequence[dict[str, Any]], text: str) -> dict[str, Any]:
    """Return the device of which `text` is the id, six or more digits of it, or the name."""
    wanted = text.strip()
    by_id = [row for row in rows if len(wanted) >= ID_DIGITS and row["id"].startswith(wanted.lower())]
    found = by_id or [row for row in rows if _is_called(row, wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(row["id"][:8] for row in found[:5])
        data = {"candidates": [{"id": row["id"], "name": row["name"]} for row in found]}
        raise Ambiguous(f"these words fit {len(found)} devices: {ids}", "Use an id from `otpkeep devices`.", data)
    raise NotFound("no device has this name or id", "`otpkeep devices` lists them.")


def _is_called(row: dict[str, Any], label: str) -> bool:
    return bool(row["name"].casefold() == label.casefold())
