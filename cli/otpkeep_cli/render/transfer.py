"""What came in, what went out and what was left out, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otpkeep_cli.render.plain import counted, plain, short


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


def recover_text(result: Mapping[str, Any]) -> str:
    """Return what a new device can do now, and what is left to do."""
    lines = [
        f"This device is {plain(result['device'])} of vault {plain(result['vault'])}.",
        f"{counted(len(result['ready']), 'account gives', 'accounts give')} codes now.",
        *needs_action_lines(result),
    ]
    for waiting in result["waiting_for"]:
        missing = counted(_number(waiting["events"]), "event")
        lines.append(f"Waiting for {missing} of {plain(waiting['device'])} that the folder does not have yet.")
    if result["skipped"]:
        lines += ["Left out:", *reasons(result["skipped"])]
    if result["replaced_passphrase"]:
        lines.append("The passphrase you typed was replaced on another device. This one takes the new one from now on.")
    lines.append(f"Digest: {plain(result['digest'])}. Once synced, `otpkeep status` shows the same on every device.")
    return "\n".join(lines)


def needs_action_lines(result: Mapping[str, Any]) -> list[str]:
    """Return a line for each account that gives no codes, and why."""
    waiting = result.get("needs_action") or []
    if not waiting:
        return []
    head = f"{counted(len(waiting), 'account needs', 'accounts need')} something of you:"
    return [head, *(f"  {short(item['id'])}  {plain(item['reason'])}" for item in waiting)]


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


def _number(events: object) -> int:
    """Return how many events `events` stands for: a number or a list."""
    return len(events) if isinstance(events, list) else int(str(events))
