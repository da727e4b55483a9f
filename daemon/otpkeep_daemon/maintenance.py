"""What the daemon does by itself every so often, apart from looking: the jobs, without the threads that run them."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from otpkeep_daemon.alarming import Alarms
from otpkeep_daemon.alarms import Notice
from otpkeep_daemon.calls import call
from otpkeep_daemon.config import Config
from otpkeep_daemon.database import translated
from otpkeep_daemon.free_space import Measure, disk_problems
from otpkeep_daemon.jobs import Job
from otpkeep_daemon.logs import event
from otpkeep_daemon.operations import upkeep, verifying
from otpkeep_daemon.scheduler import Postponed
from otpkeep_daemon.service import Service
from otpkeep_daemon.verified import last_drill, last_verified
from otpkeep_protocol.errors import Locked, OtpkeepError, Unreachable

BEAT_EVERY_S = 3_600.0
"""How often the daemon looks whether a beat is due; it is at most daily."""
ALARMS_EVERY_S = 60.0
AGAIN_S = 86_400.0
"""After which a verification that found problems is made again."""
log = logging.getLogger(__name__)


class Maintenance:
    """The jobs `beat`, `compact`, `verify` and `alarms`.

    `look` has a pass made; `tell` gets each alarm with the facts for the command; `deletes` says whether the settings
    are known, by which files are deleted.
    """

    def __init__(
        self,
        service: Service,
        config: Callable[[], Config],
        *,
        look: Callable[[], None],
        tell: Callable[[Notice, Mapping[str, Any]], None],
        deletes: Callable[[], bool] = lambda: True,
        measure: Measure = shutil.disk_usage,
    ) -> None:
        service.engine.beats = False
        self._service = service
        self._config = config
        self._look = look
        self._deletes = deletes
        self._measure = measure
        self._stopping = threading.Event()
        self._disks: list[dict[str, str]] = []
        self.alarms = Alarms(service, config, lambda: call(service, "problems", {}), tell)

    def jobs(self) -> Mapping[str, Job]:
        """Return the jobs by name."""
        return {
            "beat": Job(self._beat, lambda _config: BEAT_EVERY_S),
            "compact": Job(self._compact, lambda config: config.compact_every_s),
            "verify": Job(self._verify, self._verify_every_s, long=True),
            "alarms": Job(self._alarms, lambda _config: ALARMS_EVERY_S),
        }

    def problems(self) -> list[dict[str, str]]:
        """Return what is wrong as far as only a daemon knows: disks, and a backup that has stood still."""
        if self._disks:
            self._disks = self._low()
        return [*self._disks, *self.alarms.problems()]

    def shallow(self) -> bool:
        """Tell whether the last verification looked less deep than it could, since the keys were not here."""
        with self._service.lock:
            last = last_verified(self._service.store)
        return last is not None and last["depth"] == "names"

    def stop(self) -> None:
        """End a verification that runs; it counts as not run."""
        self._stopping.set()

    def _beat(self) -> None:
        if self._service.engine.beat():
            self._look()

    def _compact(self) -> None:
        service = self._service
        if service.store.trouble is not None or service.engine.last.trouble is not None:
            raise Postponed("store or folder can't be used now, which `status` tells by itself")
        if service.accounts is not None and service.engine.publishing and self._deletes():
            with _while_possible("compacted"):
                call(self._service, "compact", {"all": False, "dry_run": False})

    def _verify_every_s(self, config: Config) -> float:
        try:
            with self._service.lock, translated():
                last, drill = last_verified(self._service.store), last_drill(self._service.store)
        except OtpkeepError as error:  # the times of all jobs hang on this one, that of the alarms as well
            log.debug(event("verified-unread", reason=error.message))
            return config.verify_every_s
        fine = (last is None or last["ok"]) and (drill is None or drill["ok"])
        return config.verify_every_s if fine else min(config.verify_every_s, AGAIN_S)

    def _verify(self) -> None:
        depth = "names" if self._service.accounts is None else "content" if self._drilled_well() else "rebuild"
        with _while_possible("verified"):
            verifying.verification(self._service, depth, self._step)

    def _drilled_well(self) -> bool:
        """Tell whether no restore drill failed: one that did is made again, until one succeeds."""
        with self._service.lock, translated():
            last = last_drill(self._service.store)
        return last is None or bool(last["ok"])

    def _step(self) -> None:
        if self._stopping.is_set():
            raise Postponed("otpkeep is stopping")

    def _alarms(self) -> None:
        """Look for alarms, whatever else fails: that something does is what they are for."""
        try:
            self._disks = self._low()
        finally:
            self.alarms.check()

    def _low(self) -> list[dict[str, str]]:
        """Return the disks that are almost full now."""
        with self._service.lock, translated():
            places = upkeep.places(self._service)
        return disk_problems(places, self._config().low_disk_mb, self._measure)


@contextlib.contextmanager
def _while_possible(done: str) -> Iterator[None]:
    """Postpone a job that finds the folder away, or the keys: that is told by itself, and no failure of the job."""
    try:
        yield
    except Unreachable as error:
        raise Postponed(f"the folder can't be reached, so that it can't be {done} now", error.hint) from error
    except Locked as error:
        raise Postponed(f"it was locked while it was {done}", error.hint) from None
