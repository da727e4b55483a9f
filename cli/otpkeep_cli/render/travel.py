"""What lies between two moments, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otpkeep_cli.render.history import changes_lines
from otpkeep_cli.render.plain import account_text, plain, short


def diff_text(found: Mapping[str, Any]) -> str:
    """Return a line for each account: + added, - removed, ~ changed with a line for each field; "" for none."""
    lines = [f"+ {_account(item)}" for item in found["added"]]
    lines += [f"- {_account(item)}" for item in found["removed"]]
    for item in found["changed"]:
        lines.append(f"~ {_account(item)}")
        lines += [f"    {line}" for line in changes_lines(item["changes"])]
    return "\n".join(lines)


def left_out_text(left_out: Iterable[Mapping[str, Any]]) -> str:
    """Return a line for each account of which something could not be put back."""
    return "\n".join(f"{short(item['id'])}: {plain(item['reason'])}" for item in left_out)


def _account(item: Mapping[str, Any]) -> str:
    return f"{short(item['id'])}  {account_text(item)}"
