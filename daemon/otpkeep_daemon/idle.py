"""How long nobody has used the keys, and whether that is long enough to lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from otpkeep_daemon.clocks import awake_or_asleep


def is_due(lock_after_s: float, idle_s: float) -> bool:
    """Tell whether to lock after `idle_s` seconds without use; with 0 as the setting never."""
    return 0 < lock_after_s <= idle_s


class Idle:
    """When the keys were used last, by a clock in seconds."""

    def __init__(self, clock: Callable[[], float] = awake_or_asleep) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._using = 0
        self._last = clock()

    @contextmanager
    def use(self) -> Iterator[None]:
        """Count a piece of work as use, from its beginning to its end."""
        with self._guard:
            self._using += 1
        try:
            yield
        finally:
            with self._guard:
                self._using -= 1
                self._last = self._clock()

    def begin(self) -> None:
        """Count from now."""
        self._last = self._clock()

    @property
    def seconds(self) -> float:
        """How long nobody has used the keys; 0 while somebody does."""
        with self._guard:
            return 0.0 if self._using else self._clock() - self._last
