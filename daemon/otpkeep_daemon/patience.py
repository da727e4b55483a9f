"""Asking another process for something that it may never answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


def within(seconds: float, ask: Callable[[], T]) -> T:
    """Return what `ask` returns, or raise what it raises; TimeoutError after so long, and its thread is left alone."""
    asking = _Asking(ask)
    asking.thread.start()
    asking.thread.join(seconds)
    if asking.thread.is_alive():
        raise TimeoutError
    if asking.error is not None:
        raise asking.error
    return asking.answers[0]


class _Asking(Generic[T]):
    """One question in a thread of its own, which keeps no process alive."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self.answers: list[T] = []
        self.error: Exception | None = None
        self._ask = ask
        self.thread = threading.Thread(target=self._run, name="asking", daemon=True)

    def _run(self) -> None:
        try:
            self.answers.append(self._ask())
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            self.error = error
