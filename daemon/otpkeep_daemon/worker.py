"""The engine's thread: passes when something happened or it is time, and what edits leave for later."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from otpkeep_daemon.logs import event
from otpkeep_daemon.problem import problem
from otpkeep_daemon.service import Service
from otpkeep_protocol.errors import OtpkeepError

LONGEST_S = 2.0
AGAIN_S = 0.1
"""After which a watched file that was in the midst of being written is looked at again."""
log = logging.getLogger(__name__)


class Worker:
    """Makes passes when woken, one at a time, and keeps watched files in step, out of the way of edits.

    Files are written when edits have paused for `delay_s()`, and at the latest LONGEST_S after the first of them.
    """

    def __init__(
        self,
        service: Service,
        delay_s: Callable[[], float],
        *,
        passed: Callable[[], None],
        failed: Callable[[], None],
        at_least_every_s: float | None = None,
    ) -> None:
        """`passed` is called after each pass, whatever it found; passes are `at_least_every_s` apart, if that is given.

        `failed` is called if one fails in a way that nobody foresaw: then the daemon must stop, not pretend.
        """
        self.failure: BaseException | None = None
        self.trouble: OtpkeepError | None = None
        self._service = service
        self._delay_s = delay_s
        self._passed = passed
        self._failed = failed
        self._at_least_every_s = at_least_every_s
        self._wake = threading.Event()
        self._stopping = False
        self._look = True
        self._files = True
        self._due = self._next_due()
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

    def problems(self) -> list[dict[str, str]]:
        """Return the problem that the last pass ended in the middle, if it did."""
        if self.trouble is None:
            return []
        message = f"the last pass over the folder failed: {self.trouble.message}"
        return [problem(self.trouble.kind, message, self.trouble.hint, "pass")]

    def stop(self) -> None:
        """Finish what is under way."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _guarded(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the daemon must not live on without its engine
            log.critical(event("engine-failed", error=type(error).__name__))
            self.failure = error
            self._failed()

    def _work(self) -> None:
        first: float | None = None
        while not self._stopping:
            woken = self._wake.wait(self._longest(self._pause(first)))
            self._wake.clear()
            if time.monotonic() >= self._due:
                self._look = True
            if self._files:
                self._files = False
                self._files |= self._service.look_at_files()
            if self._look:
                self._look = False
                self._pass()
                self._passed()
                self._due = self._next_due()
            if first is None:
                first = time.monotonic()
            elif not woken or time.monotonic() - first >= LONGEST_S:
                self._tidy()
                first = None
        self._tidy()

    def _next_due(self) -> float:
        """Return when (monotonic, s) a pass must be made that nothing prompted."""
        return math.inf if self._at_least_every_s is None else time.monotonic() + self._at_least_every_s

    def _longest(self, pause: float | None) -> float | None:
        """Return how long to wait (s), so that no pass comes too late."""
        left = max(0.0, self._due - time.monotonic())
        if pause is None:
            return None if math.isinf(left) else left
        return min(pause, left)

    def _pause(self, first: float | None) -> float | None:
        """Return how long to wait (s) for something to do; None where nothing is left to be done."""
        if first is None:
            return AGAIN_S if self._files else None
        pause = max(0.0, min(self._delay_s(), first + LONGEST_S - time.monotonic()))
        return min(pause, AGAIN_S) if self._files else pause

    def _tidy(self) -> None:
        """Do what edits have left for later."""
        self._service.write_files()
        try:
            self._service.engine.settle()
        except OtpkeepError as error:
            log.error(event("not-settled", reason=error.message))

    def _pass(self) -> None:
        engine = self._service.engine
        before = engine.last.trouble
        try:
            outcome = engine.run()
        except OtpkeepError as error:
            log.error(event("pass-failed", reason=error.message))
            self.trouble = error
            return
        self.trouble = None
        if outcome.read or outcome.published:
            log.info(event("pass", read=outcome.read, published=outcome.published))
        if outcome.trouble is not None and (before is None or before.message != outcome.trouble.message):
            log.warning(event(outcome.trouble.kind, reason=outcome.trouble.message))
        if outcome.trouble is None and before is not None:
            log.info(event("folder-back"))
