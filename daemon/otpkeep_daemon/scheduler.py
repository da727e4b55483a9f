"""Jobs that run every so often, across restarts and clocks that jump: a thin layer over APScheduler 3."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Mapping

from apscheduler.job import Job
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from otpkeep_daemon.logs import event
from otpkeep_protocol.errors import OtpkeepError

_log = logging.getLogger(__name__)


def next_due(period_s: float, last: float | None, now: float) -> float:
    """Return when a job is due next (seconds since 1970, like `last` and `now`), never before `now`.

    A job that never ran, or missed any number of its times, is due once, now. One that ran in what is now
    the future (the clock was set back) waits for one period and no longer.
    """
    if last is None:
        return now
    return min(max(last + period_s, now), now + period_s)


class Scheduler:
    """Runs each job of `run` once every `periods[name]` seconds, one at a time, in one thread.

    `last_run(name)` gives when it ran last (seconds since 1970), or None. After each run `ran(name, when,
    trouble)` is called in the same thread: `when` is the beginning, `trouble` None if it went well. A job that
    raises is tried again one period later.
    """

    def __init__(
        self,
        run: Mapping[str, Callable[[], object]],
        periods: Mapping[str, float],
        last_run: Callable[[str], float | None],
        ran: Callable[[str, float, OtpkeepError | None], None],
    ) -> None:
        self._run = run
        self._periods = periods
        self._last_run = last_run
        self._ran = ran
        self._scheduler = BackgroundScheduler(
            timezone=datetime.UTC,
            jobstores={"default": _ClockProofStore()},
            executors={"default": {"type": "threadpool", "max_workers": 1}},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def start(self) -> None:
        """Begin; what is overdue runs at once."""
        now = time.time()
        for name in self._run:
            due = next_due(self._periods[name], self._last_run(name), now)
            self._scheduler.add_job(
                self._run_job,
                _Every(self._periods[name]),
                args=[name],
                id=name,
                next_run_time=datetime.datetime.fromtimestamp(due, datetime.UTC),
            )
        self._scheduler.start()

    def stop(self) -> None:
        """Begin no further job, and wait for the one that runs. Not to be called from a job."""
        self._scheduler.shutdown(wait=True)

    def upcoming(self) -> dict[str, float]:
        """Return when each job runs next, in seconds since 1970."""
        return {job.id: job.next_run_time.timestamp() for job in self._scheduler.get_jobs()}

    def reschedule(self, periods: Mapping[str, float]) -> None:
        """Go by other periods from now on."""
        for name, period_s in periods.items():
            if period_s != self._periods[name]:
                due = next_due(period_s, self._last_run(name), time.time())
                self._scheduler.modify_job(
                    name, trigger=_Every(period_s), next_run_time=datetime.datetime.fromtimestamp(due, datetime.UTC)
                )
        self._periods = dict(periods)

    def _run_job(self, name: str) -> None:
        when, trouble = time.time(), None
        try:
            self._run[name]()
        except OtpkeepError as error:
            _log.warning(event("job-failed", job=name, reason=error.message))
            trouble = error
        except Exception as error:  # noqa: BLE001 - a defect in one job must not end the others, and is told
            _log.error(event("job-failed", job=name, error=type(error).__name__))
            trouble = OtpkeepError(f"a defect ({type(error).__name__})", _REPORT)
        self._ran(name, when, trouble)


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
