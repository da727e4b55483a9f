"""The service that starts the daemon: a systemd user unit or a launchd agent, and lingering."""

from __future__ import annotations

import contextlib
import os
import plistlib
import re
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.doctor.asking import answer
from otpkeep_daemon.doctor.machine import Machine
from otpkeep_daemon.doctor.outcome import Finding, NotHereError
from otpkeep_daemon.services.launchctl import FILE, LABEL
from otpkeep_daemon.services.program import find_program
from otpkeep_daemon.services.systemctl import units_place
from otpkeep_daemon.services.unit import UNIT
from otpkeep_protocol.errors import NotFound

_INSTALL = "otpkeep service install"
_SYSTEMD = Path("/run/systemd/system")


@dataclass(frozen=True, slots=True)
class Unit:
    """What is installed to start the daemon.

    `text`: unit and drop-ins, or None. `program`: the one that a person runs, None if unknown. `home`: OTPKEEP_HOME
    here, "" if not set. `shown`: the properties that `systemctl show` gives, empty if it could not be asked.
    """

    text: str | None
    program: Path | None
    home: str
    shown: Mapping[str, str]


def unit(machine: Machine) -> Unit:
    """Read the unit, and ask systemd. NotHereError where no service of ours could run."""
    if machine.home is None or not _SYSTEMD.is_dir() or machine.platform != "linux":
        raise NotHereError
    said = answer("systemctl", "--user", "show", UNIT, "--property=ActiveState,UnitFileState,NeedDaemonReload")
    shown = dict(line.partition("=")[::2] for line in (said or "").splitlines())
    return Unit(_unit_text(machine), _program(), machine.env.get("OTPKEEP_HOME", ""), shown)


def _unit_text(machine: Machine) -> str | None:
    assert machine.home is not None
    place = units_place(machine.env, machine.home)
    if not (place / UNIT).is_file():
        return None
    return "\n".join(file.read_text() for file in [place / UNIT, *sorted((place / f"{UNIT}.d").glob("*.conf"))])


def _program() -> Path | None:
    """Return the otpkeep that `service install` would take, None if there is none."""
    with contextlib.suppress(NotFound):
        return find_program(sys.argv[0], sysconfig.get_path("scripts"), shutil.which)
    return None


def judge_unit(unit: Unit) -> list[Finding]:
    """Return why the daemon would not be running after the next start of the machine."""
    if unit.text is None:
        return [Finding("no service is installed: nothing starts the daemon by itself", _INSTALL)]
    found = _judge_program(unit.text, unit.program)
    if unit.home and unit.home not in unit.text:
        message = f"OTPKEEP_HOME is {unit.home} here, and the service works with another place"
        found.append(Finding(message, f"Unset OTPKEEP_HOME, or: otpkeep service uninstall && {_INSTALL}"))
    if not unit.shown:
        message = "the service is installed; whether it runs could not be asked of systemd"
        return [
            *found,
            Finding(message, "Is XDG_RUNTIME_DIR set? Log in anew rather than by su or sudo.", unknown=True),
        ]
    if unit.shown.get("NeedDaemonReload") == "yes":
        found.append(Finding("the unit was changed, and systemd goes by the old one", "systemctl --user daemon-reload"))
    if unit.shown.get("UnitFileState") not in ("enabled", "enabled-runtime", "linked"):
        found.append(Finding("the service is installed and not enabled", f"systemctl --user enable {UNIT}"))
    state = unit.shown.get("ActiveState", "unknown")
    if state not in ("active", "reloading"):
        found.append(Finding(f"the service is {state}", "otpkeep service start (otpkeep service logs says why)"))
    return found


def _judge_program(text: str, program: Path | None) -> list[Finding]:
    """Judge what the last line that names a program says; an empty one only takes back those before it."""
    named = [found for found in re.findall(r"^ExecStart=[-@:+!]*(.+)$", text, re.MULTILINE) if found.strip()]
    if not named:
        return [Finding("the unit names no program", _INSTALL)]
    quoted, plain = re.match(r'"((?:[^"\\]|\\.)*)"|(\S+)', named[-1].strip()).groups()  # type: ignore[union-attr]
    started = Path((plain or re.sub(r"\\(.)", r"\1", quoted)).replace("%%", "%"))
    if not os.access(started, os.X_OK):
        return [Finding(f"the service starts {started}, which can't be run", _INSTALL)]
    if program is not None and os.path.realpath(started) != os.path.realpath(program):
        return [Finding(f"the service starts {started}, and this is {program}", f"{_INSTALL} (with the one you want)")]
    return []


@dataclass(frozen=True, slots=True)
class Agent:
    """The launchd agent: the program that it starts (None: none is installed), and whether launchd has it."""

    program: str | None
    loaded: bool


def agent(machine: Machine) -> Agent:
    """Read the launchd agent. NotHereError elsewhere than on macOS."""
    if machine.home is None or machine.platform != "darwin":
        raise NotHereError
    place = machine.home / "Library" / "LaunchAgents" / FILE
    if not place.is_file():
        return Agent(None, loaded=False)
    arguments = plistlib.loads(place.read_bytes()).get("ProgramArguments") or [""]
    loaded = answer("launchctl", "print", f"gui/{machine.uid}/{LABEL}") is not None
    return Agent(str(arguments[0]), loaded)


def judge_agent(agent: Agent) -> list[Finding]:
    """Return why the daemon would not be running after the next login."""
    if agent.program is None:
        return [Finding("no service is installed: nothing starts the daemon by itself", _INSTALL)]
    found = []
    if not os.access(agent.program, os.X_OK):
        found.append(Finding(f"the service starts {agent.program}, which can't be run", _INSTALL))
    if not agent.loaded:
        found.append(Finding("the service is installed and not loaded", "otpkeep service start"))
    return found


def lingering(machine: Machine) -> str | None:
    """Return what logind says about this user's lingering, None if it does not say. NotHereError without a service."""
    if machine.home is None or not _SYSTEMD.is_dir() or _unit_text(machine) is None:
        raise NotHereError
    return answer("loginctl", "show-user", str(machine.uid), "--property=Linger", "--value")


def judge_lingering(said: str | None) -> list[Finding]:
    """Return that the daemon ends with the last session."""
    if said is None:
        return [Finding("whether the daemon goes on after logging out could not be asked of logind", unknown=True)]
    message = "the daemon runs only while you are logged in: what other devices write meanwhile waits"
    return [] if said == "yes" else [Finding(message, "loginctl enable-linger")]
