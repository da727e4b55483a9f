"""The settings as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otpkeep_cli.render.plain import plain


def settings_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return each setting with its value, where that comes from, and what it is."""
    return "\n".join(_row(row) for row in rows)


def value_text(row: Mapping[str, Any]) -> str:
    """Return one value, as a script wants it: bare."""
    return _bare(row["value"])


def set_text(row: Mapping[str, Any]) -> str:
    """Return what was set, and whether the daemon goes by it."""
    said = "The running daemon goes by it now." if row["applied"] else "It counts from the next start of the daemon."
    if row["trouble"] is not None:
        said = f"The file has another mistake: {plain(row['trouble'])}"
    if "value" not in row:
        return f"{plain(row['key'])} is no longer in the file. {said}"
    default = " (the default)" if row["source"] == "default" else ""
    return f"{row['key']} is {_quoted(row['value'])}{default}. {said}"


def _row(row: Mapping[str, Any]) -> str:
    origin = "default" if row["source"] == "default" else f"set in the file; default {_quoted(row['default'])}"
    line = f"{row['key']} = {_quoted(row['value'])}  ({origin})"
    return f"{line}\n    {row['description']} Allowed: {row['allowed']}."


def _bare(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else plain(value)


def _quoted(value: object) -> str:
    return f'"{plain(value)}"' if isinstance(value, str) else _bare(value)
