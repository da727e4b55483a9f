"""Accounts as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otpkeep_cli.render.history import log_text, value_text
from otpkeep_cli.render.plain import plain, plain_lines, short
from otpkeep_cli.render.table import pairs, table

_HEADERS = ("id", "issuer", "name", "type", "tags", "marks", "secret", "pin")
_OTP_KEYS = ("type", "algorithm", "digits", "period", "counter")


def list_text(items: Sequence[Mapping[str, Any]], width: int) -> str:
    """Return a table of the accounts, and below it what loses in each conflict; "" for none."""
    if not items:
        return ""
    lines = [table(_HEADERS, [_row(item) for item in items], width)]
    for item in items:
        lines += [f"{short(item['id'])}  {line}" for line in conflict_lines(item)]
    return "\n".join(lines)


def show_text(item: Mapping[str, Any], *, strike: bool = False) -> str:
    """Return everything about one account, and its history newest first, undone events struck if asked."""
    facts = [
        ("Id", plain(item["id"])),
        ("Issuer", plain(item.get("issuer") or "")),
        ("Name", plain(item.get("name") or "")),
        ("Codes", _otp(item)),
        ("Secret", plain(item.get("secret") or "")),
        ("PIN", plain(item.get("pin") or "")),
        ("Tags", _tags(item)),
        ("Marks", _marks(item)),
        ("Created", plain(item.get("created") or "")),
        ("Changed", plain(item.get("changed") or "")),
    ]
    parts = [pairs(facts)]
    if item.get("note"):
        parts.append("\n".join(f"  {line}" for line in plain_lines(item["note"])))
    if conflicts := conflict_lines(item):
        parts.append("\n".join(conflicts))
    if item.get("history"):
        parts.append(log_text(item["history"], strike=strike))
    return "\n\n".join(parts)


def conflict_lines(item: Mapping[str, Any]) -> list[str]:
    """Return a line for each value that another device wrote at the same time and that does not count now."""
    lines = []
    for field, values in (item.get("conflict") or {}).items():
        for other in values:
            shown = value_text(other["value"], longest=None)
            device, moment = plain(other["device"]), plain(other["time"])
            lines.append(f"{plain(field)} was also set by {device} at {moment}: {shown}")
    return lines


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        short(item["id"]),
        plain(item.get("issuer") or ""),
        plain(item.get("name") or ""),
        plain(item.get("type") or ""),
        _tags(item),
        _marks(item),
        plain(item.get("secret") or ""),
        plain(item.get("pin") or ""),
    )


def _tags(item: Mapping[str, Any]) -> str:
    return ", ".join(plain(tag) for tag in item.get("tags") or ())


def _marks(item: Mapping[str, Any]) -> str:
    marks = {
        "favourite": item.get("favourite"),
        "this device only": item.get("placeholder") and item.get("ready"),
        "set up again": item.get("placeholder") and not item.get("ready"),
        "conflict": item.get("conflict"),
        "deleted": item.get("deleted"),
    }
    return ", ".join(mark for mark, holds in marks.items() if holds)


def _otp(item: Mapping[str, Any]) -> str:
    units = {"digits": "digits", "period": "s"}
    words = []
    for key in _OTP_KEYS:
        value = item.get(key)
        if value is not None:
            words.append(f"counter {value}" if key == "counter" else f"{plain(value)} {units.get(key, '')}".strip())
    return ", ".join(words)
