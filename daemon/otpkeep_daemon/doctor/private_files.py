"""Who can read and change otpkeep's files."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.doctor.machine import Machine
from otpkeep_daemon.doctor.outcome import Finding, NotHereError, quoted
from otpkeep_daemon.unlock import COMMAND_VARIABLE, FILE_VARIABLE, NEW_FILE_VARIABLE

_ANY = 0o077
_CHANGE = 0o022
_UNMAPPED = 65534
"""Who owns / in a container of an ordinary user, where root is somebody outside (user_namespaces(7))."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file or directory, its owner and mode, and which bits of the mode nobody else may have."""

    path: Path
    uid: int
    mode: int
    forbidden: int


def own_places(machine: Machine) -> tuple[int, list[Seen]]:
    """Return this user and everything of otpkeep's that exists, parents included. NotHereError without such modes."""
    if machine.platform == "win32":
        raise NotHereError
    paths = machine.paths
    wanted = {paths.config_dir: _CHANGE, paths.runtime: _ANY, paths.data: _ANY}
    wanted |= {path: 0 for place in list(wanted) for path in Path(os.path.realpath(place)).parents}
    wanted |= dict.fromkeys(_files(paths.data), _ANY)
    wanted |= {paths.socket: _ANY, paths.config: _CHANGE, paths.data: _ANY}
    return machine.uid, [seen for path, forbidden in wanted.items() for seen in _seen(path, forbidden)]


def _files(directory: Path) -> list[Path]:
    """Return the files beside the store: all of them are otpkeep's, and some hold secrets."""
    return sorted(path for path in directory.iterdir() if path.is_file()) if directory.is_dir() else []


def _seen(path: Path, forbidden: int) -> list[Seen]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return []
    return [Seen(path, status.st_uid, status.st_mode, forbidden)]


def judge_places(facts: tuple[int, Sequence[Seen]]) -> list[Finding]:
    """Return what belongs to somebody else, or lets others in."""
    uid, places = facts
    return [found for seen in places for found in (_parent(seen, uid) if not seen.forbidden else _own(seen, uid))]


def _own(seen: Seen, uid: int) -> list[Finding]:
    if seen.uid != uid:
        hint = f"sudo chown {uid} {quoted(seen.path)}"
        return [Finding(f"{seen.path} belongs to another user (number {seen.uid})", hint)]
    if not seen.mode & seen.forbidden:
        return []
    verb = "read" if seen.forbidden == _ANY and not seen.mode & _CHANGE else "change"
    mode = "700" if stat.S_ISDIR(seen.mode) else "600"
    what = "what is in " if stat.S_ISDIR(seen.mode) else ""
    return [Finding(f"other users may {verb} {what}{seen.path}", f"chmod {mode} {quoted(seen.path)}")]


def _parent(seen: Seen, uid: int) -> list[Finding]:
    """Judge a directory above otpkeep's: who may rename in it could exchange all of it."""
    if seen.uid not in (uid, 0, _UNMAPPED):
        hint = "Set OTPKEEP_HOME to a directory below your home."
        return [Finding(f"{seen.path}, which leads to otpkeep's files, belongs to another user", hint)]
    if seen.mode & stat.S_IWOTH and not seen.mode & stat.S_ISVTX:
        return [Finding(f"other users may exchange what is in {seen.path}", f"chmod o-w {quoted(seen.path)}")]
    return []


@dataclass(frozen=True, slots=True)
class Source:
    """A variable that says where a passphrase comes from, and what is wrong with that."""

    variable: str
    trouble: str
    hint: str


def secret_sources(machine: Machine) -> list[Source]:
    """Look at the files and the program that give passphrases; nothing is read or run."""
    files = [
        _file(name, Path(machine.env[name])) for name in (FILE_VARIABLE, NEW_FILE_VARIABLE) if machine.env.get(name)
    ]
    command = machine.env.get(COMMAND_VARIABLE)
    return [*files, *([_command(command)] if command else [])]


def _file(variable: str, path: Path) -> Source:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return Source(variable, f"names {path}, which can't be read: {error.strerror}", "Name a file that is there.")
    if stat.S_ISREG(mode) and mode & _ANY:
        return Source(variable, f"names {path}, which other users may open", f"chmod 600 {quoted(path)}")
    if not os.access(path, os.R_OK):
        return Source(variable, f"names {path}, which you may not read", f"chmod 600 {quoted(path)}")
    return Source(variable, "", "")


def _command(command: str) -> Source:
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words and shutil.which(words[0]):
        return Source(COMMAND_VARIABLE, "", "")
    return Source(COMMAND_VARIABLE, "names a program that can't be run", "Name one that is installed, with its path.")


def judge_sources(sources: Sequence[Source]) -> list[Finding]:
    """Return the sources that will not give a passphrase."""
    return [Finding(f"{source.variable} {source.trouble}", source.hint) for source in sources if source.trouble]
