"""A code as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from otpkeep_cli.render.plain import account_text, plain


def code_text(found: Mapping[str, Any], now: float | None, *, at_given: bool) -> str:
    """Return the code alone for a pipe (`now` is None); else with its account and how long it holds.

    `now` is in seconds since 1970 UTC; with `at_given` the window is shown, not the seconds left.
    """
    digits = plain(found["code"])
    if now is None:
        return digits
    return f"{digits}   {account_text(found)}, {_validity(found, now, at_given)}"


def _validity(found: Mapping[str, Any], now: float, at_given: bool) -> str:
    if "valid_until" not in found:
        return f"counter {found['counter']}"
    if at_given:
        return f"valid from {plain(found['valid_from'])} until {plain(found['valid_until'])}"
    from datetime import datetime  # a piped code needs none

    left = datetime.fromisoformat(found["valid_until"]).timestamp() - now
    return f"{max(0, math.ceil(left))} s left"
