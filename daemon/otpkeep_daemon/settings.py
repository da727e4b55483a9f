"""The settings in force: those of the file, read anew when asked."""

from __future__ import annotations

import logging
from pathlib import Path

from otpkeep_daemon.config import read_config
from otpkeep_daemon.logs import event
from otpkeep_protocol.errors import OtpkeepError

log = logging.getLogger(__name__)


class Settings:
    """What the file said when it was last read well; `trouble` is why it can't be read now."""

    def __init__(self, path: Path) -> None:
        """Read the file. Malformed if it can't be."""
        self.path = path
        self.now = read_config(path)
        self.trouble: OtpkeepError | None = None

    def reload(self) -> bool:
        """Read the file again, and return whether anything is different; a file in error changes nothing."""
        before = self.now
        try:
            self.now, self.trouble = read_config(self.path), None
        except OtpkeepError as error:
            self.trouble = error
            log.error(event("settings-unchanged", reason=error.message))
        return self.now != before
