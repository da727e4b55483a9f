"""A progress bar on standard error, for what takes over a second, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from otpkeep_cli.screen import is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PATIENCE_S = 1.0


class _Bar:
    """Shows (done, total) once a second has gone by since the first, until all is done: then others may ask or tell."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._started: float | None = None
        self._shown: tuple[Progress, TaskID] | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._started is None:
            self._started = time.monotonic()
        if done >= total:
            self.stop()
            return
        if self._shown is None and time.monotonic() - self._started >= _PATIENCE_S:
            self._shown = self._show(total)
        if self._shown is not None:
            bar, task = self._shown
            bar.update(task, completed=done, total=total)

    def _show(self, total: int) -> tuple[Progress, TaskID]:
        from rich.console import Console  # rich costs 50 ms, and most runs show no bar
        from rich.progress import Progress  # as above

        bar = Progress(console=Console(file=sys.stderr), transient=True)
        bar.start()
        return bar, bar.add_task(self._words, total=total)

    def stop(self) -> None:
        """Take the bar away."""
        if self._shown is not None:
            self._shown[0].stop()
            self._shown = None


@contextmanager
def progress_bar(words: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield what to call with (done, total); off a terminal or under -q it shows nothing."""
    if quiet or not is_terminal(sys.stderr):
        yield lambda _done, _total: None
        return
    bar = _Bar(words)
    try:
        yield bar
    finally:
        bar.stop()
