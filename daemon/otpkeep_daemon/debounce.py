"""Many touches in a short time become one call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Debounce:
    """Calls `fire` once the touches pause for `quiet_s` seconds, at most `limit_s` after the first of them.

    `fire` runs in a thread of its own and must not raise; a touch during it leads to another call. Without
    touches the thread sleeps. Methods may be called from any thread, `close` not from within `fire`.
    """

    def __init__(self, fire: Callable[[], None], quiet_s: float, limit_s: float) -> None:
        self._fire = fire
        self._quiet = quiet_s
        self._limit = limit_s
        self._changed = threading.Condition()
        self._first: float | None = None
        self._last = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="otpkeep-debounce", daemon=True)
        self._thread.start()

    def pace(self, quiet_s: float, limit_s: float) -> None:
        """Go by other times from now on."""
        with self._changed:
            self._quiet, self._limit = quiet_s, limit_s
            self._changed.notify()

    def touch(self) -> None:
        """Ask for a call soon."""
        with self._changed:
            self._last = time.monotonic()
            if self._first is None:
                self._first = self._last
                self._changed.notify()

    def close(self) -> None:
        """End the thread; touches that have not led to a call yet are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._wait():
            self._fire()

    def _wait(self) -> bool:
        """Sleep until a call is due (true) or the end has come (false)."""
        with self._changed:
            while not self._closed:
                left = self._left()
                if left is not None and left <= 0:
                    self._first = None
                    return True
                self._changed.wait(left)
            return False

    def _left(self) -> float | None:
        """Return the seconds until a call is due; None if none is asked for."""
        if self._first is None:
            return None
        return min(self._last + self._quiet, self._first + self._limit) - time.monotonic()
