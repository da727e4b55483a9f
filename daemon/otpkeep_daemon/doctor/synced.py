"""Which clients carry which directories: one over the folder, and none over the store."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.clouds import find_clouds
from otpkeep_daemon.doctor.machine import Machine
from otpkeep_daemon.doctor.outcome import Finding

_MARKS = (
    (".stfolder", "Syncthing"),
    (".dropbox.cache", "Dropbox"),
    (".sync_*.db", "Nextcloud"),
    ("._sync_*.db", "Nextcloud"),
    (".owncloudsync.log", "ownCloud"),
    (".sync/ID", "Resilio Sync"),
)
"""What a client leaves at the top of a folder that it carries."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The directories that clients carry, by real path, and the real paths of folder and data."""

    clients: tuple[tuple[Path, str], ...]
    folder: Path
    data: Path


def carried(machine: Machine) -> Carried:
    """Return what the clients' configurations and marks say."""
    folder, data = _real(machine.folder), _real(machine.paths.data)
    known = find_clouds(machine.home, machine.platform, machine.env) if machine.home is not None else []
    named = [
        (_real(cloud.path), cloud.provider) for cloud in known if cloud.path is not None and cloud.path.is_absolute()
    ]
    above = {place for path in (folder, data) for place in (path, *path.parents)}
    below = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    found = dict([*_marked([*above, *below]), *named])
    return Carried(tuple(sorted(found.items())), folder, data)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _marked(places: Iterable[Path]) -> list[tuple[Path, str]]:
    return [(place, client) for place in places for mark, client in _MARKS if _has(place, mark)]


def _has(place: Path, mark: str) -> bool:
    try:
        return any(True for _ in place.glob(mark))
    except OSError:
        return False  # a directory that can't be read is told of by other checks


def judge_carried(facts: Carried) -> list[Finding]:
    """Return where two clients carry the same files, or one carries the store."""
    over = [(path, client) for path, client in facts.clients if facts.folder.is_relative_to(path)]
    found = []
    if len(over) > 1:
        said = " and ".join(f"{client} ({path})" for path, client in over)
        hint = "Let one of them carry it: two undo each other's deletes. Move it: otpkeep folder DIR"
        found.append(Finding(f"the folder {facts.folder} is carried by {said}", hint))
    for path, client in facts.clients:
        if path != facts.folder and path.is_relative_to(facts.folder):
            found.append(Finding(f"{path}, inside of the folder, is carried by {client} as well", "Move it elsewhere."))
        if facts.data.is_relative_to(path):
            message = f"{client} carries otpkeep's own data in {facts.data}, which must stay on this device"
            found.append(Finding(message, f"Leave it out of {path}, or set OTPKEEP_HOME to another directory."))
    return found
