"""Logs: one line an event, as key=value, to the journal with priorities under systemd, else to a file that rotates.

Nothing that reaches a log may be a secret, an issuer or an account's name: events tell of files, counts and reasons.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

LIMIT_BYTES = 1_048_576
KEPT = 4
"""Older log files that stay beside the present one: five MiB in all."""
_BARE = re.compile(r"[A-Za-z0-9_./:@+~-]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


class Event(str):
    """The line of an event, and its words for a person."""

    __slots__ = ("remark",)
    remark: str


def event(name: str, **fields: object) -> Event:
    """Return `event=NAME key=value …` in ASCII on one line; values that are no plain word are quoted like JSON."""
    line = Event(" ".join(f"{key}={_value(value)}" for key, value in {"event": name, **fields}.items()))
    line.remark = ": ".join([name.replace("-", " "), *map(str, fields.values())])
    return line


def _value(value: object) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text)


class Lines(logging.Formatter):
    """One line for each record, whatever text it carries; of an exception its type, never its words or its place."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text; a record of another library becomes an event named for it."""
        text = record.getMessage()
        if not text.startswith("event="):
            text = event(record.name, message=text)
        if record.exc_info and record.exc_info[0] is not None:
            text += f" error={record.exc_info[0].__name__}"
        return self.before(record) + one_line(text)

    def before(self, record: logging.LogRecord) -> str:
        """Return what stands before the event."""
        return f"{record.levelname} "


class Remarks(logging.Formatter):
    """For a person who runs a command: the words of an event without their keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return `otpkeep: ` and the words on one line."""
        said = record.msg.remark if isinstance(record.msg, Event) else record.getMessage()
        return f"otpkeep: {one_line(said)}"


def one_line(text: str) -> str:
    """Return a text in ASCII, with everything else and what could steer a terminal escaped."""
    plain = text.encode("ascii", "backslashreplace").decode()
    return _CONTROLS.sub(lambda found: f"\\x{ord(found.group()):02x}", plain)


class JournalLines(Lines):
    """Lines with the priority in front that journald takes off (sd-daemon(3)); it adds time and process itself."""

    def before(self, record: logging.LogRecord) -> str:
        """Return `<N>`."""
        return f"<{_PRIORITIES.get(record.levelno, 6)}>"


class FileLines(Lines):
    """Lines with the time in UTC and the level in front."""

    def before(self, record: logging.LogRecord) -> str:
        """Return for example `2026-05-01T12:00:00.250Z INFO `."""
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{whole}.{int(record.msecs):03}Z {record.levelname} "


def goes_to_journal(stream: TextIO | None, env: Mapping[str, str]) -> bool:
    """Tell whether `stream` is the one that systemd has connected to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        status = os.fstat(stream.fileno()) if stream is not None else None
    except (OSError, ValueError):
        return False
    return status is not None and env.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def begin(file: Path, env: Mapping[str, str]) -> None:
    """Send this process's log to the journal, else to standard error and `file`, which is made 0600 and rotates.

    `env` is the environment. A file that can't be written is told on standard error: the daemon is worth more.
    """
    stream = logging.StreamHandler(sys.stderr)
    handlers: list[logging.Handler] = [stream]
    if goes_to_journal(sys.stderr, env):
        stream.setFormatter(JournalLines())
    else:
        stream.setFormatter(Lines())
        handlers += _rotating(file)
    logging.basicConfig(level=logging.INFO, handlers=handlers)
    logging.raiseExceptions = False  # a full disk must not fill standard error with tracebacks
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # that a job which runs is not begun again is no news


def _rotating(path: Path) -> list[logging.Handler]:
    from logging.handlers import RotatingFileHandler  # only a daemon outside of systemd needs it

    class Private(RotatingFileHandler):
        """Makes each new file 0600, the one after a rotation as well."""

        def _open(self) -> TextIOWrapper:
            descriptor = os.open(self.baseFilename, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            return os.fdopen(descriptor, "a", encoding="ascii")

    if not path.parent.parent.is_dir():
        return []
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        handler = Private(path, maxBytes=LIMIT_BYTES, backupCount=KEPT, encoding="ascii")
    except OSError as error:
        print(f"WARNING {event('no-log-file', path=path, reason=error.strerror)}", file=sys.stderr)  # noqa: T201
        return []
    handler.setFormatter(FileLines())
    return [handler]
