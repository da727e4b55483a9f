"""Opening the sandbox of an installed service for places that are named after its installation."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from otpkeep_daemon import access
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.services.needs import Needs
from otpkeep_daemon.services.platform import choose, kept_environment
from otpkeep_daemon.services.state import Platform
from otpkeep_protocol.errors import Refused


def installed_platform(paths: Paths) -> Platform | None:
    """Return the service that is installed for these places, None if there is none or it is for others."""
    try:
        platform = choose(sys.platform, os.environ, Path.home(), paths.log, shutil.which)
    except Refused:
        return None  # nothing can be installed here
    return platform if platform.environment() == kept_environment(os.environ) else None


def open_for(paths: Paths, writable: frozenset[Path], visible: frozenset[Path]) -> bool:
    """Have a sandboxed service reach these places, which restarts it if it could not.

    Return whether it was restarted and had its keys. Directories to write in are made where they are missing, since
    only what exists can be opened.
    """
    platform, needs = installed_platform(paths), Needs(writable, visible)
    if platform is None or platform.reaches(needs):
        return False
    had_keys = _has_keys(paths)
    for directory in writable:
        _make(directory)
    platform.give(needs)
    return had_keys


def _make(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"{directory} can't be made: {error.strerror}. Nothing was changed."
        raise Refused(message, "Make it yourself.") from error


def _has_keys(paths: Paths) -> bool:
    found = access.ping(paths)
    return found is not None and not found["locked"]
