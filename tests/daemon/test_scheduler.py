"""Jobs run when due, once, one at a time, whatever the clock does."""

from __future__ import annotations

import datetime
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import pytest
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_daemon.scheduler import Scheduler, _ClockProofStore, _Every, _WakefulScheduler, attempt, next_due
from otpkeep_protocol.errors import OtpkeepError, Unreachable
from support_system import eventually

HOUR = 3600.0
CENTURY = 100 * 365 * 86400.0
SOON_S = 10.0


@contextmanager
def running(
    jobs: dict[str, Callable[[], object]], period: float = HOUR, last: float | None = None, long: Collection[str] = ()
) -> Iterator[tuple[Scheduler, queue.Queue[tuple[str, float, OtpkeepError | None]]]]:
    """A scheduler at work, and what it reports."""
    reports: queue.Queue[tuple[str, float, OtpkeepError | None]] = queue.Queue()
    lasts = dict.fromkeys(jobs, last)

    def run(name: str) -> None:
        when = time.time()
        trouble = attempt(name, jobs[name])
        lasts[name] = when
        reports.put((name, when, trouble))

    def due() -> dict[str, float]:
        return {name: next_due(period, lasts[name], time.time()) for name in jobs}

    scheduler = Scheduler(run, due, lambda: dict.fromkeys(jobs, period), long)
    scheduler.start()
    try:
        yield scheduler, reports
    finally:
        scheduler.stop()


def nothing() -> None:
    """A job that succeeds."""


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        (None, 1000.0, 1000.0),
        (990.0, 1000.0, 1050.0),
        (940.0, 1000.0, 1000.0),
        (1000.0 - CENTURY, 1000.0, 1000.0),
        (1000.0 + CENTURY, 1000.0, 1060.0),
    ],
    ids=["never ran", "ran lately", "just due", "missed for a century", "clock set back a century"],
)
def test_missed_runs_are_one_run_now(last: float | None, now: float, due: float) -> None:
    assert next_due(60.0, last, now) == due


@given(st.floats(0.001, 1e9), st.none() | st.floats(-1e11, 1e11), st.floats(-1e11, 1e11))
def test_no_clock_puts_a_job_off_beyond_its_period(period: float, last: float | None, now: float) -> None:
    assert now <= next_due(period, last, now) <= now + period


def test_an_overdue_job_runs_at_once_and_only_once() -> None:
    before = time.time()
    with running({"look": nothing}, last=before - 50 * HOUR) as (scheduler, reports):
        name, when, trouble = reports.get(timeout=SOON_S)
        assert (name, trouble) == ("look", None)
        assert before <= when <= time.time()
        eventually(lambda: scheduler.upcoming()["look"] > before + HOUR - 1, "the next run is an hour later")
    assert reports.empty()


def test_a_job_that_ran_lately_waits() -> None:
    last = time.time()
    with running({"verify": nothing}, last=last) as (scheduler, reports):
        assert scheduler.upcoming() == {"verify": pytest.approx(last + HOUR, abs=0.01)}
    assert reports.empty()


def test_a_job_repeats() -> None:
    with running({"look": nothing}, period=0.02) as (_, reports):
        assert [reports.get(timeout=SOON_S)[2] for _ in range(3)] == [None] * 3


def test_a_job_that_fails_is_reported_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise Unreachable("the disk is away", "plug it in")

    with running({"look": fail}, period=0.02) as (_, reports):
        troubles = [reports.get(timeout=SOON_S)[2] for _ in range(3)]
    assert [(error.message, error.hint) for error in troubles if error] == [("the disk is away", "plug it in")] * 3
    assert 'event=job-failed job=look reason="the disk is away"' in caplog.text
    assert "Traceback" not in caplog.text


def test_a_defect_in_a_job_is_reported_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def defect() -> None:
        raise ZeroDivisionError

    with running({"look": defect}, period=0.02) as (_, reports):
        troubles = [reports.get(timeout=SOON_S)[2] for _ in range(2)]
    assert all(error is not None and "ZeroDivisionError" in error.message for error in troubles)
    assert "ZeroDivisionError" in caplog.text


def test_jobs_run_one_at_a_time_and_stopping_waits_for_the_one_that_runs() -> None:
    # given two jobs that are due, the first of which waits for us
    inside, may_end, order = threading.Semaphore(0), threading.Event(), []

    def job(name: str) -> Callable[[], None]:
        def run() -> None:
            order.append(f"{name} begins")
            inside.release()
            assert may_end.wait(SOON_S)
            order.append(f"{name} ends")

        return run

    with running({"a": job("a"), "b": job("b")}) as (_, reports):
        assert inside.acquire(timeout=SOON_S)
        assert len(order) == 1
        may_end.set()
        reports.get(timeout=SOON_S)
        reports.get(timeout=SOON_S)
    # then neither began before the other had ended
    assert [entry.split()[1] for entry in order] == ["begins", "ends", "begins", "ends"]


