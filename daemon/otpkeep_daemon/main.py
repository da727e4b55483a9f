"""The daemon: puts the parts together, and runs until a signal.

watchers ─hint──▶ ┌────────┐
scheduler ─look─▶ │ worker │ ── engine.run(), watched files, own vault file
service ─changed▶ └────────┘
socket ──request─▶ service
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from otpkeep_daemon import device
from otpkeep_daemon.access import is_served, is_set_up
from otpkeep_daemon.alone import open_service
from otpkeep_daemon.calls import call
from otpkeep_daemon.config import Config, read_config
from otpkeep_daemon.file_watcher import FileWatcher
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.lock import holder, wait_for_lock
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.rows import timestamp
from otpkeep_daemon.scheduler import Scheduler
from otpkeep_daemon.server import Server
from otpkeep_daemon.service import Service
from otpkeep_daemon.watcher import Watcher
from otpkeep_protocol.errors import Busy, OtpkeepError, Refused

LONGEST_S = 2.0
AGAIN_S = 0.1
"""After which a watched file that was in the midst of being written is looked at again."""
ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
"""Blocked in every thread and waited for by the main one, so that no other thread can swallow them."""
log = logging.getLogger(__name__)


class Worker:
    """Makes passes when woken, one at a time, and keeps watched files in step, out of the way of edits.

    Files are written when edits have paused for `delay_s`, and at the latest LONGEST_S after the first of them.
    """

    def __init__(self, service: Service, delay_s: float, failed: Callable[[], None]) -> None:
        """`failed` is called if a pass fails in a way that nobody foresaw: then the daemon must stop, not pretend."""
        self.failure: BaseException | None = None
        self._service = service
        self._delay_s = delay_s
        self._failed = failed
        self._wake = threading.Event()
        self._stopping = False
        self._look = True
        self._files = True
        self._thread = threading.Thread(target=self._guarded, name="engine")

    def start(self) -> None:
        """Begin with a first pass."""
        self._wake.set()
        self._thread.start()

    def look(self) -> None:
        """Have a pass made soon."""
        self._look = True
        self._wake.set()

    def look_at_files(self) -> None:
        """Have the watched files looked at soon."""
        self._files = True
        self._wake.set()

    def edited(self) -> None:
        """Have what an edit left behind done soon."""
        self._wake.set()

    def stop(self) -> None:
        """Finish what is under way."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _guarded(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the daemon must not live on without its engine
            log.critical("the engine failed: %s", type(error).__name__)
            self.failure = error
            self._failed()

    def _work(self) -> None:
        first: float | None = None
        while not self._stopping:
            woken = self._wake.wait(self._pause(first))
            self._wake.clear()
            if self._files:
                self._files = False
                self._files |= self._service.look_at_files()
            if self._look:
                self._look = False
                self._pass()
            if first is None:
                first = time.monotonic()
            elif not woken or time.monotonic() - first >= LONGEST_S:
                self._tidy()
                first = None
        self._tidy()

    def _pause(self, first: float | None) -> float | None:
        """Return how long to wait (s) for something to do; None where nothing is left to be done."""
        if first is None:
            return AGAIN_S if self._files else None
        pause = max(0.0, min(self._delay_s, first + LONGEST_S - time.monotonic()))
        return min(pause, AGAIN_S) if self._files else pause

    def _tidy(self) -> None:
        """Do what edits have left for later."""
        self._service.write_files()
        try:
            self._service.engine.settle()
        except OtpkeepError as error:
            log.error("%s", error.message)

    def _pass(self) -> None:
        engine = self._service.engine
        before = engine.last.trouble
        try:
            outcome = engine.run()
        except OtpkeepError as error:
            log.error("%s", error.message)
            return
        if outcome.read or outcome.published:
            log.info("read %d files, published %d", outcome.read, outcome.published)
        if outcome.trouble is not None and (before is None or before.message != outcome.trouble.message):
            log.warning("%s", outcome.trouble.message)
        if outcome.trouble is None and before is not None:
            log.info("the folder is back")


