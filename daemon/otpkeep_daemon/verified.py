"""The last verifications of the folder: when they were, how long they took, and what they found.

One record for each depth. A deeper verification has looked at everything that a shallower one looks at, and takes its
place; a shallower one takes back nothing that a deeper one has found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otpkeep_daemon.findings import NOTES
from otpkeep_daemon.problem import problem
from otpkeep_daemon.rows import timestamp
from otpkeep_daemon.store import Store
from otpkeep_protocol import wire

DEPTHS = ("names", "content", "rebuild")
"""From shallow to deep."""
_DRILL = "drill"
_LIMIT = 16_384
_LONGEST = 500
"""Characters that are kept of the first problem's message."""


def keep(store: Store, result: Mapping[str, Any], began_ms: int, took_ms: int) -> None:
    """Remember the answer of a verification, and of a restore drill, if it made one."""
    doubts = [problem for problem in result["problems"] if problem["kind"] not in NOTES]
    value = _value(result, doubts, began_ms, took_ms) | {"depth": result["depth"]}
    drill = result.get("drill")
    with store.transaction():
        for depth in DEPTHS[: DEPTHS.index(result["depth"]) + 1]:
            store.put(_key(depth), wire.encode(value))
        if drill is not None:
            failed = [problem for problem in doubts if problem["kind"] in ("rebuild", "no-slot")]
            kept = _value(drill, failed, began_ms, drill["duration_ms"]) | {"accounts": drill["accounts"]}
            store.put(_key(_DRILL), wire.encode(kept))


def _value(
    result: Mapping[str, Any], doubts: list[Mapping[str, Any]], began_ms: int, took_ms: int
) -> dict[str, wire.Value]:
    return {
        "when": max(0, began_ms),
        "took": max(0, took_ms),
        "ok": not doubts,
        "files": result["files"],
        "events": result["events"],
        "problems": len(doubts),
        "first": _words(doubts[0]) if doubts else "",
    }


def last_verified(store: Store) -> dict[str, Any] | None:
    """Return {time, duration_ms, depth, ok, files, events, problems: their number} as `status` shows it, or None.

    It is the last one; but as long as a deeper one stands that found something, that one.
    """
    kept = _telling(store)
    if kept is None:
        return None
    return _shown(kept) | {"depth": kept["depth"]}


def last_drill(store: Store) -> dict[str, Any] | None:
    """Return {time, duration_ms, ok, files, events, accounts, problems} of the last restore drill, or None."""
    kept = _kept(store, _DRILL)
    return None if kept is None else _shown(kept) | {"accounts": kept["accounts"]}


def verify_problems(store: Store) -> list[dict[str, str]]:
    """Return the problems that the last verification, and the last restore drill, found some, if they did."""
    checked, drilled, found = _telling(store), _kept(store, _DRILL), []
    if checked is not None and not checked["ok"]:
        found.append(_problem("verify", "checking the folder", checked, _HINT))
    if drilled is not None and not drilled["ok"]:
        found.append(_problem("drill", "the restore drill", drilled, _DRILL_HINT))
    return found


def _problem(kind: str, what: str, kept: Mapping[str, Any], hint: str) -> dict[str, str]:
    count = "a problem" if kept["problems"] == 1 else f"{kept['problems']} problems, among them"
    message = f"{what} on {timestamp(kept['when'])} found {count}: {kept['first']}"
    return problem(kind, message, hint, "folder")


def _telling(store: Store) -> dict[str, Any] | None:
    """Return the record to show: names always has the newest, content stands above it where it found something."""
    newest, content = _kept(store, "names"), _kept(store, "content")
    return content if content is not None and not content["ok"] else newest


def _kept(store: Store, depth: str) -> dict[str, Any] | None:
    value = store.get(_key(depth))
    return wire.decode(value, _LIMIT) if value is not None else None


def _key(depth: str) -> str:
    return f"verified.{depth}"


def _shown(kept: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: kept[key] for key in ("ok", "files", "events", "problems")}
    return {"time": timestamp(kept["when"]), "duration_ms": kept["took"], **shown}


def _words(problem: Mapping[str, Any]) -> str:
    name = f"{problem['file']}: " if problem["file"] else ""
    return ascii(f"{name}{problem['message']}"[:_LONGEST])[1:-1]


_HINT = "`otpkeep verify` looks again and names each with what to do; all that is saved on this device is safe."
_DRILL_HINT = "`otpkeep verify --repair --depth rebuild` mends what it can and drills again; nothing here is lost."
