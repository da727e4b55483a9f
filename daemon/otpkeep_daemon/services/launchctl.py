"""The launchd agent as text, and the words of launchctl (launchd.plist(5), launchctl(1)). Pure."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping
from pathlib import Path

LABEL = "io.otpkeep.daemon"
FILE = f"{LABEL}.plist"
_LINE = re.compile(r"^\s*(state|pid|runs|last exit code) = (.*?)\s*$", re.MULTILINE)


def agent(shipped: bytes, program: Path, environment: Mapping[str, str], output: Path) -> bytes:
    """Return the agent for this machine: `shipped` with what only it knows.

    `output` takes what a crash prints; the log itself is a file of its own, which rotates.
    """
    made = plistlib.loads(shipped)
    made["ProgramArguments"] = [str(program), "daemon", "run"]
    made["EnvironmentVariables"] = dict(environment)
    made["StandardOutPath"] = made["StandardErrorPath"] = str(output)
    return plistlib.dumps(made)


def environment_of(data: bytes) -> dict[str, str]:
    """Return the variables that an agent sets."""
    found = plistlib.loads(data).get("EnvironmentVariables", {})
    return {str(name): str(value) for name, value in found.items()}


def program_of(data: bytes) -> Path:
    """Return the program that an agent starts."""
    return Path(plistlib.loads(data)["ProgramArguments"][0])


def domain(uid: int) -> str:
    """Return where the agents of a user with a session live."""
    return f"gui/{uid}"


def bootstrap(uid: int, agent_file: Path) -> list[str]:
    """Return how to load an agent, which starts it."""
    return ["launchctl", "bootstrap", domain(uid), str(agent_file)]


def bootout(uid: int) -> list[str]:
    """Return how to stop the agent and forget it."""
    return ["launchctl", "bootout", f"{domain(uid)}/{LABEL}"]


def enable(uid: int) -> list[str]:
    """Return how to have it loaded at every login, whatever was said before."""
    return ["launchctl", "enable", f"{domain(uid)}/{LABEL}"]


def kickstart(uid: int, *, again: bool) -> list[str]:
    """Return how to start the loaded agent; with `again` one that runs is stopped first."""
    return ["launchctl", "kickstart", *(["-k"] if again else []), f"{domain(uid)}/{LABEL}"]


def print_words(uid: int) -> list[str]:
    """Return how to ask about the agent; it fails where none is loaded."""
    return ["launchctl", "print", f"{domain(uid)}/{LABEL}"]


def printed(text: str) -> dict[str, str]:
    """Return state, pid, runs and last exit code as `launchctl print` shows them, each where it is first named."""
    found: dict[str, str] = {}
    for key, value in _LINE.findall(text):
        found.setdefault(key, value)
    return found