def run(paths: Paths, *, passphrase: Callable[[], str] | None) -> int:
    """Run in the foreground until SIGTERM or SIGINT. Without a passphrase it starts locked. Return the exit code."""
    gc.enable()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not is_set_up(paths):
        raise Refused("otpkeep is not set up here", "Run `otpkeep init` or `otpkeep recover FOLDER` first.")
    paths.prepare()
    config = read_config(paths.config)
    lock = wait_for_lock(paths.lock, "daemon", lambda: is_served(paths))
    if lock is None:
        raise Busy(f"otpkeep is already running here: {holder(paths.lock)}", "Stop it first, or use it as it is.")
    service = open_service(paths, lock, pid=os.getpid())
    try:
        if passphrase is not None:
            service.unlock(_keys(service, passphrase))
        failure = _serve(service, paths, config)
    finally:
        service.close()
    log.info("stopped")
    return 0 if failure is None else 1


def _keys(service: Service, passphrase: Callable[[], str]) -> Keys:
    """Return the device's keys; the passphrase and the admin seed are gone with this call."""
    return device.unlock(service.store, device.open_slots(service.slot_files(), passphrase))


def _serve(service: Service, paths: Paths, config: Config) -> BaseException | None:
    """Have all parts run until a signal asks to stop, or the worker has failed; return that failure."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    worker = Worker(service, config.own_vault_delay_ms / 1000, failed=lambda: os.kill(os.getpid(), signal.SIGTERM))
    service.changed = worker.edited

    def unlocked() -> None:
        worker.look_at_files()
        worker.look()

    service.unlocked = unlocked
    directory, quiet_s = Path(os.fsdecode(service.store.need("folder"))), config.debounce_ms / 1000
    watcher = Watcher(directory, worker.look, ignored=service.engine.wrote, quiet_s=quiet_s)
    files = FileWatcher(service.watching.paths, worker.look_at_files, quiet_s)
    service.files_changed = files.rearm

    def moved(directory: Path) -> None:
        watcher.watch(directory)
        worker.look()

    service.moved = moved

    def timed_look() -> None:
        watcher.rearm()
        files.rearm()
        worker.look_at_files()
        worker.look()

    def compact() -> None:
        if service.accounts is not None and service.engine.publishing:
            call(service, "compact", {"all": False, "dry_run": False})

    jobs = Jobs({"look": time.time()})
    periods = {"look": float(config.look_every_s), "compact": float(config.compact_every_s)}
    scheduler = Scheduler({"look": timed_look, "compact": compact}, periods, jobs.last.get, jobs.ran)
    service.jobs = lambda: jobs.rows(scheduler.upcoming())
    server = Server(service, paths.socket)
    _clear_temporaries(service)
    _first_pass(service)
    with contextlib.ExitStack() as parts:
        for part in (worker, watcher, files, scheduler, server):
            part.start()
            parts.callback(part.stop)
        log.info("%s, process %d", "locked" if service.accounts is None else "ready", os.getpid())
        signal.sigwait(ENDING)
        log.info("stopping")
    return worker.failure


def _first_pass(service: Service) -> None:
    """Look before the first edit: what the folder says of this device's own past must be known before it writes."""
    try:
        service.engine.run()
    except OtpkeepError as trouble:
        log.error("%s", trouble.message)


class Jobs:
    """When each job ran last (seconds since 1970), and whether it went well."""

    def __init__(self, last: dict[str, float]) -> None:
        self.last = last
        self._failed: set[str] = set()

    def ran(self, name: str, when: float, ok: bool) -> None:
        """Take in that a job has run."""
        self.last[name] = when
        (self._failed.discard if ok else self._failed.add)(name)
        if not ok:
            log.error("the job %s failed", name)

    def rows(self, upcoming: Mapping[str, float]) -> list[dict[str, Any]]:
        """Return the jobs as `status` shows them."""
        return [
            {
                "name": name,
                "last": timestamp(int(self.last[name] * 1000)) if name in self.last else None,
                "next": timestamp(int(due * 1000)),
                "ok": name not in self._failed,
            }
            for name, due in upcoming.items()
        ]


def _clear_temporaries(service: Service) -> None:
    """Remove what a crash of this device left in the folder, if the folder is there."""
    try:
        service.engine.clear_temporaries()
    except OtpkeepError as trouble:
        log.warning("%s", trouble.message)
