"""The settings in force: those of the file, read anew when asked."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path

from otpkeep_daemon.config import Config, parse_config, read_text, salvaged
from otpkeep_daemon.logs import event
from otpkeep_daemon.problem import problem
from otpkeep_protocol.errors import OtpkeepError

log = logging.getLogger(__name__)


class Settings:
    """What the file said when it was last read well; `trouble` is why it can't be used now.

    A daemon that begins with a file in error goes by what can be understood of it and by the defaults: one that backs
    up is worth more than one that refuses. What deletes by the settings waits meanwhile; see `check`.
    """

    def __init__(self, path: Path) -> None:
        """Read the file, which may be in error; `is_known`: it could be read since."""
        self.path = path
        self.trouble: OtpkeepError | None = None
        self._stamp = _stamp(path)
        self.is_known = False
        self.now = Config()
        text = ""
        try:
            text = read_text(path) or ""
            self.now, self.is_known = parse_config(text, str(path)), True
        except OtpkeepError as error:
            self.now, self.trouble = salvaged(text), error

    def reload(self) -> bool:
        """Read the file again, and return whether anything is different; a file in error changes nothing."""
        before, self._stamp = self.now, _stamp(self.path)
        told = self.trouble.message if self.trouble is not None else None
        try:
            self.now, self.trouble = parse_config(read_text(self.path) or "", str(self.path)), None
            self.is_known = True
        except OtpkeepError as error:
            self.trouble = error
            if error.message != told:
                log.error(event("settings-unchanged", reason=error.message))
        changed = [key for key, value in asdict(self.now).items() if value != getattr(before, key)]
        if changed:
            log.info(event("settings-changed", keys=",".join(changed)))
        return bool(changed)

    def is_stale(self) -> bool:
        """Tell whether to read the file again: its stamps are others, or what was wrong may be repaired around it."""
        return self.trouble is not None or _stamp(self.path) != self._stamp

    def check(self) -> None:
        """Raise why the settings are not known, if they never were: nothing may be deleted by guessed ones."""
        if not self.is_known and self.trouble is not None:
            raise self.trouble

    def problems(self) -> list[dict[str, str]]:
        """Return what is wrong with the file, as `status` shows it."""
        if self.trouble is None:
            return []
        message = f"{self.trouble.message} {_KEPT if self.is_known else _GUESSED}"
        return [problem("config", message, self.trouble.hint)]


_KEPT = "What it said before counts meanwhile."
_GUESSED = "What can be understood of it counts meanwhile, and nothing is compacted."


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file, its mode, or what a link leads to does; None if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - its errors are told apart by nobody
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
