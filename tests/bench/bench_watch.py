"""An edit of a watched file until its sealed file lies in the folder; and what a burst of rewrites becomes."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from support_bench import Bench, begin, program, show, spread, timed, wait_until, workplace
from support_watch import entry_of

GOAL_S, GOAL_EVENTS, BURST = 0.5, 10, 100
REST_S = 1.0
"""Longer than the daemon works on after an edit."""


class Rewritten:
    """A plain Aegis file that another program rewrites as a whole, through a rename."""

    def __init__(self, path: Path, entries: int) -> None:
        self._path = path
        self._entries = [entry_of(number) for number in range(entries)]
        self.write()

    def write(self) -> None:
        """Write the file."""
        db = {"version": 3, "entries": self._entries, "groups": []}
        document: dict[str, Any] = {"version": 1, "header": {"slots": None, "params": None}, "db": db}
        unfinished = self._path.with_name(f"{self._path.name}.part")
        unfinished.write_text(json.dumps(document))
        unfinished.rename(self._path)

    def edit(self, number: int, note: str) -> None:
        """Change the note of one entry."""
        self._entries[number]["note"] = note
        self.write()


def sealed(folder: Path) -> int:
    """Return the number of sealed files in a folder."""
    return sum(1 for _ in folder.glob("*.otpk"))


def edits(a: Bench, file: Rewritten, n: int) -> list[float]:
    """Return the times (s) from the rename of an edited file until a new sealed file is in the folder."""
    times = []
    for number in range(n):
        time.sleep(REST_S)
        before = sealed(a.folder)

        def edit(number: int = number, before: int = before) -> None:
            file.edit(0, f"edit {number}")
            wait_until(lambda: sealed(a.folder) > before)

        times.append(timed(edit)())
    return times


def burst(a: Bench, file: Rewritten) -> int:
    """Return how many events a burst of rewrites became, the last of which must have arrived."""
    before = a.call("status", {})["events"]
    for number in range(BURST):
        file.edit(1, f"burst {number}")

    def arrived() -> bool:
        rows = a.call("list", {"tag": None, "deleted": False, "secrets": False})
        return any(row["note"] == f"burst {BURST - 1}" for row in rows)

    wait_until(arrived, 0.02)
    events: int = a.call("status", {})["events"]
    return events - before


def main(n: int, accounts: int) -> None:
    """Print the figures for a watched file of so many accounts."""
    with workplace() as place:
        begin("bench.bench_watch", place)
        a = Bench(program(place), place / "a", place / "folder")
        a.init()
        (place / "apps").mkdir()
        file = Rewritten(place / "apps" / "aegis.json", accounts)
        a.command("watch", str(place / "apps" / "aegis.json"), "--json")
        with a.daemon():
            times = edits(a, file, n)
            made = burst(a, file)
    median = sorted(times)[n // 2]
    title = f"edit of a watched file of {accounts} accounts"
    show(title, f"median {median:.3f} s, goal under {GOAL_S}", median < GOAL_S, spread(times), n)
    told = f"{made} events, goal at most {GOAL_EVENTS}"
    show(f"burst of {BURST} rewrites", told, made <= GOAL_EVENTS, "each of another note", 1)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3] or ("20", "100")))
