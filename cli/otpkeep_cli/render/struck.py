"""Text struck out for a terminal, as far as that terminal can."""

from __future__ import annotations

import io


def struck(line: str) -> str:
    """Return `line` in the escapes of a terminal; as it is where TERM names one without any."""
    from rich.console import Console  # rich costs 50 ms, and few logs have undone events
    from rich.text import Text  # as above

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, legacy_windows=False)
    console.print(Text(line, style="strike"), soft_wrap=True, end="")
    return out.getvalue()
