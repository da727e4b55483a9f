"""What the daemon unlocks itself with: whether that could be used now."""

from __future__ import annotations

from dataclasses import dataclass

from otpkeep_daemon.doctor.machine import Daemon, Machine
from otpkeep_daemon.doctor.outcome import Finding, NotHereError
from otpkeep_daemon.remembering import NONE, offers


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
    if method in (None, NONE):
        raise NotHereError
    (offer,) = [offer for offer in offers(machine.paths.data) if offer.method == method]
    return Unlocking(offer.method, offer.why_not)


def judge_unlocking(facts: Unlocking) -> list[Finding]:
    """Return why the daemon will come up locked."""
    if not facts.why_not:
        return []
    message = f"the daemon can't unlock itself ({facts.method}): {facts.why_not}"
    return [Finding(message, f"Repair that, or choose again: otpkeep unlock --remember {facts.method}")]
