"""What is done every so often, and when it was done last: remembered in the store, so that a restart misses nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otpkeep_daemon.config import Config
from otpkeep_daemon.database import translated
from otpkeep_daemon.logs import event
from otpkeep_daemon.problem import problem
from otpkeep_daemon.rows import timestamp
from otpkeep_daemon.scheduler import Postponed, attempt, next_due
from otpkeep_daemon.store import Store
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import wire
from otpkeep_protocol.errors import OtpkeepError, StoreUnwritable

REMEMBERED_S = 600
"""A job that runs more often is due soon after any restart: not worth a write to the disk each time."""
LIMIT = 4096
"""Bytes of what is remembered of a job."""
RETRY_S = 3600.0
"""After which, at the latest, a job is tried again that failed, or could not be done when it was due."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every so many seconds, by the settings in force; `long` is what others must not wait for."""

    run: Callable[[], object]
    every_s: Callable[[Config], float]
    long: bool = False


@dataclass(frozen=True, slots=True)
class Ran:
    """A job's last run: when it began (seconds since 1970), and what went wrong, "" if nothing did."""

    when: float
    message: str = ""
    hint: str = ""


class Record:
    """The last run of each job."""

    def __init__(self, store: Store, lock: Turns) -> None:
        self._store = store
        self._lock = lock
        self._ran: dict[str, Ran | None] = {}

    def last(self, name: str) -> float | None:
        """Return when the job ran last (seconds since 1970), None if it never did as far as is known."""
        ran = self._last(name)
        return ran.when if ran is not None else None

    def _last(self, name: str) -> Ran | None:
        if name not in self._ran:
            with self._lock, translated():
                kept = self._store.get(f"job.{name}")
            value = wire.decode(kept, LIMIT) if kept is not None else None
            self._ran[name] = Ran(value["when"] / 1000, value["message"], value["hint"]) if value is not None else None
        return self._ran[name]

    def ran(self, name: str, when: float, period_s: float, trouble: OtpkeepError | None) -> None:
        """Take in that a job has run, and what went wrong with it."""
        message, hint = (trouble.message, trouble.hint) if trouble is not None else ("", "")
        ran = self._ran[name] = Ran(when, message[: LIMIT // 8], hint[: LIMIT // 8])
        if period_s >= REMEMBERED_S:
            value = {"when": max(0, int(when * 1000)), "message": ran.message, "hint": ran.hint}
            with self._lock, self._store.transaction():
                self._store.put(f"job.{name}", wire.encode(value))

    def failed(self, name: str) -> bool:
        """Tell whether the job failed when it ran last."""
        ran = self._last(name)
        return ran is not None and bool(ran.message)

    def rows(self, upcoming: Mapping[str, float]) -> list[dict[str, Any]]:
        """Return the jobs as `status` shows them; `upcoming` says when each runs next (seconds since 1970)."""
        return [self._row(name, due) for name, due in upcoming.items()]

    def _row(self, name: str, due: float) -> dict[str, Any]:
        last = self.last(name)
        return {
            "name": name,
            "last": timestamp(int(last * 1000)) if last is not None else None,
            "next": timestamp(int(due * 1000)),
            "ok": not self.failed(name),
        }

    def problems(self) -> list[dict[str, str]]:
        """Return the jobs that failed the last time, as problems."""
        return [
            problem("job", f"the job {name} failed: {ran.message}", ran.hint or _AGAIN, name)
            for name, ran in list(self._ran.items())
            if ran is not None and ran.message
        ]


_AGAIN = "It is tried again at its next time, which `otpkeep status` shows; the log has more."


class Timetable:
    """Which job runs when, and the running of one. The time (seconds since 1970) is what `now` says.

    Nothing here waits: the scheduler does, or whoever else has a clock.
    """

    def __init__(
        self, jobs: Mapping[str, Job], record: Record, config: Callable[[], Config], now: Callable[[], float]
    ) -> None:
        self.jobs = jobs
        self._record = record
        self._config = config
        self._now = now
        self._postponed: dict[str, float] = {}

    def periods(self) -> dict[str, float]:
        """Return how often (s) each job is to run as things are: one that failed or was postponed sooner."""
        return {name: self._period(name) for name in self.jobs}

    def due(self) -> dict[str, float]:
        """Return when each job is due next, at the earliest now."""
        now = self._now()
        return {name: next_due(self._period(name), self._last(name), now) for name in self.jobs}

    def run(self, name: str) -> None:
        """Run a job and take in how it went. Raises nothing: what goes wrong is a problem in `status`."""
        when = self._now()
        self._postponed.pop(name, None)
        trouble = attempt(name, self.jobs[name].run)
        if isinstance(trouble, Postponed | StoreUnwritable):
            self._postponed[name] = when
            return
        try:
            self._record.ran(name, when, self._every(name), trouble)
        except OtpkeepError as error:
            log.error(event("not-written-down", job=name, reason=error.message))

    def _every(self, name: str) -> float:
        return float(self.jobs[name].every_s(self._config()))

    def _period(self, name: str) -> float:
        again = name in self._postponed or self._record.failed(name)
        return min(self._every(name), RETRY_S) if again else self._every(name)

    def _last(self, name: str) -> float | None:
        return self._postponed.get(name, self._record.last(name))
