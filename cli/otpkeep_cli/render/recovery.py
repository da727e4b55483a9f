"""What `recover` found in a folder, and what this device can do with it now, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otpkeep_cli.render.comparing import comparison_text
from otpkeep_cli.render.plain import counted, plain
from otpkeep_cli.render.transfer import needs_action_lines, reasons


def early_text(accounts: int) -> str:
    """Return what a snapshot has shown before the history is read."""
    return f"{counted(accounts, 'account is', 'accounts are')} here; reading the history."


def found_text(found: Mapping[str, Any]) -> str:
    """Return what the folder holds, for the person to compare with what they remember."""
    accounts, events = counted(found["accounts"], "account"), counted(found["events"], "event")
    lines = [f"This folder holds vault {plain(found['vault'])}: {accounts}, {events}."]
    lines += [
        f"  {plain(row['name'])}: {counted(row['events'], 'event')}, the last at {plain(row['last_event'])}"
        for row in found["devices"]
    ]
    lines += _waiting(found["waiting_for"])
    if found["unreadable"]:
        lines.append(f"{counted(found['unreadable'], 'file')} can't be read yet: not synced, or damaged.")
    lines.append(comparison_text(found.get("comparison")))
    lines.append(f"Digest: {plain(found['digest'])}. It is what `otpkeep status` shows on a device that is in step.")
    return "\n".join([*filter(None, lines), ""])


def recover_text(result: Mapping[str, Any]) -> str:
    """Return what a new device can do now, and what is left to do."""
    lines = [
        f"This device is {plain(result['device'])} of vault {plain(result['vault'])}.",
        f"{counted(len(result['ready']), 'account gives', 'accounts give')} codes now.",
        *needs_action_lines(result),
        *_waiting(result["waiting_for"]),
    ]
    if (result.get("comparison") or {}).get("doubt"):
        lines.append(comparison_text(result["comparison"]))
    if result["skipped"]:
        lines += ["Left out:", *reasons(result["skipped"])]
    if result["replaced_passphrase"]:
        lines.append("The passphrase you typed was replaced on another device. This one takes the new one from now on.")
    lines.append(f"Digest: {plain(result['digest'])}. Once synced, `otpkeep status` shows the same on every device.")
    return "\n".join(lines)


def _waiting(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return [
        f"Incomplete: waiting for {counted(row['events'], 'event')} of {plain(row['device'])}, not in the folder yet."
        for row in rows
    ]
