"""What was told of each alarm, kept in the store, so that a restart repeats nothing."""

from __future__ import annotations

from collections.abc import Mapping

from otpkeep_daemon.alarms import Key, Told
from otpkeep_daemon.database import translated
from otpkeep_daemon.store import Store
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import wire

_KEY = "alarms"
_LIMIT = 1_048_576


class AlarmMemory:
    """Reads and writes it, under the service's lock. The times in the file are whole milliseconds."""

    def __init__(self, store: Store, lock: Turns) -> None:
        self._store = store
        self._lock = lock

    def read(self) -> dict[Key, Told]:
        """Return what was told. OtpkeepError if the store can't be read."""
        with self._lock, translated():
            kept = self._store.get(_KEY)
        rows = wire.decode(kept, _LIMIT) if kept is not None else []
        return {
            (kind, subject): Told(since / 1000, _seconds(told), _seconds(gone))
            for kind, subject, since, told, gone in rows
        }

    def write(self, told: Mapping[Key, Told]) -> None:
        """Keep what was told. OtpkeepError if the disk refuses."""
        rows: list[wire.Value] = [
            [kind, subject, _ms(entry.since), _ms(entry.told), _ms(entry.gone)]
            for (kind, subject), entry in sorted(told.items())
        ]
        with self._lock, self._store.transaction():
            self._store.put(_KEY, wire.encode(rows))


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else max(0, int(seconds * 1000))
