"""What the daemon is asked from outside, or by a part of it that can't go on: to end, or to read its settings anew."""

from __future__ import annotations

import os
import queue
import signal
import sys
from typing import Protocol

_STEP_S = 0.5
"""Where a wait can't be interrupted, handlers run between two of these."""


class Signals(Protocol):
    """Taken hold of when it is made, in the main thread, before any other thread is started."""

    def end(self) -> None:
        """Ask for the end, from any thread."""

    def wait(self) -> bool:
        """Return True when the settings are to be read anew, False when the daemon is to end."""


def signals() -> Signals:
    """Take hold of the signals in the way that this platform has."""
    if sys.platform != "win32" and hasattr(signal, "pthread_sigmask"):
        return _Blocked()
    return _Handled()


if sys.platform != "win32":

    class _Blocked:
        """Blocked in every thread and waited for by the main one, so that no other thread can swallow them."""

        _ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
        _ALL = _ENDING | {signal.SIGHUP}

        def __init__(self) -> None:
            signal.pthread_sigmask(signal.SIG_BLOCK, self._ALL)

        def end(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        def wait(self) -> bool:
            return signal.sigwait(self._ALL) not in self._ENDING


class _Handled:
    """Handlers that leave a note, for Windows: Ctrl-C, Ctrl-Break, and a console window that is closed."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
            if number := getattr(signal, name, None):
                signal.signal(number, lambda *_: self.end())

    def end(self) -> None:
        self._asked.put(False)

    def wait(self) -> bool:
        while True:
            try:
                return self._asked.get(timeout=_STEP_S)
            except queue.Empty:
                continue
