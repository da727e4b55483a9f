"""Asking systemd: the words of its programs, and what their answers mean. Pure but for `run`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from otpkeep_daemon.services.state import Entry, Exit
from otpkeep_daemon.services.unit import UNIT
from otpkeep_protocol.errors import Refused

LONGEST_S = 600
PROPERTIES = (
    "LoadState UnitFileState ActiveState SubState MainPID NRestarts StateChangeTimestamp Result"
    " ExecMainCode ExecMainStatus StatusText"
)
EXITED = "98e322203f7a4ed290d09fe03c09fe15"
"""The id of systemd's message that a unit's process has ended (systemd/sd-messages.h)."""
_CODES = {"1": "exited", "2": "killed", "3": "dumped"}
_LEVELS = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run one of systemd's programs in the C locale and return how it ended. Refused if it is not there."""
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
            env=os.environ | {"LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise Refused(f"{words[0]} is not on this machine. Nothing was changed.", NO_SYSTEMD) from error
    except subprocess.TimeoutExpired as error:
        raise Refused(
            f"{words[0]} does not answer. What it was asked to do may still be done.", "Try again."
        ) from error


NO_SYSTEMD = "Run `otpkeep daemon run` at login in another way."


def show_words() -> list[str]:
    """Return how to ask for the unit's properties."""
    return ["systemctl", "--user", "show", UNIT, "--timestamp=unix", f"--property={','.join(PROPERTIES.split())}"]


def properties(text: str) -> dict[str, str]:
    """Return what `systemctl show` has said."""
    return {key: value for key, _, value in (line.partition("=") for line in text.splitlines())}


def units_place(env: Mapping[str, str], home: Path) -> Path:
    """Return where the user's manager looks for units: it may have another XDG_CONFIG_HOME than this process."""
    if not env.get("XDG_CONFIG_HOME"):
        return home / ".config" / "systemd" / "user"
    theirs = properties(run("systemctl", "--user", "show-environment").stdout).get("XDG_CONFIG_HOME")
    return (Path(theirs) if theirs else home / ".config") / "systemd" / "user"


def moment(text: str) -> float | None:
    """Return `@1700000000` in seconds since 1970; None for what is no such time."""
    return float(text[1:]) if text[:1] == "@" and text[1:].isdigit() else None


def exit_of(found: Mapping[str, str]) -> Exit | None:
    """Return how the main process ended by the unit's properties, None if it runs or never ran."""
    if found.get("ExecMainCode", "0") not in _CODES:
        return None
    return Exit(_CODES[found["ExecMainCode"]], found.get("ExecMainStatus", ""), moment(found["StateChangeTimestamp"]))


def exit_words() -> list[str]:
    """Return how to ask the journal for the last end of the main process."""
    return [
        "journalctl",
        "--user",
        "--output=json",
        "--lines=1",
        "--no-pager",
        f"USER_UNIT={UNIT}",
        f"MESSAGE_ID={EXITED}",
    ]


def exit_told(text: str) -> Exit | None:
    """Return what the journal has answered to that."""
    for row in _rows(text.splitlines()):
        return Exit(str(row.get("EXIT_CODE", "unknown")), str(row.get("EXIT_STATUS", "")), _time(row))
    return None


def log_words(lines: int, since: float | None, *, follow: bool) -> list[str]:
    """Return how to ask the journal for the daemon's lines and systemd's about it."""
    words = ["journalctl", "--user", f"--unit={UNIT}", "--output=json", f"--lines={lines}", "--no-pager"]
    words += [f"--since=@{since:.3f}"] if since is not None else []
    return words + (["--follow"] if follow else [])


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """Yield the entries in what `journalctl --output=json` prints."""
    for row in _rows(lines):
        level = str(row.get("PRIORITY", "6"))
        word = _LEVELS[int(level)] if level.isdigit() and int(level) < len(_LEVELS) else "info"
        yield Entry(_time(row), word, _message(row.get("MESSAGE")))


def _rows(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in lines if line.startswith("{"))


def _time(row: Mapping[str, Any]) -> float:
    return int(row.get("__REALTIME_TIMESTAMP", "0")) / 1_000_000


def _message(value: object) -> str:
    """Return the text, which is an array of bytes where it can't be printed."""
    return bytes(value).decode("utf-8", "replace") if isinstance(value, list) else str(value or "")
