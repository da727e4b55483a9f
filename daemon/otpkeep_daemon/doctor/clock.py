"""The clock of this machine: edits of several devices are ordered with its help."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.doctor.asking import answer
from otpkeep_daemon.doctor.machine import Machine
from otpkeep_daemon.doctor.outcome import Finding
from otpkeep_daemon.rows import timestamp

FAR_S = 3_600
FIRST_RELEASE_S = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC).timestamp()
_SYSTEMD = Path("/run/systemd/system")


@dataclass(frozen=True, slots=True)
class Clock:
    """Now and the newest event (seconds since 1970), and whether the system says that it is synchronized.

    None where it does not say, or there is no event.
    """

    now_s: float
    newest_s: float | None
    synchronized: bool | None


def clock(machine: Machine) -> Clock:
    """Read the clock, and ask systemd about it where that runs."""
    newest = machine.store.newest_ms
    said = answer("timedatectl", "show", "--property=NTPSynchronized", "--value") if _SYSTEMD.is_dir() else None
    return Clock(
        machine.now_s, newest / 1000 if newest is not None else None, {"yes": True, "no": False}.get(said or "")
    )


def judge_clock(clock: Clock) -> list[Finding]:
    """Return what speaks against the clock."""
    hint = "Set the clock, or have it set: timedatectl set-ntp true. No edit is lost."
    if clock.now_s < FIRST_RELEASE_S:
        return [Finding(f"the clock says {timestamp(int(clock.now_s * 1000))}, before otpkeep was written", hint)]
    found = []
    if clock.newest_s is not None and clock.newest_s - clock.now_s > FAR_S:
        newest = timestamp(int(clock.newest_s * 1000))
        found.append(Finding(f"the newest edit is of {newest}, which is still to come; one clock is wrong", hint))
    if clock.synchronized is False:
        found.append(Finding("nothing keeps the clock of this machine right", "timedatectl set-ntp true"))
    return found
