"""Secrets taken out of what is shown whatever was asked for."""

from __future__ import annotations

from collections.abc import Mapping

MASK = "***"
"""What the daemon writes for a secret too; a text that begins with it may say more about the change."""
_SECRET = frozenset({"secret", "pin", "counter_key", "otp_secret"})


def masked(value: object) -> object:
    """Return `value` with everything under a secret key masked, at any depth; absent values stay null."""
    if isinstance(value, Mapping):
        return {key: _mask(inner) if key in _SECRET else masked(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    return value


def _mask(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_mask(inner) for inner in value]
    is_masked = isinstance(value, str) and value.startswith(MASK)
    return value if value is None or is_masked else MASK
