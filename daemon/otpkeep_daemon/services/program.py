"""Where the `otpkeep` program is, and the texts that are shipped with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from otpkeep_protocol.errors import NotFound

NAME = "otpkeep"


def find_program(argv0: str, scripts: str, which: Callable[[str], str | None]) -> Path:
    """Return the absolute path of `otpkeep`: how this process was called, beside its Python, or on the search path.

    Links stay as they are: pipx points one at whatever it installs next. `scripts` is the directory of this Python's
    programs, `which` looks along the search path. NotFound if there is none.
    """
    called = Path(argv0)
    beside = Path(scripts) / NAME
    searched = which(NAME)
    for found in (called.absolute() if called.name == NAME else None, beside, Path(searched) if searched else None):
        if found is not None and found.is_file() and os.access(found, os.X_OK):
            return found.absolute()
    raise NotFound(
        "The program otpkeep can't be found, so no service can start it. Nothing was changed.",
        "Install it (pipx install otpkeep), or put it on PATH.",
    )


def code_places(program: Path) -> list[Path]:
    """Return where the program, this Python and these modules lie: all of it must be seen by the daemon."""
    return [program, program.resolve(), Path(sys.prefix), Path(sys.base_prefix), Path(__file__)]


def shipped(name: str) -> str:
    """Return a text of the folder `systemd`: from the installed package, or from the checkout that this is."""
    package = Path(__file__).parents[1]
    for place in (package / "systemd", package.parents[1] / "systemd"):
        if (place / name).is_file():
            return (place / name).read_text(encoding="utf-8")
    raise NotFound(f"The file {name} is missing from this installation. Nothing was changed.", "Install otpkeep again.")
