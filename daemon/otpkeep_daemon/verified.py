"""The last verification of the folder: when it was, how long it took, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otpkeep_daemon.problem import problem
from otpkeep_daemon.rows import timestamp
from otpkeep_daemon.store import Store
from otpkeep_protocol import wire

_KEY = "verified"
_LIMIT = 16_384
_LONGEST = 500
"""Characters that are kept of the first problem's message."""
OTHERS = "other-vault"
"""A file of another vault puts this one in no doubt; `status` names it anyway."""


def keep(store: Store, result: Mapping[str, Any], began_ms: int, took_ms: int) -> None:
    """Remember the answer of a verification. One of names alone takes back nothing that a deeper one found."""
    last = last_verified(store)
    if result["depth"] == "names" and last is not None and not last["ok"]:
        return
    problems = [problem for problem in result["problems"] if problem["kind"] != OTHERS]
    value = {
        "when": max(0, began_ms),
        "took": max(0, took_ms),
        "depth": result["depth"],
        "ok": not problems,
        "files": result["files"],
        "events": result["events"],
        "problems": len(problems),
        "first": _words(problems[0]) if problems else "",
    }
    with store.transaction():
        store.put(_KEY, wire.encode(value))


def last_verified(store: Store) -> dict[str, Any] | None:
    """Return {time, duration_ms, depth, ok, files, events, problems: their number} as `status` shows it, or None."""
    kept = _kept(store)
    if kept is None:
        return None
    shown = {key: kept[key] for key in ("depth", "ok", "files", "events", "problems")}
    return {"time": timestamp(kept["when"]), "duration_ms": kept["took"], **shown}


def verify_problems(store: Store) -> list[dict[str, str]]:
    """Return the problem that the last verification found some, if it did."""
    kept = _kept(store)
    if kept is None or kept["ok"]:
        return []
    count = "a problem" if kept["problems"] == 1 else f"{kept['problems']} problems, among them"
    message = f"checking the folder on {timestamp(kept['when'])} found {count}: {kept['first']}"
    return [problem("verify", message, _HINT, "folder")]


def _kept(store: Store) -> dict[str, Any] | None:
    value = store.get(_KEY)
    return wire.decode(value, _LIMIT) if value is not None else None


def _words(problem: Mapping[str, Any]) -> str:
    name = f"{problem['file']}: " if problem["file"] else ""
    return ascii(f"{name}{problem['message']}"[:_LONGEST])[1:-1]


_HINT = "`otpkeep verify` looks again and names each with what to do; all that is saved on this device is safe."
