"""Jobs that run every so often, across restarts and clocks that jump: a thin layer over APScheduler 3."""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping

from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from otpkeep_daemon.logs import event
from otpkeep_protocol.errors import OtpkeepError

_log = logging.getLogger(__name__)


class Postponed(OtpkeepError):
    """A job that could not be done now, which is no failure: it counts as not run."""

    kind = "postponed"


def next_due(period_s: float, last: float | None, now: float) -> float:
    """Return when a job is due next (seconds since 1970, like `last` and `now`), never before `now`.

    A job that never ran, or missed any number of its times, is due once, now. One that ran in what is now
    the future (the clock was set back) waits for one period and no longer.
    """
    if last is None:
        return now
    return min(max(last + period_s, now), now + period_s)


def attempt(name: str, run: Callable[[], object]) -> OtpkeepError | None:
    """Run a job, and return what went wrong, if anything did."""
    try:
        run()
    except Postponed as error:
        _log.info(event("job-postponed", job=name, reason=error.message))
        return error
    except OtpkeepError as error:
        _log.warning(event("job-failed", job=name, reason=error.message))
        return error
    except Exception as error:  # noqa: BLE001 - a defect in one job must not end the others, and is told
        _log.error(event("job-failed", job=name, error=type(error).__name__))
        return OtpkeepError(f"a defect ({type(error).__name__})", _REPORT)
    return None


class Scheduler:
    """Runs jobs when they are due, one at a time, in one thread; those in `long` in another one.

    `due()` says when each is due (seconds since 1970) and is asked at the start and after each run; `periods()` how
    often it runs (s), which no clock may put off. `run(name)` runs one and raises nothing.
    """

    def __init__(
        self,
        run: Callable[[str], object],
        due: Callable[[], Mapping[str, float]],
        periods: Callable[[], Mapping[str, float]],
        long: Collection[str] = (),
    ) -> None:
        self._run = run
        self._due = due
        self._periods = periods
        self._long = long
        self._ended = threading.Condition()
        self._running: set[str] = set()
        self._asked: set[str] = set()
        self._stopping = False
        self._scheduler = _WakefulScheduler(
            timezone=datetime.UTC,
            jobstores={"default": _ClockProofStore()},
            executors={name: {"type": "threadpool", "max_workers": 1} for name in ("default", "long")},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 2},
        )

    def start(self) -> None:
        """Begin; what is overdue runs at once."""
        periods = self._periods()
        for name, due in self._due().items():
            self._scheduler.add_job(
                self._run_job,
                _Every(periods[name]),
                args=[name],
                id=name,
                executor="long" if name in self._long else "default",
                next_run_time=_moment(due),
            )
        self._scheduler.start()

    def stop(self) -> None:
        """Begin no further job, and wait for those that run. Not to be called from a job.

        APScheduler would wait under the very lock that a job needs to have its next time changed.
        """
        with self._ended:
            self._stopping = True
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        with self._ended:
            self._ended.wait_for(lambda: not self._running)

    def upcoming(self) -> dict[str, float]:
        """Return when each job runs next, in seconds since 1970."""
        return {job.id: job.next_run_time.timestamp() for job in self._scheduler.get_jobs()}

    def reschedule(self) -> None:
        """Go by the periods and times as they are now."""
        for name in self._due():
            if name not in self._running:  # one that runs is planned when it ends
                self._plan(name)

    def soon(self, name: str) -> None:
        """Have a job run now, whenever it is due; one that runs just now once more after that."""
        with self._ended:
            waits = name in self._asked or name in self._running
            self._asked.add(name)
        if not waits:
            self._change(name, next_run_time=_moment(time.time()))

    def _plan(self, name: str) -> None:
        due, period_s = self._due()[name], self._periods()[name]
        self._change(name, trigger=_Every(period_s), next_run_time=_moment(due))

    def _change(self, name: str, **changes: object) -> None:
        # a job that ran while the scheduler was stopped finds no plan to change
        with contextlib.suppress(JobLookupError):
            self._scheduler.modify_job(name, **changes)

    def _run_job(self, name: str) -> None:
        with self._ended:
            if self._stopping:
                return
            self._running.add(name)
            self._asked.discard(name)
        try:
            self._run(name)
            self._plan(name)
        finally:
            with self._ended:
                self._running.discard(name)
                again = name in self._asked
                self._ended.notify_all()
        if again:
            self._change(name, next_run_time=_moment(time.time()))


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


_REPORT = "Please report this, with the version and the log, but without your secrets."


class _Every(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 ships no types
    """Fires one period after now, not after the time that was missed.

    APScheduler's own interval trigger counts through every missed time: a clock that jumps by decades
    would keep it busy for minutes.
    """

    def __init__(self, period_s: float) -> None:
        self.period = datetime.timedelta(seconds=period_s)

    def get_next_fire_time(
        self, previous_fire_time: datetime.datetime | None, now: datetime.datetime
    ) -> datetime.datetime:
        """Return the time one period from `now`."""
        del previous_fire_time
        return now + self.period


class _WakefulScheduler(BackgroundScheduler):  # type: ignore[misc]  # as above
    """Sleeps no longer than its shortest period.

    APScheduler reads the clock once to find what is due and once more for how long to sleep: a clock that is set back
    between the two would have it sleep for as long as that.
    """

    def _process_jobs(self) -> float | None:
        wait_s: float | None = super()._process_jobs()
        periods = [job.trigger.period.total_seconds() for job in self.get_jobs()]
        return wait_s if wait_s is None else min([wait_s, *periods])


class _ClockProofStore(MemoryJobStore):  # type: ignore[misc]  # as above
    """Keeps the jobs in memory, and finds those that a clock set back has left too far in the future.

    APScheduler sleeps by the monotonic clock and then compares by the wall clock, so it does wake up at
    about the time that was meant; without this it would only find that nothing is due, and sleep on.
    """

    def get_due_jobs(self, now: datetime.datetime) -> list[Job]:
        """Return the jobs that are due at `now`, or can't have been meant for so late a time."""
        for job in self.get_all_jobs():
            if job.next_run_time > now + job.trigger.period:
                job.next_run_time = now
                self.update_job(job)
        due: list[Job] = super().get_due_jobs(now)
        return due
