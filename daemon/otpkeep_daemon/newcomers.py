"""Devices that joined the vault after this one, and when this device first heard of them."""

from __future__ import annotations

from collections.abc import Mapping

from otpkeep_daemon.store import Store
from otpkeep_protocol import wire

NEWS_MS = 7 * 24 * 3600 * 1000
"""For so long a new device is news."""
_KEY = "devices.noticed"
_LIMIT = 1_048_576


def note(store: Store, now_ms: int) -> None:
    """Write down which devices are new. Called under the lock, after each pass.

    The first time, all there are count as known: they are what a person who has just recovered was shown.
    """
    known, present = _noticed(store), set(store.writers().values())
    if known is not None and present <= known.keys():
        return
    since = 0 if known is None else max(0, now_ms)
    noticed = dict.fromkeys(sorted(present), since) | (known or {})
    with store.transaction():
        store.put(_KEY, wire.encode([[device, when] for device, when in sorted(noticed.items())]))


def newcomers(store: Store, now_ms: int) -> Mapping[bytes, int]:
    """Return the other devices that are news, each with when (ms) this one first heard of it."""
    own = store.get("device")
    return {
        device: when
        for device, when in (_noticed(store) or {}).items()
        if device != own and when and abs(now_ms - when) < NEWS_MS
    }


def _noticed(store: Store) -> dict[bytes, int] | None:
    """Return when each device was first heard of, 0 if it was there before; None if nothing was noted yet."""
    kept = store.get(_KEY)
    return None if kept is None else dict(wire.decode(kept, _LIMIT))
