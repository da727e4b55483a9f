"""What a check says."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNKNOWN = "it could not be checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, and its repair; `unknown`: what could not be looked at, and why."""

    message: str
    hint: str = ""
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A line of the report; `ok` None: could not be checked."""

    check: str
    ok: bool | None
    message: str
    hint: str = ""

    @property
    def row(self) -> dict[str, Any]:
        """The outcome as `--json` has it."""
        return {"check": self.check, "ok": self.ok, "message": self.message, "hint": self.hint}


class NotHereError(Exception):
    """The check makes no sense on this machine or in this state; it is left out."""


def outcomes(check: str, findings: Sequence[Finding], fine: str) -> list[Outcome]:
    """Return the lines for what a check found; `fine` is what it says if that is nothing."""
    if not findings:
        return [Outcome(check, True, fine)]
    return [Outcome(check, None if found.unknown else False, found.message, found.hint) for found in findings]


def quoted(path: Path) -> str:
    """Return a path as a shell takes it."""
    return shlex.quote(str(path))
