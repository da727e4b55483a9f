"""What is done every so often, and when it was done last: remembered in the store, so that a restart misses nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otpkeep_daemon.config import Config
from otpkeep_daemon.rows import timestamp
from otpkeep_daemon.store import Store
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import wire
from otpkeep_protocol.errors import OtpkeepError

REMEMBERED_S = 600
"""A job that runs more often is due soon after any restart: not worth a write to the disk each time."""
LIMIT = 4096
"""Bytes of what is remembered of a job."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every so many seconds, by the settings in force."""

    run: Callable[[], object]
    every_s: Callable[[Config], float]


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
        self._ran: dict[str, Ran] = {}

    def last(self, name: str) -> float | None:
        """Return when the job ran last (seconds since 1970), None if it never did as far as is known."""
        if name not in self._ran:
            with self._lock:
                kept = self._store.get(f"job.{name}")
            if kept is None:
                return None
            value = wire.decode(kept, LIMIT)
            self._ran[name] = Ran(value["when"] / 1000, value["message"], value["hint"])
        return self._ran[name].when

    def ran(self, name: str, when: float, period_s: float, trouble: OtpkeepError | None) -> None:
        """Take in that a job has run, and what went wrong with it."""
        message, hint = (trouble.message, trouble.hint) if trouble is not None else ("", "")
        self._ran[name] = Ran(when, message[: LIMIT // 4], hint[: LIMIT // 4])
        if period_s >= REMEMBERED_S:
            value = {"when": max(0, int(when * 1000)), "message": self._ran[name].message, "hint": self._ran[name].hint}
            with self._lock, self._store.transaction():
                self._store.put(f"job.{name}", wire.encode(value))

    def rows(self, upcoming: Mapping[str, float]) -> list[dict[str, Any]]:
        """Return the jobs as `status` shows them; `upcoming` says when each runs next (seconds since 1970)."""
        return [self._row(name, due) for name, due in upcoming.items()]

    def _row(self, name: str, due: float) -> dict[str, Any]:
        last = self.last(name)
        return {
            "name": name,
            "last": timestamp(int(last * 1000)) if last is not None else None,
            "next": timestamp(int(due * 1000)),
            "ok": name not in self._ran or not self._ran[name].message,
        }

    def problems(self) -> list[dict[str, str]]:
        """Return the jobs that failed the last time, as problems."""
        return [
            {"kind": "job", "message": f"the job {name} failed: {ran.message}", "hint": ran.hint or _AGAIN}
            for name, ran in self._ran.items()
            if ran.message
        ]


_AGAIN = "It is tried again at its next time, which `otpkeep status` shows; the log has more."
