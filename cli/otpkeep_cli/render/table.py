"""Rows as aligned columns."""

from __future__ import annotations

import io
from collections.abc import Sequence


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Return the rows under their headers, folded to `width` columns; cells are text, never markup.

    A column without a single value is left out.
    """
    from rich.console import Console  # rich costs 50 ms, and most commands print no table
    from rich.table import Table  # as above
    from rich.text import Text  # as above

    kept = [column for column in range(len(headers)) if any(row[column] for row in rows)]
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in kept:
        grid.add_column(Text(headers[column].upper()), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(row[column]) for column in kept))
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, legacy_windows=False).print(grid)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Return `label: value` lines with the values aligned; rows without a value are left out."""
    kept = [(label, value) for label, value in rows if value]
    widest = max((len(label) for label, _ in kept), default=0)
    return "\n".join(f"{label + ':':<{widest + 1}} {value}" for label, value in kept)
