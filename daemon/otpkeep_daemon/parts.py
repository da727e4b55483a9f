"""The parts of a running daemon, and how they prompt each other.

watchers ─hint──▶ ┌────────┐
jobs ─────look──▶ │ worker │ ── engine.run(), watched files, own vault file
service ─changed▶ └────────┘
socket ──request─▶ service
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from otpkeep_daemon.calls import call
from otpkeep_daemon.file_watcher import FileWatcher
from otpkeep_daemon.jobs import Job, Record
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.scheduler import Scheduler
from otpkeep_daemon.server import Server
from otpkeep_daemon.service import Service
from otpkeep_daemon.settings import Settings
from otpkeep_daemon.watcher import Watcher
from otpkeep_daemon.worker import Worker
from otpkeep_protocol.errors import OtpkeepError

LOCK_LOOK_S = 60
"""Seconds between two looks at whether to lock; a command that comes too late is refused all the same."""
log = logging.getLogger(__name__)


class Parts:
    """Everything that runs beside the main thread."""

    def __init__(self, service: Service, paths: Paths, settings: Settings, failed: Callable[[], None]) -> None:
        """`failed` is called if the engine has failed for good."""
        self._service = service
        self._settings = settings
        self.worker = Worker(
            service,
            lambda: settings.now.own_vault_delay_ms / 1000,
            passed=lambda: None,
            failed=failed,
        )
        directory, quiet_s = Path(os.fsdecode(service.store.need("folder"))), settings.now.debounce_ms / 1000
        self._watcher = Watcher(directory, self.worker.look, ignored=service.engine.wrote, quiet_s=quiet_s)
        self._files = FileWatcher(service.watching.paths, self.worker.look_at_files, quiet_s)
        self._record = Record(service.store, service.lock)
        self._jobs = self._all_jobs()
        self._scheduler = Scheduler(
            {name: job.run for name, job in self._jobs.items()}, self._periods(), self._record.last, self._ran
        )
        self._server = Server(service, paths.socket)
        self._connect()

    def _connect(self) -> None:
        """Have the service tell the parts what happens in it."""
        service = self._service
        service.changed = self.worker.edited
        service.unlocked = self._unlocked
        service.moved = self._moved
        service.files_changed = self._files.rearm
        service.jobs = lambda: self._record.rows(self._scheduler.upcoming())
        service.more_problems = self._problems

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run until the end of the block."""
        with contextlib.ExitStack() as parts:
            for part in (self.worker, self._watcher, self._files, self._scheduler, self._server):
                part.start()
                parts.callback(part.stop)
            yield

    def reload(self) -> None:
        """Go by the settings as they are in the file now."""
        if self._settings.reload():
            self._scheduler.reschedule(self._periods())

    # what the parts do for each other

    def _unlocked(self) -> None:
        self.worker.look_at_files()
        self.worker.look()

    def _moved(self, directory: Path) -> None:
        self._watcher.watch(directory)
        self.worker.look()

    def _problems(self) -> list[dict[str, str]]:
        """Return what is wrong with the daemon itself."""
        trouble = self._settings.trouble
        found = [] if trouble is None else [{"kind": "config", "message": trouble.message, "hint": trouble.hint}]
        return found + self._record.problems()

    # jobs

    def _all_jobs(self) -> Mapping[str, Job]:
        return {
            "look": Job(self._look, lambda config: config.look_every_s),
            "compact": Job(self._compact, lambda config: config.compact_every_s),
            "auto-lock": Job(self._service.expire, lambda config: min(config.lock_after_s or LOCK_LOOK_S, LOCK_LOOK_S)),
        }

    def _periods(self) -> dict[str, float]:
        return {name: float(job.every_s(self._settings.now)) for name, job in self._jobs.items()}

    def _ran(self, name: str, when: float, trouble: OtpkeepError | None) -> None:
        try:
            self._record.ran(name, when, self._periods()[name], trouble)
        except OtpkeepError as error:
            log.error("when %s ran is not written down: %s", name, error.message)

    def _look(self) -> None:
        self._unlock_again()
        self._watcher.rearm()
        self._files.rearm()
        self.worker.look_at_files()
        self.worker.look()

    def _unlock_again(self) -> None:
        """Unlock where the keychain was not there yet when the daemon started: it opens when the person logs in."""
        service = self._service
        if service.accounts is not None or service.stays_locked or service.remembering.method != "keychain":
            return
        if service.unlock_by_itself():
            self._unlocked()

    def _compact(self) -> None:
        if self._service.accounts is not None and self._service.engine.publishing:
            call(self._service, "compact", {"all": False, "dry_run": False})
