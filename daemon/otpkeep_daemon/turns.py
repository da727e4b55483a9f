"""A lock for taking turns: long work in small steps lets those go first who wait.

A plain lock is not fair: a thread that lets go and takes it again at once mostly wins, and a command would wait for the
whole of a long pass.
"""

from __future__ import annotations

import threading

PATIENCE_S = 1.0
"""How long a long work waits between two steps for those who wait; then it goes on, so that it ends as well."""


class Turns:
    """A reentrant lock that knows how many wait for it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition()
        self._waiting = 0
        self._owner: int | None = None
        self._depth = 0

    def __enter__(self) -> Turns:
        with self._changed:
            self._waiting += 1
        self._lock.acquire()
        with self._changed:
            self._waiting -= 1
            self._changed.notify_all()
        self._owner = threading.get_ident()
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
        self._lock.release()

    @property
    def mine(self) -> bool:
        """Whether this thread holds the lock."""
        return self._owner == threading.get_ident()

    def give_way(self) -> None:
        """Return once nobody waits any more; at once if this thread holds the lock further out."""
        if self.mine:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._waiting == 0, PATIENCE_S)
