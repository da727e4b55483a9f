"""The drop-in that says what only this machine knows: pure text, quoted as systemd.syntax(7) reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.services.needs import TEMPORARY, Needs
from otpkeep_protocol.errors import Refused

UNIT = "otpkeep.service"
HERE = "here.conf"
CREDENTIAL = "credential.conf"
"""Written by `otpkeep unlock --remember`; gone with the service."""
NAMESPACED = (
    "PrivateUsers",
    "ProtectHome",
    "PrivateMounts",
    "PrivateTmp",
    "PrivateIPC",
    "PrivateDevices",
    "PrivateNetwork",
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
)
NO_SANDBOX = [
    *(f"{name}=no" for name in NAMESPACED),
    "ProtectSystem=no",
    "CapabilityBoundingSet=~",
]
"""What takes back the options that need a user namespace, where those are forbidden."""
SANDBOX_FAILED = frozenset({217, 218, 226})
"""How a unit ends whose user, capabilities or file systems can't be set up (systemd.exec(5))."""
_NOTE = "# Written by `otpkeep service install`, which writes it anew. Your own changes: systemctl --user edit otpkeep"


@dataclass(frozen=True, slots=True)
class Here:
    """What the unit must know of this machine. `sandboxed` is off where user namespaces are forbidden."""

    program: Path
    environment: Mapping[str, str]
    needs: Needs
    sandboxed: bool = True


def drop_in(here: Here) -> str:
    """Return the text of `here.conf`. Refused if a path can't be written there."""
    lines = [_NOTE, "[Service]", "ExecStart=", f"ExecStart={quoted(str(here.program))} daemon run"]
    lines += [f"Environment={quoted(f'{name}={value}')}" for name, value in sorted(here.environment.items())]
    if not here.sandboxed:
        return "\n".join([*lines, _FORBIDDEN, *NO_SANDBOX, ""])
    lines += [f"ReadWritePaths={quoted(f'-{path}')}" for path in sorted(here.needs.writable)]
    if not here.needs.own_tmp:
        lines += ["# The folder or a watched file lies in a directory for temporary files.", "PrivateTmp=no"]
    return "\n".join([*lines, ""])


_FORBIDDEN = "# This machine lets no ordinary user make a user namespace, so what needs one is off."


def written_needs(text: str) -> Needs:
    """Return what the daemon was given by a drop-in of ours; the opposite of `drop_in`."""
    lines = text.splitlines()
    paths = frozenset(Path(unquoted(value).removeprefix("-")) for value in _values(lines, "ReadWritePaths"))
    return Needs(paths, frozenset(TEMPORARY if "PrivateTmp=no" in lines else ()))


def written_environment(text: str) -> dict[str, str]:
    """Return the variables that a drop-in of ours sets."""
    pairs = (unquoted(value).partition("=") for value in _values(text.splitlines(), "Environment"))
    return {name: value for name, _, value in pairs}


def written_program(text: str) -> Path:
    """Return the program that a drop-in of ours starts."""
    *_, command = _values(text.splitlines(), "ExecStart")
    return Path(unquoted(command.removesuffix(" daemon run")))


def _values(lines: Iterable[str], key: str) -> list[str]:
    return [line.removeprefix(f"{key}=") for line in lines if line.startswith(f"{key}=")]


def is_sandboxed(text: str) -> bool:
    """Tell whether a drop-in leaves the sandbox of the unit on."""
    return "PrivateUsers=no" not in text.splitlines()


def quoted(text: str) -> str:
    """Return a text as one word of a unit file. Refused if it has control characters or is no text."""
    if not text.isprintable():
        raise Refused(
            f"systemd can't be given the name {text!a}. Nothing was changed.",
            "Rename what has signs in its name that can't be printed.",
        )
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def unquoted(word: str) -> str:
    """Return what was quoted."""
    inner = word.removeprefix('"').removesuffix('"').replace("%%", "%")
    return inner.replace('\\"', '"').replace("\\\\", "\\")


def owned_names(names: Iterable[str]) -> list[str]:
    """Return which files of the drop-in directory go with the service; a person's own stay."""
    return [name for name in names if name in (HERE, CREDENTIAL)]
