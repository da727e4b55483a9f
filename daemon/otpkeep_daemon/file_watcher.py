"""Hints that watched files changed: one watcher for each directory that holds one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Set
from pathlib import Path

from otpkeep_daemon.watcher import Watcher
from otpkeep_protocol.errors import Unwatched
from otpkeep_protocol.naming import is_conflict_copy


class FileWatcher:
    """Watches the files that `paths` names and their conflict copies, and calls `on_hint` as `Watcher` does.

    `rearm` also follows files that are watched since, or no longer; it may be called from any thread but a watcher's.
    """

    def __init__(self, paths: Callable[[], Set[Path]], on_hint: Callable[[], None], quiet_s: float) -> None:
        self._paths = paths
        self._names: Mapping[Path, Set[str]] = {}
        self._on_hint = on_hint
        self._quiet_s = quiet_s
        self._watchers: dict[Path, Watcher] = {}
        self._lock = threading.Lock()
        self._running = False

    def start(self) -> None:
        """Begin to watch."""
        self._running = True
        self.rearm()

    def stop(self) -> None:
        """End watching."""
        with self._lock:
            self._running = False
            for watcher in self._watchers.values():
                watcher.stop()
            self._watchers.clear()

    def rearm(self) -> None:
        """Watch what is to be watched now, and watch anew where watching has ended by itself."""
        paths = self._paths()
        wanted = {path.parent for path in paths}
        self._names = {directory: {path.name for path in paths if path.parent == directory} for directory in wanted}
        with self._lock:
            if not self._running:
                return
            for gone in self._watchers.keys() - wanted:
                self._watchers.pop(gone).stop()
            for directory in wanted:
                if directory in self._watchers:
                    self._watchers[directory].rearm()
                else:
                    self._watchers[directory] = self._watcher(directory)
                    self._watchers[directory].start()

    def pace(self, quiet_s: float) -> None:
        """Wait for another pause before a hint from now on."""
        with self._lock:
            self._quiet_s = quiet_s
            for watcher in self._watchers.values():
                watcher.pace(quiet_s)

    def troubles(self) -> list[Unwatched]:
        """Return why the system gives no hints, for each directory of which it gives none."""
        with self._lock:
            return [watcher.trouble for watcher in self._watchers.values() if watcher.trouble is not None]

    def _watcher(self, directory: Path) -> Watcher:
        def is_other(name: str) -> bool:
            watched = self._names.get(directory, frozenset())
            return name not in watched and not any(is_conflict_copy(name, one) for one in watched)

        return Watcher(directory, self._on_hint, ignored=is_other, quiet_s=self._quiet_s)
