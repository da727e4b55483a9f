"""When a file that does not open is read again: at every look while it may be on its way, hourly after that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from otpkeep_daemon.store import Looked
from otpkeep_protocol.plan import PATIENCE_S

EVERY_S = 3_600
_UNFINISHED = ("pending", "damaged")


class Retries:
    """Remembers when such files were read. A folder may hold thousands of them that never will be ours."""

    def __init__(self) -> None:
        self._read: dict[str, int] = {}

    def resting(self, looked: Mapping[str, Looked], now_s: int) -> frozenset[str]:
        """Return the names that need not be read now unless they have changed; a clock set back lets none rest."""
        return frozenset(
            name
            for name, read in self._read.items()
            if name in looked
            and looked[name].verdict in _UNFINISHED
            and now_s - looked[name].since >= PATIENCE_S
            and 0 <= now_s - read < EVERY_S
        )

    def read(self, names: Iterable[str], now_s: int) -> None:
        """Take in that these were read now."""
        self._read.update(dict.fromkeys(names, now_s))

    def clear(self) -> None:
        """Have all of them read at the next look: what has come may open them, or another folder is looked at."""
        self._read.clear()