def test_a_job_that_ends_while_the_scheduler_stops_keeps_nobody_waiting() -> None:
    # given two jobs that are due, one of which runs until we let it end
    begun, may_end = threading.Semaphore(0), threading.Event()

    def job() -> None:
        begun.release()
        assert may_end.wait(SOON_S)

    with running({"a": job, "b": job}) as (scheduler, reports):
        assert begun.acquire(timeout=SOON_S)

        # when somebody stops, and the job ends only then
        stopping = threading.Thread(target=scheduler.stop, daemon=True)
        stopping.start()
        eventually(lambda: not scheduler.upcoming(), "the scheduler has begun to stop")
        assert stopping.is_alive()
        may_end.set()
        stopping.join(SOON_S)

        # then both end, and the other job never begins
        assert not stopping.is_alive()
        assert reports.qsize() == 1


def test_a_long_job_keeps_no_other_waiting() -> None:
    may_end = threading.Event()
    with running({"verify": lambda: may_end.wait(SOON_S), "look": nothing}, long={"verify"}) as (_, reports):
        assert reports.get(timeout=SOON_S)[0] == "look"
        may_end.set()
        assert reports.get(timeout=SOON_S)[0] == "verify"


def test_a_job_that_is_asked_for_runs_whenever_it_is_due() -> None:
    with running({"verify": nothing}, last=time.time()) as (scheduler, reports):
        scheduler.soon("verify")
        assert reports.get(timeout=SOON_S)[0] == "verify"


def test_a_job_that_is_asked_for_while_it_runs_runs_once_more_without_a_complaint(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, may_end = threading.Semaphore(0), threading.Semaphore(0)

    def job() -> None:
        begun.release()
        assert may_end.acquire(timeout=SOON_S)

    with running({"alarms": job}) as (scheduler, reports):
        assert begun.acquire(timeout=SOON_S)
        for _ in range(5):
            scheduler.soon("alarms")
        may_end.release(2)
        assert [reports.get(timeout=SOON_S)[0] for _ in range(2)] == ["alarms"] * 2
        eventually(lambda: scheduler.upcoming()["alarms"] > time.time() + HOUR / 2, "it waits for its time again")
    assert reports.empty()
    assert "skipped" not in caplog.text


def stored_job(store: _ClockProofStore, due: datetime.datetime, period_s: float) -> Job:
    job = Job(
        BackgroundScheduler(timezone=datetime.UTC),
        id="look", name="look", func=nothing, args=(), kwargs={}, trigger=_Every(period_s), executor="default",
        misfire_grace_time=None, coalesce=True, max_instances=1, next_run_time=due,
    )  # fmt: skip
    store.add_job(job)
    return job


def test_a_clock_set_back_between_two_looks_at_it_is_slept_through_for_one_period() -> None:
    # given: a scheduler that is about to find out how long it may sleep, with a store that corrects nothing
    scheduler = _WakefulScheduler(timezone=datetime.UTC)
    scheduler.start(paused=True)
    late = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=CENTURY)
    scheduler.add_job(nothing, _Every(HOUR), id="look", next_run_time=late)
    try:
        # when: the clock is a century earlier than when the job was put off
        scheduler.resume()
        # then: it sleeps for a period at most
        assert scheduler._process_jobs() == HOUR
    finally:
        scheduler.shutdown()


def test_a_clock_set_back_by_a_century_makes_the_job_due() -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    store = _ClockProofStore()
    stored_job(store, now + datetime.timedelta(days=36500), HOUR)
    assert [job.next_run_time for job in store.get_due_jobs(now)] == [now]


def test_a_job_within_its_period_is_not_due() -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    store = _ClockProofStore()
    stored_job(store, now + datetime.timedelta(hours=1), HOUR)
    assert store.get_due_jobs(now) == []


def test_a_clock_that_jumps_ahead_a_century_makes_one_run_of_it() -> None:
    now = datetime.datetime(2126, 1, 1, tzinfo=datetime.UTC)
    assert _Every(60).get_next_fire_time(now - datetime.timedelta(days=36500), now) > now


def test_an_idle_scheduler_takes_no_time() -> None:
    with running({"look": nothing}, last=time.time()):
        begin = time.process_time()
        threading.Event().wait(0.3)
        assert time.process_time() - begin < 0.05
