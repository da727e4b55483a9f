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
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from otpkeep_daemon.database import translated
from otpkeep_daemon.file_watcher import FileWatcher
from otpkeep_daemon.jobs import Job, Record, Timetable
from otpkeep_daemon.logs import event, one_line
from otpkeep_daemon.machine import look_at_clock
from otpkeep_daemon.maintenance import Maintenance
from otpkeep_daemon.notify import Supervisor
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.scheduler import Scheduler, attempt
from otpkeep_daemon.server import Server
from otpkeep_daemon.service import Service
from otpkeep_daemon.settings import Settings
from otpkeep_daemon.teller import Teller
from otpkeep_daemon.view import is_shut
from otpkeep_daemon.watcher import Watcher
from otpkeep_daemon.worker import Worker
from otpkeep_protocol.errors import OtpkeepError

_CONFIG_QUIET_S = 0.05
PASSES_IN_TIME = 3
"""So many passes fit into the time after which the watchdog takes the daemon for dead, whatever the jobs do."""
LOCK_LOOK_S = 60
"""Seconds between two looks at whether to lock; a command that comes too late is refused all the same."""
log = logging.getLogger(__name__)


def condition(service: Service) -> str:
    """Return how the daemon is, in a line for `systemctl status`."""
    try:
        with translated():
            return _condition(service)
    except OtpkeepError as trouble:
        return one_line(trouble.message)


def _condition(service: Service) -> str:
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
        self._config_files = FileWatcher(lambda: _places(settings.path), self.take_up, _CONFIG_QUIET_S)
        self._record = Record(service.store, service.lock)
        self._teller = Teller(lambda: settings.now.on_problem)
        self._maintenance = Maintenance(
            service,
            lambda: settings.now,
            look=self.worker.look,
            tell=self._teller.tell,
            deletes=lambda: settings.is_known,
        )
        jobs = self._all_jobs()
        self._timetable = timetable = Timetable(jobs, self._record, lambda: settings.now, time.time)
        long = [name for name, job in jobs.items() if job.long]
        self._scheduler = Scheduler(self._run, timetable.due, timetable.periods, long)
        self._server = Server(service, paths.socket, failed)
        self._connect()

    @property
    def failure(self) -> BaseException | None:
        """What ended a part that nothing works without."""
        return self.worker.failure or self._server.failure

    def _directory(self) -> Path:
        with self._service.lock, translated():
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
        service.reload = self.reload
        service.unwatched = lambda: [*filter(None, [self._watcher.trouble]), *self._files.troubles()]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run until the end of the block."""
        with contextlib.ExitStack() as parts:
            for part in (
                self.worker,
                self._watcher,
                self._files,
                self._config_files,
                self._teller,
                self._scheduler,
                self._server,
            ):
                part.start()
                parts.callback(part.stop)
            parts.callback(self._maintenance.stop)
            parts.callback(setattr, self._service, "ending", True)
            yield

    def reload(self) -> None:
        """Go by the settings as they are in the file now. Safe from any thread."""
        with self._service.lock:
            if self._settings.reload():
                self._scheduler.reschedule()
                quiet_s = self._settings.now.debounce_ms / 1000
                self._watcher.pace(quiet_s)
                self._files.pace(quiet_s)

    def take_up(self) -> None:
        """As `reload`, for those who can do nothing about what goes wrong: the timed look tries again."""
        if (trouble := attempt("reload", self.reload)) is not None:
            log.error(event("not-reloaded", reason=trouble.message))

    # what the parts do for each other

    def _passed(self) -> None:
        if not self._supervisor.listens:
            return
        try:
            self._look_at_sandbox()
        except OtpkeepError as error:
            log.warning(event("sandbox-unseen", reason=error.message))
        self._supervisor.alive()
        self._supervisor.status(condition(self._service))

    def _look_at_sandbox(self) -> None:
        if not self._shut_before and is_shut(self._directory()):
            log.warning(event("shut-out", reason="the folder is another directory than the sandbox was made for"))
            self.shut_out = True
            self._failed()

    def _unlocked(self) -> None:
        self.worker.look_at_files()
        self.worker.look()
        if self._maintenance.shallow():
            self._scheduler.soon("verify")

    def _moved(self, directory: Path) -> None:
        self._watcher.watch(directory)
        self.worker.look()

    def _problems(self) -> list[dict[str, str]]:
        """Return what is wrong with the daemon itself."""
        parts = (self.worker, self._settings, self._record, self._maintenance, self._teller)
        return [problem for part in parts for problem in part.problems()]

    # jobs

    def _all_jobs(self) -> Mapping[str, Job]:
        return {
            "look": Job(self._look, lambda config: config.look_every_s),
            "auto-lock": Job(self._service.expire, lambda config: min(config.lock_after_s or LOCK_LOOK_S, LOCK_LOOK_S)),
            **self._maintenance.jobs(),
        }

    def _run(self, name: str) -> None:
        """Run a job, and look for alarms after one that may have found something."""
        self._timetable.run(name)
        if name not in ("look", "alarms"):
            self._scheduler.soon("alarms")

    def _look(self) -> None:
        self._unlock_again()
        self.worker.look_at_files()
        self.worker.look()
        look_at_clock(self._service)
        self._watcher.rearm()
        self._files.rearm()
        self._config_files.rearm()
        if self._settings.is_stale():
            self.reload()

    def _unlock_again(self) -> None:
        """Unlock where the keychain was not there yet when the daemon started: it opens when the person logs in."""
        service = self._service
        if service.accounts is not None or service.stays_locked or service.remembering.method != "keychain":
            return
        if service.unlock_by_itself(asked=False):
            self._unlocked()


def _places(config: Path) -> set[Path]:
    """Return where a change of the settings can show: the file, and what it leads to if it is a link."""
    return {config, Path(os.path.realpath(config))}
