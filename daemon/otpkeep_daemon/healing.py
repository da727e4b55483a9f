"""Putting back what the folder lost or broke: what `otpkeep_protocol.healing` decides from, kept in the store.

It needs no keys: a file is put back as the very bytes that its name stands for.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterable, Mapping

from otpkeep_daemon.keys import Surroundings
from otpkeep_daemon.logs import event
from otpkeep_daemon.store import Store
from otpkeep_protocol import healing, wire
from otpkeep_protocol.errors import StoreUnwritable
from otpkeep_protocol.healing import Lost
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.plan import Known, Seen

AT_ONCE = "heal.now"
"""Set to b"yes" it has everything put back that is missing, without delay, whatever share of the folder it is."""
_KEY = "heal.lost"
_LIMIT = 67_108_864
log = logging.getLogger(__name__)


def lost_files(store: Store) -> dict[str, Lost]:
    """Return what is absent from the folder, or was put back lately, by name."""
    kept = store.get(_KEY)
    rows = wire.decode(kept, _LIMIT) if kept is not None else []
    return {name: Lost(since, gone, healed) for name, since, gone, healed in rows}


class Healing:
    """Follows absent files from look to look. Called under the lock.

    What the store can't take now is remembered in memory alone, and written down with the next change.
    """

    def __init__(self, store: Store, around: Surroundings) -> None:
        self._store = store
        self._around = around
        self._lost: dict[str, Lost] | None = None
        self._unwritten = False
        self._hastened: set[str] = set()
        """What was put back in haste: once is enough, else two who do it would never end."""

    def due(
        self,
        listing: Mapping[str, Seen],
        known: Mapping[str, Known],
        missing: Iterable[str],
        looked: Mapping[str, Seen],
        *,
        locked: bool,
    ) -> list[str]:
        """Take in which files a look missed, and return those to put back now."""
        before = self._remembered()
        absent = {name for name in missing if name in known}
        absent |= {n for n in healing.damaged(listing, known, looked) if known[n].own or not known[n].passing}
        if not absent and not before:
            return []
        self._remember(healing.follow(before, absent, self._now()))
        others = any(not known[name].own for name in absent)
        closed = others and healing.unopened(listing, known, looked, locked=locked)
        again = [name for name, row in before.items() if row.gone]
        found = self._due(self._remembered(), known, again, closed=closed, at_once=False)
        if self.at_once:
            first = {name: row for name, row in self._remembered().items() if name not in self._hastened}
            found += [name for name in self._due(first, known, again, closed=closed, at_once=True) if name not in found]
        return found

    def _due(
        self,
        lost: Mapping[str, Lost],
        known: Mapping[str, Known],
        before: Collection[str],
        *,
        closed: bool,
        at_once: bool,
    ) -> list[str]:
        return healing.due(lost, known, before, self._now(), self._share, closed=closed, at_once=at_once)

    def put_back(self, names: Collection[str]) -> None:
        """Take in that these were put back now, as far as they are followed still: the folder may be another one."""
        lost = self._remembered()
        again = {name: healing.put_back(lost[name], self._now()) for name in names if name in lost}
        for name, row in again.items():
            log.info(event("put-back", file=name, times=row.healed))
        if self.at_once:
            self._hastened |= again.keys()
        self._remember(lost | again)

    @property
    def at_once(self) -> bool:
        """Whether everything that is missing is to be put back without delay."""
        return self._store.get(AT_ONCE) == b"yes"

    def end_of_pass(self, known: Mapping[str, Known]) -> None:
        """End the haste once nothing is missing any more."""
        gone = [n for n, row in self._remembered().items() if row.gone and n in known and not known[n].claimed]
        if self.at_once and not gone:
            self._hastened.clear()
            with self._store.transaction():
                self._store.change("DELETE FROM meta WHERE key = ?", AT_ONCE)

    def forget(self) -> None:
        """Begin anew: another folder is looked at, in which everything is known to be."""
        self._hastened.clear()
        self._remember({})

    def _now(self) -> int:
        return max(0, self._around.now()) // 1000

    def _share(self, name: str, healed: int) -> float:
        """Return the random part of a waiting: another for each device, file and time, and the same after a restart."""
        digest = sha256(self._store.need("device"), name.encode(), healed.to_bytes(4))
        return int.from_bytes(digest[:6]) / 2**48

    def _remembered(self) -> dict[str, Lost]:
        if self._lost is None:
            self._lost = lost_files(self._store)
        return self._lost

    def _remember(self, lost: dict[str, Lost]) -> None:
        if lost == self._remembered() and not self._unwritten:
            return
        self._lost, self._unwritten = lost, True
        rows = [[name, row.since, row.gone, row.healed] for name, row in sorted(lost.items())]
        with contextlib.suppress(StoreUnwritable):  # it is told by itself, and what is absent is put back all the same
            with self._store.transaction():
                self._store.put(_KEY, wire.encode(rows))
            self._unwritten = False
