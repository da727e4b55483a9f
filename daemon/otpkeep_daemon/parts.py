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
from otpkeep_daemon.logs import event, one_line
from otpkeep_daemon.notify import Supervisor
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.scheduler import Scheduler
from otpkeep_daemon.server import Server
from otpkeep_daemon.service import Service
from otpkeep_daemon.settings import Settings
from otpkeep_daemon.view import is_shut
from otpkeep_daemon.watcher import Watcher
from otpkeep_daemon.worker import Worker
from otpkeep_protocol.errors import OtpkeepError

PASSES_IN_TIME = 3
"""So many passes fit into the time after which the watchdog takes the daemon for dead, whatever the jobs do."""
log = logging.getLogger(__name__)


def condition(service: Service) -> str:
    """Return how the daemon is, in a line for `systemctl status`."""
    state = "locked, waits for `otpkeep unlock`" if service.accounts is None else "unlocked"
    if not service.engine.publishing:
        return f"{state}; backup is off"
    if (trouble := service.engine.last.trouble) is not None:
        return f"{state}; {one_line(trouble.message)}"
    with service.lock:
        waiting = len(service.engine.waiting())
    return f"{state}; {waiting or 'no'} files wait to be published"


class Parts:
    """Everything that runs beside the main thread."""

    def __init__(
        self, service: Service, paths: Paths, settings: Settings, supervisor: Supervisor, failed: Callable[[], None]
    ) -> None:
        """`failed` is called if the engine has failed for good."""
        self._service = service
        self._settings = settings
        self._supervisor = supervisor
        self._failed = failed
        self.shut_out = False
        """Whether the sandbox keeps the folder from the daemon, so that it must be started again in a new one."""
        self._shut_before = is_shut(self._directory())
        watchdog_s = supervisor.watchdog_s
        self.worker = Worker(
            service,
            lambda: settings.now.own_vault_delay_ms / 1000,
            passed=self._passed,
            failed=failed,
            at_least_every_s=None if watchdog_s is None else watchdog_s / PASSES_IN_TIME,
        )
        quiet_s = settings.now.debounce_ms / 1000
        self._watcher = Watcher(self._directory(), self.worker.look, ignored=service.engine.wrote, quiet_s=quiet_s)
        self._files = FileWatcher(service.watching.paths, self.worker.look_at_files, quiet_s)
        self._record = Record(service.store, service.lock)
        self._jobs = self._all_jobs()
        self._scheduler = Scheduler(
            {name: job.run for name, job in self._jobs.items()}, self._periods(), self._record.last, self._ran
        )
        self._server = Server(service, paths.socket)
        self._connect()

    def _directory(self) -> Path:
        with self._service.lock:
            return Path(os.fsdecode(self._service.store.need("folder")))

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

    def _passed(self) -> None:
        if self._supervisor.listens and not self._shut_before and is_shut(self._directory()):
            log.warning(event("shut-out", reason="the folder is another directory than the sandbox was made for"))
            self.shut_out = True
            self._failed()
        self._supervisor.alive()
        self._supervisor.status(condition(self._service))

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
        }

    def _periods(self) -> dict[str, float]:
        return {name: float(job.every_s(self._settings.now)) for name, job in self._jobs.items()}

    def _ran(self, name: str, when: float, trouble: OtpkeepError | None) -> None:
        try:
            self._record.ran(name, when, self._periods()[name], trouble)
        except OtpkeepError as error:
            log.error(event("not-written-down", job=name, reason=error.message))

    def _look(self) -> None:
        self._watcher.rearm()
        self._files.rearm()
        self.worker.look_at_files()
        self.worker.look()

    def _compact(self) -> None:
        if self._service.accounts is not None and self._service.engine.publishing:
            call(self._service, "compact", {"all": False, "dry_run": False})
