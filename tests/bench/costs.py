"""What something costs: processor time and wall time here, and of a process of its own its peak memory as well.

On a machine that others use, too, wall time says more of them than of us: goals on computation are held against
processor time (user and system, of all threads), and wall time is printed beside it.
"""

from __future__ import annotations

import gc
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from support_bench import Pair

_WAITS = """
import json, resource, subprocess, sys, time
begin = time.perf_counter()
code = subprocess.call(sys.argv[2:])
wall = time.perf_counter() - begin
used = resource.getrusage(resource.RUSAGE_CHILDREN)
json.dump([code, used.ru_utime + used.ru_stime, wall, used.ru_maxrss * 1024], open(sys.argv[1], "w"))
"""
"""Runs a command. Its own memory is small: what a process had before it became another program counts as that one's."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of the processor and of the clock, and the most bytes that were resident, 0 if that was not asked."""

    processor: float
    wall: float
    peak: int = 0


Act: TypeAlias = Callable[[], Cost]


def cost_of(act: Callable[[], object]) -> Cost:
    """Do something and return what it took; garbage of before is not in it."""
    gc.collect()
    wall, processor = time.perf_counter(), time.process_time()
    act()
    return Cost(time.process_time() - processor, time.perf_counter() - wall)


def cost_of_process(words: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> Cost:
    """Run a command to its end, its children included; one that fails ends the benchmark, and says why."""
    with tempfile.NamedTemporaryFile("r") as told:
        waits = [sys.executable, "-c", _WAITS, told.name, *words]
        done = subprocess.run(waits, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        code, processor, wall, peak = json.load(told)
    if code != 0:
        raise SystemExit(f"{shlex.join(words)} ended with {code}:\n{done.stderr.decode()}")
    return Cost(processor, wall, peak)


def by_turns(acts: Mapping[int, Act], n: int, *, warm: int = 1) -> dict[int, list[Cost]]:
    """Return `n` costs of each act by its key, A B C A B C, so that what slows the machine slows all."""
    found: dict[int, list[Cost]] = {key: [] for key in acts}
    for _ in range(warm + n):
        for key, act in acts.items():
            found[key].append(act())
    return {key: costs[warm:] for key, costs in found.items()}


def processor(costs: Sequence[Cost]) -> float:
    """Return the median of their processor times (s)."""
    return statistics.median(cost.processor for cost in costs)


def wall(costs: Sequence[Cost]) -> float:
    """Return the median of their wall times (s)."""
    return statistics.median(cost.wall for cost in costs)


def pair(ours: Sequence[Cost], theirs: Sequence[Cost]) -> Pair:
    """Return both, by processor time, as something that has a ratio."""
    return Pair([cost.processor for cost in ours], [cost.processor for cost in theirs])
