"""A file that arrives in the folder, until `list` shows it on this side; and what an idle daemon costs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from support_bench import Bench, begin, program, show, spread, timed, wait_until, workplace

GOAL_S, GOAL_SHARE, GOAL_MIB = 0.5, 0.001, 80
_TICKS = os.sysconf("SC_CLK_TCK")


def carry(source: Path, target: Path, names: set[str]) -> None:
    """Bring files over as a cloud client does: under a temporary name first, then renamed."""
    for name in names:
        unfinished = target / f".syncthing.{name}.tmp"
        unfinished.write_bytes((source / name).read_bytes())
        unfinished.rename(target / name)


def names(folder: Path) -> set[str]:
    """Return the names of the sealed files in a folder."""
    return {path.name for path in folder.glob("*.otpk")}


def arrivals(a: Bench, b: Bench, n: int) -> list[float]:
    """Return the times (s) from the rename of a file of A in B's folder until B lists its account."""
    times = []
    for number in range(n):
        before, tag = names(a.folder), f"arrival {number}"
        a.add(number, tags=[tag])
        fresh = names(a.folder) - before

        def arrive(fresh: set[str] = fresh, tag: str = tag) -> None:
            carry(a.folder, b.folder, fresh)
            wait_until(lambda: bool(b.call("list", {"tag": tag, "deleted": False, "secrets": False})), 0.005)

        time.sleep(0.4)
        times.append(timed(arrive)())
    return times


def busy_s(pid: int) -> float:
    """Return the processor time of a process: its threads' by the scheduler, in nanoseconds, which ticks would miss."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    precise = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    counted = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return max(precise, (int(counted[11]) + int(counted[12])) / _TICKS)


def memory_mib(pid: int, line: str) -> float:
    """Return a size that the kernel tells of a process, such as VmRSS."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(text for text in lines if text.startswith(f"{line}:")).split()[1]) / 1024


def idle(b: Bench, seconds: int) -> None:
    """Print what a daemon costs that was just started and then left alone."""
    with b.daemon() as pid:
        accounts = len(b.call("list", {"tag": None, "deleted": False, "secrets": False}))
        time.sleep(5)
        begin_s = busy_s(pid)
        time.sleep(seconds)
        share = (busy_s(pid) - begin_s) / seconds
        files = len(names(b.folder))
        detail = f"{accounts} accounts, {files} files, one timed look a minute"
        show(
            f"idle daemon over {seconds} s",
            f"{share:.4%} of a processor, goal under {GOAL_SHARE:.1%}",
            share < GOAL_SHARE,
            detail,
            1,
        )
        size, peak = memory_mib(pid, "VmRSS"), memory_mib(pid, "VmHWM")
        show("idle daemon", f"VmRSS {size:.1f} MiB, goal under {GOAL_MIB}", size < GOAL_MIB, f"peak {peak:.1f} MiB", 1)


def main(n: int, accounts: int, seconds: int) -> None:
    """Print the figures; the second device recovers a vault of `accounts` accounts, each added by itself."""
    with workplace() as place:
        begin("bench.bench_arrival", place)
        words = program(place)
        a, b = Bench(words, place / "a", place / "a-folder"), Bench(words, place / "b", place / "b-folder")
        a.init()
        b.folder.mkdir()
        with a.daemon():
            for number in range(accounts):
                a.add(number)
            carry(a.folder, b.folder, names(a.folder))
            b.recover()
            with b.daemon():
                times = arrivals(a, b, n)
        median = sorted(times)[n // 2]
        show(
            f"arrival, {accounts} accounts",
            f"median {median:.3f} s, goal under {GOAL_S}",
            median < GOAL_S,
            spread(times),
            n,
        )
        idle(b, seconds)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:4] or ("30", "1000", "60")))
