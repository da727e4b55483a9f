"""A key in a file that only its owner may read: whoever can read the file has the key."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from otpkeep_daemon import durable
from otpkeep_protocol.errors import Locked

LIMIT = 65_536


class KeyFile:
    """A short text in a file, 0600, at an absolute path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def why_not(self) -> str:
        """Return why this can't be used here, "" if it can: the data directory is ours, or nothing works."""
        return ""

    def keep(self, key: str) -> None:
        """Write the key, durably. Locked, with the reason, if it can't be written."""
        try:
            with durable.directory(self._path.parent) as folder:
                durable.replace(folder, self._path.name, key.encode(), f".{self._path.name}.part")
        except OSError as error:
            raise Locked(f"{self._path} can't be written: {error.strerror}") from None

    def read(self) -> str:
        """Return the key. Locked, with the reason, if there is none, or others may read it."""
        try:
            with durable.opened(self._path, durable.READ_FLAGS) as descriptor:
                status = os.fstat(descriptor)
                shared = sys.platform != "win32" and status.st_mode & 0o077
                if not stat.S_ISREG(status.st_mode) or shared:
                    raise Locked(f"{self._path} is not a file that only you may read")
                return durable.read_all(descriptor, LIMIT).decode("ascii").strip()
        except OSError as error:
            raise Locked(f"{self._path} can't be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise Locked(f"{self._path} does not hold a key") from None

    def forget(self) -> None:
        """Remove the file; one that is gone already is what was wanted. Locked if it can't be removed."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise Locked(f"{self._path} can't be removed: {error.strerror}") from None
