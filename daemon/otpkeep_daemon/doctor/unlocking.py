"""What the daemon unlocks itself with: whether that could be used now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.doctor.machine import Daemon, Machine
from otpkeep_daemon.doctor.outcome import Finding, NotHereError

TRIES: Mapping[str, Callable[[Path], str]] = {}
"""Way of unlocking -> what tries it for real beside a store in that directory, and returns why it can't be used, or "".

None of them may ask a person, or change what is remembered.
"""


@dataclass(frozen=True, slots=True)
class Unlocking:
    """The way that was chosen, and why it can't be used now, "" if it can."""

    method: str
    why_not: str


def unlocking(machine: Machine) -> Unlocking:
    """Try the way that the daemon says was chosen. NotHereError if none was, or nobody says."""
    if not isinstance(machine.daemon, Daemon):
        raise NotHereError
    method = machine.daemon.status.get("unlocks_by")
    if not isinstance(method, str) or method not in TRIES:
        raise NotHereError
    return Unlocking(method, TRIES[method](machine.paths.data))


def judge_unlocking(facts: Unlocking) -> list[Finding]:
    """Return why the daemon will come up locked."""
    if not facts.why_not:
        return []
    message = f"the daemon can't unlock itself ({facts.method}): {facts.why_not}"
    return [Finding(message, f"Repair that, or choose again: otpkeep unlock --remember {facts.method}")]
