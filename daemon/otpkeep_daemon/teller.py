"""The thread that tells people of alarms: the command of the setting `on_problem`, then the desktop."""

from __future__ import annotations

import json
import logging
import queue
import shlex
import threading
from collections.abc import Callable, Mapping
from typing import Any

from otpkeep_daemon import desktop
from otpkeep_daemon.alarms import ANY, GRAVE, Notice
from otpkeep_daemon.external import External
from otpkeep_daemon.logs import event
from otpkeep_daemon.problem import problem
from otpkeep_daemon.rows import timestamp
from otpkeep_protocol.errors import OtpkeepError

COMMAND_S = 30.0
DESKTOP_S = 10.0
WAITING = 100
"""Notices that may wait for a slow command; further ones are in the log alone."""
SUBJECTS = 20
END_S = 2.0
log = logging.getLogger(__name__)


def words(notice: Notice) -> tuple[str, str]:
    """Return what to say and what to do."""
    if not notice.raised:
        return f"this is over: {notice.kind}, which began on {_time(notice)}", ""
    first, more = notice.problems[0], len(notice.problems) - 1
    return first.message + (f" ({more} more of this kind)" if more else ""), first.hint


def facts(notice: Notice, now: float, device: str, vault: str) -> dict[str, Any]:
    """Return the document that the command gets; `device` and `vault` are ids in hex. It names no account."""
    message, hint = words(notice)
    return {
        "kind": notice.kind,
        "state": "raised" if notice.raised else "cleared",
        "message": message,
        "hint": hint,
        "device": device,
        "vault": vault,
        "time": timestamp(int(now * 1000)),
        "since": _time(notice),
        "count": len(notice.problems),
        "subjects": [p.subject for p in notice.problems if p.subject not in ("", ANY)][:SUBJECTS],
    }


def _time(notice: Notice) -> str:
    return timestamp(int(notice.since * 1000))


class Teller:
    """Tells one notice after the other, in a thread of its own, so that nothing waits for a slow command.

    What fails is not tried again: it is in the log and, by `trouble`, in `status`.
    """

    def __init__(self, command: Callable[[], str], limit_s: float = COMMAND_S) -> None:
        """`command` gives the setting `on_problem`, which may take `limit_s`."""
        self.trouble: OtpkeepError | None = None
        self._command = command
        self._limit_s = limit_s
        self._notices: queue.Queue[tuple[Notice, Mapping[str, Any]] | None] = queue.Queue(WAITING)
        self._external = External()
        self._thread = threading.Thread(target=self._work, name="teller", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End what is being told, and tell no more."""
        self._external.stop()
        with self._notices.mutex:
            self._notices.queue.clear()
        self._notices.put(None)
        self._thread.join(END_S)

    def tell(self, notice: Notice, document: Mapping[str, Any]) -> None:
        """Have people told soon; `document` is the facts for the command."""
        try:
            self._notices.put_nowait((notice, document))
        except queue.Full:
            log.error(event("alarm-only-here", waiting=WAITING))

    def tell_now(self, notice: Notice, document: Mapping[str, Any]) -> None:
        """Tell before this returns, without the thread; what fails is in the log."""
        self._tell(notice, document)

    def problems(self) -> list[dict[str, str]]:
        """Return the problem that the command failed the last time, if it did."""
        if self.trouble is None or not self._command():
            return []
        message = f"the command of on_problem failed: {self.trouble.message}"
        return [problem("on-problem", message, self.trouble.hint)]

    def _work(self) -> None:
        while (item := self._notices.get()) is not None:
            notice, document = item
            self._tell(notice, document)

    def _tell(self, notice: Notice, document: Mapping[str, Any]) -> None:
        try:
            self._run_command(notice, document)
            self._show(notice)
        except Exception as error:  # noqa: BLE001 - one alarm that can't be told must not silence all that follow
            log.error(event("alarm-not-told", kind=notice.kind, error=type(error).__name__))
            self.trouble = OtpkeepError(f"a defect ({type(error).__name__})", "Please report this, with the log.")

    def _run_command(self, notice: Notice, document: Mapping[str, Any]) -> None:
        if not self._command() or notice.kind == "on-problem":
            return
        try:
            self._external.run(_split(self._command()), json.dumps(document).encode() + b"\n", self._limit_s)
            self.trouble = None
        except (OtpkeepError, OSError) as error:
            self.trouble = (
                error if isinstance(error, OtpkeepError) else OtpkeepError(error.strerror or "it can't be run")
            )
            log.error(event("on-problem-failed", reason=self.trouble.message))

    def _show(self, notice: Notice) -> None:
        if not notice.raised or not desktop.is_installed():
            return
        try:
            text = desktop.text_of(*words(notice), grave=notice.kind in GRAVE)
            self._external.run(desktop.WORDS, text, DESKTOP_S)
        except (OtpkeepError, OSError) as error:
            log.info(event("not-shown", reason=error))


def _split(command: str) -> list[str]:
    """Return the words of a command as a shell would read them. OtpkeepError if it can't be read."""
    try:
        found = shlex.split(command)
    except ValueError as error:
        raise OtpkeepError(f"on_problem can't be read: {error}", "Close each quotation mark in it.") from error
    if not found:
        raise OtpkeepError("on_problem has only spaces", "Name a command, or take the setting out.")
    return found
