"""Faults by strace: the file system calls that a real process makes, and killing or failing it at one of them.

A place is the n-th call of one kind, counted per thread as strace counts it, and only where it touches what belongs to
the scene: what Python does to find its modules is no place.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from support_cli import PROGRAM, Result

KILL = "SIGKILL"
READS = ("read", "pread64", "getdents64")
WRITES = ("write", "pwrite64", "ftruncate", "fallocate", "fsync", "fdatasync")
NAMES = ("linkat", "link", "renameat2", "renameat", "rename", "mkdirat", "mkdir", "unlinkat", "unlink")
MODES = ("fchmod", "chmod", "fchmodat")
KINDS = ("openat", *READS, *WRITES, *NAMES, *MODES)
_FULL = ("ENOSPC", "EDQUOT")
_MAKES = re.compile(r"O_(CREAT|WRONLY|RDWR|TMPFILE)")
_CALL = re.compile(r"^(\d+)\s+(\w+)\((.*)$")
_PATH = re.compile(r'[<"](/[^>"]*)[>"]')
_GIVEN = ".passphrase"
"""How files end that only hand a secret over; they are no part of a scene."""
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Place:
    """One call of an undisturbed run: its kind, its number among its kind in its thread, what it can answer."""

    call: str
    at: int
    errors: tuple[str, ...]
    last: int
    """The number of the last such call: a fault that stays lasts until then, since what is printed after is none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at a place: KILL, or the name of an errno, once or from then on."""

    place: Place
    what: str
    stays: bool = False

    def __str__(self) -> str:
        return f"{self.what} at {self.place.call} {self.place.at}{'+' if self.stays else ''}"

    @property
    def inject(self) -> str:
        """The word for strace's -e."""
        at, last = self.place.at, self.place.last
        deed = f"signal={self.what}" if self.what == KILL else f"error={self.what}"
        return f"inject={self.place.call}:{deed}:when={f'{at}..{last}' if self.stays else at}"


@dataclass(frozen=True, slots=True)
class Traced:
    """How a traced command ended, the places of its calls, and whether the fault hit a call of the scene's."""

    result: Result
    places: tuple[Place, ...]
    hit: bool
    paths: tuple[str, ...]


def run_traced(
    words: Iterable[str | Path],
    env: Mapping[str, str],
    own: Collection[Path],
    *,
    fault: Fault | None = None,
    paths: Sequence[str] = (),
) -> Traced:
    """Run a command of the program under strace and return what came of it.

    `own` are the directories that count. `paths` are those that an earlier run touched: openat is counted among them
    alone, so that a fault which stays keeps no module from being imported.
    """
    with tempfile.NamedTemporaryFile(mode="r", suffix=".strace") as log:
        command = [*strace(log.name, fault, paths), *PROGRAM, *map(str, words), "--json"]
        done = subprocess.run(
            command,
            env={**env, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        lines = log.read().splitlines()
    result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
    hit = fault is not None and was_hit(lines, fault, own, killed=done.returncode == -signal.SIGKILL)
    return Traced(result, places_in(lines, own), hit, paths_in(lines, own))


def strace(log: str, fault: Fault | None, paths: Sequence[str], *, attached: int | None = None) -> list[str]:
    """Return the words before a command, or those that attach to a process."""
    calls = [fault.place.call] if fault is not None else [f"?{call}" for call in KINDS]
    words = ["strace", "-f", "-qq", "-y", "-s", "0", "-o", log, "-e", f"trace={','.join(calls)}", "-e", "signal=none"]
    if fault is not None:
        words += ["-e", fault.inject]
        if fault.place.call == "openat":
            words += [word for path in paths for word in ("-P", path)]
    if attached is not None:
        return [*words, "-p", str(attached)]
    # which is faster, but with it strace 6.1 sends no signals
    return words if fault is not None and fault.what == KILL else [*words, "--seccomp-bpf"]


def places_in(lines: Sequence[str], own: Collection[Path]) -> tuple[Place, ...]:
    """Return the places in a log, in the order of the calls."""
    counts: dict[tuple[str, str], int] = {}
    found: dict[tuple[str, int], Place] = {}
    for line in lines:
        parts = _CALL.match(line)
        if parts is None:
            continue
        thread, call, rest = parts.groups()
        mine = is_own(line, own)
        if mine or call != "openat":
            counts[thread, call] = counts.get((thread, call), 0) + 1
        if mine:
            at = counts[thread, call]
            found.setdefault((call, at), Place(call, at, errors_of(call, rest), at))
    lasts = {call: max(at for kind, at in found if kind == call) for call, _ in found}
    return tuple(replace(place, last=lasts[place.call]) for place in found.values())


def errors_of(call: str, rest: str) -> tuple[str, ...]:
    """Return the errors that such a call can end with on a disk that is full, failing or read-only."""
    if call == "openat":
        return ("EIO", "EMFILE", *(("EROFS", *_FULL) if _MAKES.search(rest) else ()))
    if call in READS:
        return ("EIO",)
    if call in MODES:
        return ("EIO", "EROFS")
    return ("EIO", "EROFS", *_FULL)


def is_own(line: str, own: Collection[Path]) -> bool:
    """Tell whether a line of the log is about something in one of the directories."""
    return any(_within(path, own) for path in _PATH.findall(line))


def paths_in(lines: Sequence[str], own: Collection[Path]) -> tuple[str, ...]:
    """Return the paths in those directories that the log names."""
    named = {path for line in lines for path in _PATH.findall(line) if _within(path, own)}
    return tuple(sorted(named | {str(path) for path in own}))


def _within(path: str, own: Collection[Path]) -> bool:
    return not path.endswith(_GIVEN) and any(
        path == str(directory) or path.startswith(f"{directory}{os.sep}") for directory in own
    )


def was_hit(lines: Sequence[str], fault: Fault, own: Collection[Path], *, killed: bool) -> bool:
    """Tell whether the fault happened at a call that is the scene's: numbers may shift between two runs."""
    if fault.what == KILL:
        called = [line for line in lines if _CALL.match(line)]
        return killed and bool(called) and is_own(called[-1], own)
    injected = [line for line in lines if "(INJECTED)" in line]
    return bool(injected) and is_own(injected[0], own)


def faults(places: Iterable[Place]) -> list[Fault]:
    """Return every fault of those places: a kill, and each error, once and staying."""
    found = []
    for place in places:
        found.append(Fault(place, KILL))
        found += [Fault(place, error) for error in place.errors]
        if place.call not in ("read", "getdents64", "write"):  # by which modules are read and answers written, too
            found += [Fault(place, error, stays=True) for error in place.errors if place.at < place.last]
    return found


def chosen(every: Sequence[Fault], most: int) -> list[Fault]:
    """Return about `most` of the faults, so that each kind of call is killed and each of its errors happens.

    OTPKEEP_SWEEP is how many it shall be instead, or `all`.
    """
    wanted = os.environ.get("OTPKEEP_SWEEP") or str(most)
    if wanted == "all":
        return list(every)
    groups: dict[tuple[str, str], list[Fault]] = {}
    for fault in every:
        groups.setdefault((fault.place.call, fault.what), []).append(fault)
    rounds = zip_longest(*map(_spread, groups.values()))
    return [fault for turn in rounds for fault in turn if fault is not None][: int(wanted)]


def _spread(group: Sequence[Fault]) -> list[Fault]:
    """Return a group in an order of which each beginning is spread over the whole (by the golden ratio)."""
    return [group[at] for at in sorted(range(len(group)), key=lambda at: (at * 0.618034 + 0.5) % 1)]
