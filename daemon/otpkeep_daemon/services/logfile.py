"""Reading the daemon's own log file where there is no journal, across its rotations."""

from __future__ import annotations

import datetime
import os
import time
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TextIO

from otpkeep_daemon.services.state import Entry

STEP_S = 0.2
"""How often a file that is followed is looked at."""


def read(path: Path, lines: int, since: float | None, *, follow: bool) -> Generator[Entry, None, None]:
    """Yield the newest `lines` entries since then (seconds since 1970), oldest first; with `follow` those to come."""
    older = sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: -int(file.suffix[1:] or 0))
    newest: deque[Entry] = deque(maxlen=lines)
    for file in older:
        with file.open(encoding="ascii", errors="replace") as text:
            newest.extend(_entries(text, since))
    if not path.exists() and not follow:
        yield from newest
        return
    while not path.exists():
        time.sleep(STEP_S)
    with path.open(encoding="ascii", errors="replace") as text:
        newest.extend(_entries(text, since))
        yield from newest
        if follow:
            yield from _rest(path, text)
    while follow:
        with path.open(encoding="ascii", errors="replace") as text:
            yield from _rest(path, text)


def _rest(path: Path, text: TextIO) -> Iterator[Entry]:
    """Yield what is added to an open file, until another has taken its name."""
    unfinished = ""
    while True:
        last = _rotated(path, text)  # asked before reading, so that nothing that came meanwhile is missed
        unfinished += text.readline()
        if unfinished.endswith("\n"):
            yield from _entries([unfinished], None)
            unfinished = ""
        elif last:
            return
        else:
            time.sleep(STEP_S)


def _rotated(path: Path, text: TextIO) -> bool:
    try:
        return path.stat().st_ino != os.fstat(text.fileno()).st_ino
    except FileNotFoundError:
        return False


def _entries(lines: Iterator[str] | list[str] | TextIO, since: float | None) -> Iterator[Entry]:
    for line in lines:
        entry = parse(line.rstrip("\n"))
        if entry is not None and (since is None or entry.time >= since):
            yield entry


def parse(line: str) -> Entry | None:
    """Return the entry that `logs.FileLines` wrote, None for a line that is none."""
    stamp, _, rest = line.partition(" ")
    level, _, message = rest.partition(" ")
    try:
        moment = datetime.datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return Entry(moment.timestamp(), level.lower(), message) if moment.tzinfo is not None else None
