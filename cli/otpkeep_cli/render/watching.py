"""Watched files, and what waits for a person, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otpkeep_cli.render.plain import counted, plain, short


def watch_text(watched: Sequence[Mapping[str, Any]], added: int, held: int) -> str:
    """Return the watched files, a line each, and what the first look at one brought."""
    lines = [_line(row) for row in watched] or ["No file is watched."]
    if added:
        lines.append(f"{counted(added, 'account')} added.")
    if held:
        wait = counted(held, "account that was", "accounts that were")
        lines.append(f"{wait} deleted here before: see `otpkeep review`.")
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> str:
    ways = "both ways" if row["two_way"] else "read only"
    held = f"; {counted(len(row['held']), 'change waits', 'changes wait')} for review" if row["held"] else ""
    return f"{plain(row['path'])} ({plain(row['format'])}, {ways}){held}"


def review_text(holds: Sequence[Mapping[str, Any]], accept: bool | None) -> str:
    """Return each held change: where, why, and what it would do; or that it was decided."""
    if not holds:
        return "Nothing waits for review."
    if accept is not None:
        return "Accepted: it is done." if accept else "Rejected: the accounts stay as they are."
    return "\n".join(line for hold in holds for line in _hold(hold))


def _hold(hold: Mapping[str, Any]) -> list[str]:
    lines = [f"{plain(hold['id'])}  {plain(hold['path'])}", f"  waits since {plain(hold['reason'])}"]
    for key, words in (("adds", "would add"), ("edits", "would change"), ("deletes", "would delete")):
        if hold[key]:
            lines.append(f"  {words} {', '.join(short(ident) for ident in hold[key])}")
    return lines
