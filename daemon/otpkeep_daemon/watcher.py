"""Hints that the folder changed. One says only "look again", and may fail to come: the timed look is the truth."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    DirDeletedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from otpkeep_daemon import logs
from otpkeep_daemon.debounce import Debounce
from otpkeep_daemon.folder_faults import unwatched
from otpkeep_protocol.errors import Unwatched
from otpkeep_protocol.naming import NameKind, classify

_log = logging.getLogger(__name__)

_PASSED_OVER = (NameKind.TEMPORARY, NameKind.README)

# Opening and closing after reading are not among them: our own looks would prompt looks for ever. Where closing after
# writing is told, each write before it need not be.
_CHANGES: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileClosedEvent if sys.platform == "linux" else FileModifiedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirDeletedEvent,
]


class Watcher:
    """Watches one directory, not those in it, and calls `on_hint` soon after something in it changed.

    Changes under names that a look passes over, or that are `ignored`, prompt nothing. `on_hint` comes from another
    thread, once for changes that follow each other within `quiet_s` seconds, at most `limit_s` (or five times
    `quiet_s`, if that is more) after the first; it must not raise. The directory may be missing, or go and come back:
    `rearm` is called by every timed look.
    """

    def __init__(
        self,
        directory: Path,
        on_hint: Callable[[], None],
        *,
        ignored: Callable[[str], bool] = lambda _name: False,
        quiet_s: float = 0.05,
        limit_s: float = 0.25,
    ) -> None:
        self._directory = directory
        self._ignored = ignored
        self._on_hint = on_hint
        self._quiet = quiet_s
        self._limit = limit_s
        self._lock = threading.Lock()
        self._debounce: Debounce | None = None
        self._observer: BaseObserver | None = None
        self._watched: tuple[int, int] | None = None
        self._trouble: Unwatched | None = None

    def start(self) -> None:
        """Begin to watch; no error if the directory is missing or the system allows no more watches."""
        with self._lock:
            if self._debounce is None:
                self._debounce = Debounce(self._on_hint, self._quiet, self._longest())
                self._arm(self._debounce)

    def stop(self) -> None:
        """End watching; no hint comes after this returns. Not to be called from `on_hint`."""
        with self._lock:
            self._disarm()
            if self._debounce is not None:
                self._debounce.close()
                self._debounce = None

    def pace(self, quiet_s: float) -> None:
        """Wait for another pause before a hint from now on."""
        with self._lock:
            self._quiet = quiet_s
            if self._debounce is not None:
                self._debounce.pace(quiet_s, self._longest())

    def _longest(self) -> float:
        """Return the limit in seconds; a pause that is longer than it would never be waited for."""
        return max(self._limit, 5 * self._quiet)

    def watch(self, directory: Path) -> None:
        """Watch another directory instead, at once if watching has begun."""
        with self._lock:
            self._directory = directory
            self._disarm()
            if self._debounce is not None:
                self._arm(self._debounce)

    def rearm(self) -> None:
        """Watch anew if what the path names is another directory now, or watching has ended by itself.

        watchdog falls silent, thread alive, when its directory is removed and made again.
        """
        with self._lock:
            if self._debounce is None or (self._alive() and self._watched == _identity(self._directory)):
                return
            self._disarm()
            self._arm(self._debounce)

    @property
    def armed(self) -> bool:
        """Whether hints can be expected at present."""
        with self._lock:
            return self._alive()

    @property
    def trouble(self) -> Unwatched | None:
        """Why the system gives no hints though the directory is there; None if it does."""
        return self._trouble

    def _alive(self) -> bool:
        """Say whether observer and watch both live: a new directory may well have the old one's inode."""
        observer = self._observer
        if observer is None or not observer.is_alive():
            return False
        return bool(observer.emitters) and all(emitter.is_alive() for emitter in observer.emitters)

    def _arm(self, debounce: Debounce) -> None:
        self._watched = _identity(self._directory)
        if self._watched is None:
            self._trouble = None
            return
        try:
            self._observer = self._started(debounce)
        except OSError as error:
            if self._trouble is None:
                _log.warning(logs.event("no-hints", directory=self._directory, reason=error.strerror))
            self._trouble = unwatched(self._directory, error)
            return
        self._trouble = None

    def _started(self, debounce: Debounce) -> BaseObserver:
        """Return an observer at work. One that can't begin must be stopped as well: it holds files and a thread."""
        observer = Observer()
        with contextlib.ExitStack() as undo:
            undo.callback(observer.stop)
            # The real path: watchdog does not follow a link, and the folder may be one.
            path = os.path.realpath(self._directory)
            observer.schedule(_Changes(debounce.touch, self._ignored), path, event_filter=_CHANGES)
            observer.start()
            undo.pop_all()
        return observer

    def _disarm(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None


class _Changes(FileSystemEventHandler):
    """Touches once for each event that a look could see the effect of."""

    def __init__(self, touch: Callable[[], None], ignored: Callable[[str], bool]) -> None:
        self._touch = touch
        self._ignored = ignored

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Judge an event by the names in it: a move out of a temporary name counts."""
        names = [Path(os.fsdecode(path)).name for path in (event.src_path, event.dest_path) if path]
        if any(classify(name) not in _PASSED_OVER and not self._ignored(name) for name in names):
            self._touch()


def _identity(directory: Path) -> tuple[int, int] | None:
    """Return device and inode of the directory; None if there is none to be seen."""
    try:
        status = directory.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if directory.is_dir() else None
