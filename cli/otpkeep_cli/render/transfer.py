"""What came in, what went out and what was left out, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otpkeep_cli.render.plain import account_text, counted, plain, short


def import_text(result: Mapping[str, Any], *, dry_run: bool) -> str:
    """Return what an import did, or would do, with each skipped entry and its reason."""
    verb = "would be " if dry_run else ""
    counts = ", ".join(
        f"{len(result[key])} {word}"
        for key, word in (("added", f"{verb}added"), ("changed", f"{verb}changed"), ("unchanged", "unchanged"))
    )
    lines = [f"{counts}."]
    if result["skipped"]:
        lines += [f"{counted(len(result['skipped']), 'entry', 'entries')} skipped:", *reasons(result["skipped"])]
    return "\n".join([*lines, *needs_action_lines(result)])


def needs_action_lines(result: Mapping[str, Any]) -> list[str]:
    """Return a line for each account that gives no codes, and why."""
    waiting = result.get("needs_action") or []
    if not waiting:
        return []
    accounts = len({item["id"] for item in waiting})
    head = f"{counted(accounts, 'account needs', 'accounts need')} something of you:"
    return [head, *(f"  {short(item['id'])}  {_named(item)}{plain(item['reason'])}" for item in waiting)]


def _named(item: Mapping[str, Any]) -> str:
    """Return what a person calls the account, where it is told."""
    return f"{account_text(item)}: " if item.get("issuer") or item.get("name") else ""


def reasons(skipped: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return an indented line for each entry that was left out; a full id is shortened."""
    return [f"  {_entry(item['entry'])}: {plain(item['reason'])}" for item in skipped]


def export_text(result: Mapping[str, Any]) -> str:
    """Return what was written where."""
    accounts = counted(result["accounts"], "account")
    return f"{accounts} written to {plain(result['file'])} as {plain(result['format'])}."


def _entry(entry: object) -> str:
    text = plain(entry)
    return short(text) if len(text) == 32 and " " not in text else text
