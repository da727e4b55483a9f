"""Events as text: time, device, what, and what it was before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otpkeep_cli.render.masks import masked
from otpkeep_cli.render.plain import account_text, plain, short
from otpkeep_cli.render.struck import struck

_LONG = 60


def log_text(rows: Any, *, strike: bool = False) -> str:
    """Return the rows, each a line and one more for each change; secrets masked; undone ones struck if asked."""
    return "\n".join(event_text(row, strike=strike) for row in rows)


def event_text(row: Any, *, strike: bool = False) -> str:
    """Return one event as a line, and below it its changes; struck, for a terminal, if asked and it is undone."""
    lines = [_head(row), *(f"    {line}" for line in changes_lines(row.get("changes") or {}))]
    return "\n".join(map(struck, lines) if strike and row.get("undone") else lines)


def changes_lines(changes: Mapping[str, Any]) -> list[str]:
    """Return `field: old -> new` for each change; an absent old or new value is left out."""
    return [f"{plain(field)}: {_change(pair)}" for field, pair in _visible(changes)]


def value_text(value: object, longest: int | None = _LONG) -> str:
    """Return a field's value on one line, shortened to `longest` characters."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{plain(key)} {value_text(inner, None)}" for key, inner in value.items() if inner is not None)
    elif isinstance(value, list | tuple):
        text = ", ".join(value_text(inner, None) for inner in value)
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = plain(value)
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"


def _head(row: Mapping[str, Any]) -> str:
    subject = f"{account_text(row)} {short(row['account'])}" if row.get("account") else ""
    parts = [plain(row["time"]), plain(row["event"]), plain(row["device"]), plain(row["kind"]), subject, _marks(row)]
    return "  ".join(part for part in parts if part)


def _marks(row: Mapping[str, Any]) -> str:
    marks = [name for name in ("concurrent", "undone") if row.get(name)]
    if row.get("undoes"):
        marks.append(f"undoes {plain(row['undoes'])}")
    return f"[{', '.join(marks)}]" if marks else ""


def _visible(changes: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    shown = masked(changes)
    return shown.items() if isinstance(shown, Mapping) else ()


def _change(pair: Any) -> str:
    old, new = pair
    if old is None:
        return value_text(new) if new is not None else "unset"
    return f"{value_text(old)} -> {'unset' if new is None else value_text(new)}"
