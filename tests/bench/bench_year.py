"""A simulated year: so many edits a day by one device, each published by itself, with the compaction job every hour.

Counted are the files in the folder and their bytes at the end of each day, and all bytes that were ever written there.
Nothing is timed. Goals: at most 64 current files at the end (what waits in quarantine aside), and less than ten times
the bytes of the edits' own files written in all. With a file name it draws both curves into it.

    python -m bench.bench_year [edits a day] [accounts] [days] [FILE.svg]
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.drawing import BROWN, GREEN, GREY, document, linear_panel
from otpkeep_daemon.compactor import Compactor
from otpkeep_daemon.folder import Published
from otpkeep_daemon.memory_folder import MemoryFolder
from support_vault import DAY_MS, Device, memory_directory, new_world

QUARANTINE_S = 14 * 24 * 3600
HOURS_AWAKE = 16
MOST_FILES, MOST_AMPLIFICATION = 64, 10
_RANDOM = random.Random(1)


class CountingFolder(MemoryFolder):
    """A folder that adds up what is written into it."""

    written = 0

    def publish(self, name: str, data: bytes) -> Published:
        """Publish, and count."""
        self.written += len(data)
        return super().publish(name, data)


@dataclass(frozen=True, slots=True)
class Day:
    """The folder at the end of a day: current files, all files, bytes of both, bytes written by edits and in all."""

    current: int
    files: int
    current_bytes: int
    all_bytes: int
    by_edits: int
    written: int


def live(device: Device, accounts: Sequence[str], edits: int) -> int:
    """Make a day's edits, with the job in every hour. Return the bytes that the edits themselves wrote."""
    folder, by_edits = device.folder, 0
    assert isinstance(folder, CountingFolder)
    for hour in range(HOURS_AWAKE):
        for number in range(edits * hour // HOURS_AWAKE, edits * (hour + 1) // HOURS_AWAKE):
            before = folder.written
            account = accounts[_RANDOM.randrange(len(accounts))]
            device.clock.ms += 1_000
            device.change(account, **({"note": f"changed {device.clock.ms}"} if number % 3 else {"name": f"n{number}"}))
            device.engine.publish()
            by_edits += folder.written - before
        Compactor(device.engine, folder, device.replica, QUARANTINE_S).run()
        device.clock.ms += 3_000_000
    device.clock.ms += DAY_MS - device.clock.ms % DAY_MS
    return by_edits


def sizes(device: Device) -> tuple[int, int, int, int]:
    """Return the number of current files and of all, and the bytes of each."""
    every = {name: len(device.folder.read(name) or b"") for name in device.folder.names()}
    current = [every[name] for name in device.own_files() if name in every]
    return len(current), len(every), sum(current), sum(every.values())


def simulate(edits: int, accounts: int, days: int) -> list[Day]:
    """Return the days of one device's life."""
    found: list[Day] = []
    with new_world() as world, memory_directory():
        folder = CountingFolder("laptop")
        device = world.device("laptop", folder=folder)
        device.run()
        made = [device.add(f"account {number}") for number in range(accounts)]
        device.run()
        by_edits = folder.written
        for day in range(days):
            by_edits += live(device, made, edits)
            found.append(Day(*sizes(device), by_edits, folder.written))
            if day % 30 == 29:
                print(f"  day {day + 1}: {found[-1]}", file=sys.stderr)
    return found


def drawing(days: Sequence[Day], edits: int) -> str:
    """Return both curves as SVG."""
    files = [
        ("all, quarantine included", BROWN, [float(day.files) for day in days]),
        ("current", GREEN, [float(day.current) for day in days]),
    ]
    mib = 1 / 1_048_576
    volume = [
        ("the edits' own files together", GREY, [day.by_edits * mib for day in days]),
        ("in the folder", BROWN, [day.all_bytes * mib for day in days]),
        ("current", GREEN, [day.current_bytes * mib for day in days]),
    ]
    title = f"Files, {edits} edits a day"
    return document(730, 330, [*linear_panel(title, files, 20, "files"), *linear_panel("Bytes", volume, 390, "MiB")])


def main() -> None:
    """Simulate, and print what was counted."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    edits, accounts, length = [*numbers, *(100, 100, 365)[len(numbers) :]]
    days = simulate(edits, accounts, length)
    last = days[-1]
    amplification = last.written / last.by_edits
    print(f"{len(days)} days, {edits} edits a day, {accounts} accounts")
    verdict = "ok" if last.current <= MOST_FILES else "MISS"
    print(f"current files at the end: {last.current} (at most {MOST_FILES}): {verdict}")
    print(f"most current files at the end of a day: {max(day.current for day in days)}")
    print(f"with the quarantine: {last.files}; {last.all_bytes:,} bytes, {last.current_bytes:,} current")
    verdict = "ok" if amplification < MOST_AMPLIFICATION else "MISS"
    print(f"written in all: {amplification:.2f} times the edits' files (under {MOST_AMPLIFICATION}): {verdict}")
    for word in sys.argv[1:]:
        if word.endswith(".svg"):
            Path(word).write_text(drawing(days, edits), encoding="utf-8")


if __name__ == "__main__":
    main()
