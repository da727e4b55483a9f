"""The look for alarms: gathers what is wrong, has `alarms` decide what to tell, and tells it. A job of the daemon."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from otpkeep_daemon.alarm_memory import AlarmMemory
from otpkeep_daemon.alarms import GRAVE, KEYED, Notice, Problem, Told, decide, patience
from otpkeep_daemon.config import Config
from otpkeep_daemon.database import translated
from otpkeep_daemon.logs import event
from otpkeep_daemon.problem import problem, problem_of
from otpkeep_daemon.service import Service
from otpkeep_daemon.teller import facts, words
from otpkeep_protocol.errors import OtpkeepError, Unreachable

Row = Mapping[str, str]
Tell = Callable[[Notice, Mapping[str, Any]], None]
log = logging.getLogger(__name__)
_UNREADABLE = "the store can't be read now; nothing is lost"


class Alarms:
    """What is alarming now, and what was told of it.

    `problems` gives the problems as `status` shows them, {kind, message, hint} and mostly a `subject`. `tell` gets each
    notice with the facts for the command; it must return at once.
    """

    def __init__(
        self, service: Service, config: Callable[[], Config], problems: Callable[[], list[dict[str, str]]], tell: Tell
    ) -> None:
        self._service = service
        self._config = config
        self._problems = problems
        self._tell = tell
        self._memory = AlarmMemory(service.store, service.lock)
        self._told: dict[tuple[str, str], Told] | None = None
        self._stale: list[dict[str, str]] = []
        self._oldest: str | None = None
        self._away = False

    def check(self) -> None:
        """Look, and tell what is to be told. Whatever can't be read is an alarm, too."""
        now = self._service.around.now() / 1000
        self._stale = self._not_backed_up()
        locked = self._service.accounts is None
        gathered, readable = self._gathered()
        found = [_problem(row) for row in [*gathered, *self._stale]]
        before = self._remembered()
        unseen = partial(_is_unseen, locked=locked, readable=readable)
        notices, self._told = decide(found, before, now, self._config().stale_after_s, unseen)
        if self._told != before:
            self._keep(self._told)
        for notice in notices:
            self._say(notice, now)

    def problems(self) -> list[dict[str, str]]:
        """Return the problem that nothing is backed up, once it has lasted for the setting `stale_after_s`.

        A folder that is back ends it at once, not at the next look.
        """
        if self._away and not isinstance(self._service.engine.last.trouble, Unreachable):
            return []
        now, limit = self._service.around.now() / 1000, patience("stale", self._config().stale_after_s)
        told = (self._told or {}).get(("stale", "folder"))
        return self._stale if told is not None and now - told.since >= limit else []

    def _gathered(self) -> tuple[list[dict[str, str]], bool]:
        """Return the problems, and whether all of them could be looked for."""
        try:
            return self._problems(), True
        except OtpkeepError as error:
            return [problem_of(error, "store")], False

    def _not_backed_up(self) -> list[dict[str, str]]:
        """Return that the folder is away, or that the same file waits as at the last look, if so."""
        engine = self._service.engine
        trouble = engine.last.trouble
        try:
            with self._service.lock, translated(_UNREADABLE):
                waiting = [file.name for file in engine.waiting()] if engine.publishing else []
        except OtpkeepError as error:
            log.error(event("outbox-unread", reason=error.message))
            waiting = []
        before, self._oldest = self._oldest, waiting[0] if waiting else ""
        self._away = isinstance(trouble, Unreachable)
        if trouble is not None and self._away:
            return [_stale(trouble.message, trouble.hint)]
        if waiting and before in (None, waiting[0]):
            reason = trouble.message if trouble is not None else "why is not known"
            return [_stale(f"{len(waiting)} files wait to be backed up: {reason}", "`otpkeep backup now` tries it.")]
        return []

    def _remembered(self) -> dict[tuple[str, str], Told]:
        if self._told is not None:
            return self._told
        try:
            return self._memory.read()
        except OtpkeepError as error:
            log.error(event("alarms-unread", reason=error.message))
            return {}

    def _keep(self, told: Mapping[tuple[str, str], Told]) -> None:
        try:
            self._memory.write(told)
        except OtpkeepError as error:
            log.error(event("alarms-not-written-down", reason=error.message))

    def _say(self, notice: Notice, now: float) -> None:
        device, vault = self._ids()
        document = facts(notice, now, device, vault)
        level = logging.CRITICAL if notice.kind in GRAVE else logging.WARNING
        message, hint = words(notice)
        said = "alarm" if notice.raised else "alarm-over"
        log.log(level if notice.raised else logging.INFO, event(said, kind=notice.kind, message=message, hint=hint))
        self._tell(notice, document)

    def _ids(self) -> tuple[str, str]:
        """Return the ids of device and vault in hex, "" if the store can't be read."""
        try:
            with self._service.lock, translated(_UNREADABLE):
                return self._service.store.need("device").hex(), self._service.store.need("vault").hex()
        except OtpkeepError:
            return "", ""


def _stale(message: str, hint: str) -> dict[str, str]:
    return problem("stale", f"nothing is backed up any more: {message}", hint, "folder")


def _problem(row: Row) -> Problem:
    return Problem(
        row["kind"], _printable(row.get("subject", "")), _printable(row["message"]), _printable(row.get("hint", ""))
    )


def _printable(text: str) -> str:
    """Return a text without what could forge a line in a log, or that no encoding knows."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _is_unseen(kind: str, *, locked: bool, readable: bool) -> bool:
    """Tell whether a problem of this kind would not be found now, though it is there."""
    return kind != "stale" and (not readable or (locked and kind in KEYED))
