"""Which kind of service this machine has."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from otpkeep_daemon.services.state import Platform
from otpkeep_protocol.errors import Refused

KEPT = ("OTPKEEP_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
"""Variables that say where this device's files are: the service gets them as they are at its installation."""


def choose(system: str, env: Mapping[str, str], home: Path, log: Path, which: Callable[[str], str | None]) -> Platform:
    """Return the service of this platform; `system` is as in sys.platform. Refused where none is installed."""
    if sys.platform != "win32" and system == "darwin":
        from otpkeep_daemon.services.launchd import Launchd

        return Launchd(home, log)
    if sys.platform != "win32" and system.startswith("linux") and which("systemctl") is not None:
        from otpkeep_daemon.services.systemctl import units_place
        from otpkeep_daemon.services.systemd import Systemd

        return Systemd(units_place(env, home), home)
    name = "Windows" if system == "win32" else "this system"
    raise Refused(
        f"otpkeep installs no service on {name}. Nothing was changed.",
        "Have `otpkeep daemon run` started at login; commands work without it, too.",
    )


def kept_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the service must share with the commands; OTPKEEP_HOME as an absolute path."""
    kept = {name: value for name in KEPT if (value := env.get(name))}
    if "OTPKEEP_HOME" in kept:
        kept["OTPKEEP_HOME"] = str(Path(kept["OTPKEEP_HOME"]).expanduser().absolute())
    return kept
