"""What the system still gives to watchers (Linux: inotify(7)), and whether the daemon has it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.doctor.machine import Machine
from otpkeep_daemon.doctor.outcome import Finding, NotHereError

_LIMITS = Path("/proc/sys/fs/inotify")
_PROCESSES = Path("/proc")
_SPARE = 128
"""Instances a desktop's own programs come to need beside ours."""


@dataclass(frozen=True, slots=True)
class Inotify:
    """Limits for one user, what this user's processes use of them, what otpkeep needs, and what the daemon has.

    `of_daemon` is None if none runs.
    """

    most_instances: int
    most_watches: int
    instances: int
    watches: int
    needed: int
    of_daemon: int | None


def inotify(machine: Machine) -> Inotify:
    """Count what this user's processes hold. NotHereError on a system without inotify."""
    if not _LIMITS.is_dir():
        raise NotHereError
    held = {pid: found for pid in _own_processes(machine.uid) if (found := _held(pid))}
    watched = {file.path.parent for file in machine.store.watched}
    return Inotify(
        most_instances=_number("max_user_instances"),
        most_watches=_number("max_user_watches"),
        instances=sum(len(found) for found in held.values()),
        watches=sum(sum(found) for found in held.values()),
        needed=3 + len(watched),
        of_daemon=len(held.get(str(machine.pid), ())) if machine.pid is not None else None,
    )


def _number(name: str) -> int:
    return int((_LIMITS / name).read_text())


def _own_processes(uid: int) -> Iterator[str]:
    for process in _PROCESSES.iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            if process.name.isdigit() and process.stat().st_uid == uid:
                yield process.name


def _held(pid: str) -> list[int]:
    """Return the number of watches of each inotify instance that a process holds."""
    found = []
    with contextlib.suppress(OSError):  # it ended meanwhile, or may not be looked into
        for link in (_PROCESSES / pid / "fd").iterdir():
            with contextlib.suppress(OSError):
                if str(link.readlink()) == "anon_inode:inotify":
                    said = (_PROCESSES / pid / "fdinfo" / link.name).read_text()
                    found.append(sum(line.startswith("inotify ") for line in said.splitlines()))
    return found


def judge_inotify(facts: Inotify) -> list[Finding]:
    """Return the limits that leave otpkeep blind, now or at its next start."""
    missing = facts.needed if facts.of_daemon is None else max(0, 1 - facts.of_daemon)
    found = []
    for name, used, most in (
        ("max_user_instances", facts.instances, facts.most_instances),
        ("max_user_watches", facts.watches, facts.most_watches),
    ):
        if missing and used + missing > most:
            message = (
                f"fs.inotify.{name} is {most}, of which {used} are used: changes are found by the timed look alone"
            )
            hint = f"sudo sysctl fs.inotify.{name}={used + missing + _SPARE}"
            found.append(Finding(message, f"{hint} (and the same line in /etc/sysctl.d/otpkeep.conf, to keep it)"))
    return found
