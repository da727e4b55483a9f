"""The doctor's report as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otpkeep_cli.render.plain import counted, plain

_SIGNS = {False: "!", None: "?", True: "ok"}


def report_text(found: Mapping[str, Any]) -> str:
    """Return what is wrong with its repair, then what could not be checked, then what is well."""
    lines = []
    for ok, sign in _SIGNS.items():
        for one in found["checks"]:
            if one["ok"] is ok:
                lines.append(f"{sign} {plain(one['check'])}: {plain(one['message'])}")
                lines += [f"  {plain(one['hint'])}"] if one["hint"] else []
    wrong = sum(one["ok"] is False for one in found["checks"])
    lines.append(f"\n{counted(wrong, 'finding')}." if wrong else "\nNothing is wrong.")
    return "\n".join(lines)
