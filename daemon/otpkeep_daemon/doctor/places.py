"""The folder and the store as places: reachable, roomy, watched, and in nobody else's sync."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon import disks
from otpkeep_daemon.doctor.machine import Machine
from otpkeep_daemon.doctor.outcome import Finding, NotHereError, quoted
from otpkeep_daemon.folder import RealFolder
from otpkeep_daemon.free_space import almost_full
from otpkeep_daemon.mounts import filesystem_of, is_blind, is_network
from otpkeep_protocol.naming import is_own_temporary

LOW_FILES = 100
BLIND_LOOK_S = 15
"""Where nothing tells of changes, a look that comes less often than this keeps a person waiting."""
STALE_S = 600
"""After which a temporary file is nobody's any more: writing one takes milliseconds."""
_WITHOUT_OWNERS = frozenset({"exfat", "msdos", "ntfs", "ntfs3", "fuseblk", "vfat"})
_IN_MEMORY = frozenset({"ramfs", "tmpfs"})


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """The folder: `trouble` is why it can't be used ("" if it can), the rest is worth something only if it can."""

    path: Path
    uid: int
    trouble: str = ""
    owner: int = 0
    mode: int = 0
    kind: str | None = None
    local_only: bool = False
    publishes: bool = True
    placeholders: tuple[str, ...] = ()


def folder_facts(machine: Machine) -> FolderFacts:
    """Look at the folder."""
    path, store = machine.folder, machine.store
    trouble = _trouble(path)
    if trouble:
        return FolderFacts(path, machine.uid, trouble)
    status = path.stat()
    return FolderFacts(
        path,
        machine.uid,
        owner=status.st_uid,
        mode=status.st_mode,
        kind=filesystem_of(path),
        local_only=store.local_only,
        publishes=store.publishes,
        placeholders=RealFolder(path, store.tag).look().placeholders,
    )


def _trouble(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            return "is not a directory"
        if _is_read_only(path):
            return "is on a file system that is mounted read-only"
    except OSError as error:
        return f"can't be reached: {error.strerror}"
    return "" if os.access(path, os.R_OK | os.W_OK | os.X_OK) else "may not be read and written by you"


def _is_read_only(path: Path) -> bool:
    """Tell whether the file system is mounted so; false where the system does not say (Windows)."""
    return disks.told(path) == errno.EROFS


def judge_folder(folder: FolderFacts) -> list[Finding]:
    """Return why the folder carries no backup, or lets others remove it."""
    path = folder.path
    if folder.trouble:
        hint = {
            "is on a file system that is mounted read-only": "Mount it for writing; `dmesg` may say why it is not.",
            "may not be read and written by you": f"chmod u+rwx {quoted(path)}",
        }.get(folder.trouble, "Mount it, or start the cloud client. If it moved: otpkeep folder DIR")
        return [Finding(f"the folder {path} {folder.trouble}; edits are saved here meanwhile", hint)]
    found = []
    has_owners = folder.kind not in _WITHOUT_OWNERS and not is_blind(folder.kind)
    if has_owners and folder.owner != folder.uid:
        found.append(Finding(f"the folder {path} belongs to another user", f"sudo chown {folder.uid} {quoted(path)}"))
    if has_owners and folder.mode & stat.S_IWOTH and not folder.mode & stat.S_ISVTX:
        found.append(Finding(f"other users may remove files from the folder {path}", f"chmod o-w {quoted(path)}"))
    if folder.local_only:
        found.append(Finding("the folder is on this machine only: not a backup", "Move it: otpkeep folder DIR"))
    if not folder.publishes:
        found.append(Finding("backup is off on this device: edits stay here", "otpkeep backup on"))
    return found


def judge_placeholders(folder: FolderFacts) -> list[Finding]:
    """Return what the cloud client has not downloaded."""
    if not folder.placeholders:
        return []
    first = folder.placeholders[0]
    message = f"{len(folder.placeholders)} files in the folder are not downloaded ({first}, for one)"
    return [Finding(message, f"Have your cloud client keep {folder.path} on this machine (offline).")]


@dataclass(frozen=True, slots=True)
class Watchable:
    """Directories that are watched, each with the type of its file system, and the seconds between timed looks."""

    places: tuple[tuple[Path, str | None], ...]
    look_every_s: int


def watchable(machine: Machine) -> Watchable:
    """Return what is watched."""
    places = dict.fromkeys([machine.folder, *(file.path.parent for file in machine.store.watched)])
    there = [place for place in places if place.is_dir()]
    return Watchable(tuple((place, filesystem_of(place)) for place in there), machine.config.look_every_s)


def judge_watchable(facts: Watchable) -> list[Finding]:
    """Return the places where a change is found by the timed look alone, if that is far from often."""
    if facts.look_every_s <= BLIND_LOOK_S:
        return []
    hint = f"otpkeep config look_every_s {BLIND_LOOK_S}"
    return [
        Finding(f"on {kind}, changes in {place} are found only every {facts.look_every_s} seconds", hint)
        for place, kind in facts.places
        if is_blind(kind)
    ]


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where the store is: type of the file system, whether it is mounted read-only, whether it knows hard links."""

    path: Path
    kind: str | None
    read_only: bool
    links: bool


def store_place(machine: Machine) -> StorePlace:
    """Look at the directory of the store."""
    path = machine.paths.data
    if not path.is_dir():
        raise NotHereError
    read_only = _is_read_only(path)
    return StorePlace(path, filesystem_of(path), read_only, links=read_only or _has_links(path))


def _has_links(directory: Path) -> bool:
    """Try a hard link with an empty file of our own, which is gone again at once."""
    one = directory / f".probe.{secrets.token_hex(8)}"
    other = directory / f"{one.name}.link"
    try:
        os.close(os.open(one, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        other.hardlink_to(one)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        return False
    finally:
        one.unlink(missing_ok=True)
        other.unlink(missing_ok=True)
    return True


def judge_store_place(place: StorePlace) -> list[Finding]:
    """Return why a store is not safe there."""
    hint = "Set OTPKEEP_HOME to a directory on a local disk; only the folder may be elsewhere."
    if is_network(place.kind):
        return [Finding(f"{place.path} is on {place.kind}, where a store can't be kept safe", hint)]
    if place.kind in _IN_MEMORY:
        return [Finding(f"{place.path} is in memory ({place.kind}): a restart of the machine empties it", hint)]
    if place.kind in _WITHOUT_OWNERS:
        return [Finding(f"{place.path} is on {place.kind}, which keeps no file from other users", hint)]
    if place.read_only:
        return [Finding(f"{place.path} is on a file system that is mounted read-only", "Mount it for writing.")]
    if not place.links:
        return [Finding(f"{place.path} is on a file system without hard links ({place.kind or 'unknown'})", hint)]
    return []


@dataclass(frozen=True, slots=True)
class Space:
    """What is free at a place: bytes, whether that is little, names for files (None: there is no limit of them)."""

    what: str
    path: Path
    free: int
    little: bool
    names: int | None


def space(machine: Machine) -> list[Space]:
    """Return what is free for the store and in the folder."""
    places = {"store": machine.paths.data, "folder": machine.folder}
    return [_space(what, path, machine.config.low_disk_mb) for what, path in places.items() if path.is_dir()]


def _space(what: str, path: Path, low_mb: int) -> Space:
    names = None
    if sys.platform != "win32" and (status := os.statvfs(path)).f_files:
        names = status.f_favail
    usage = shutil.disk_usage(path)
    return Space(what, path, usage.free, almost_full(usage, low_mb), names)


def judge_space(places: Sequence[Space]) -> list[Finding]:
    """Return the disks that are almost full."""
    found = []
    for place in places:
        hint = f"Free some space: df -h {quoted(place.path)}"
        if place.little:
            found.append(Finding(f"only {place.free / 1e6:.1f} MB are free for the {place.what} ({place.path})", hint))
        if place.names is not None and place.names < LOW_FILES:
            message = f"only {place.names} more files fit on the disk of the {place.what} ({place.path})"
            found.append(Finding(message, f"Remove files: df -i {quoted(place.path)}"))
    return found


def temporaries(machine: Machine) -> list[Path]:
    """Return temporary files of this device that a crash has left in the folder or beside the store."""
    paths, tag = machine.paths, machine.store.tag
    beginnings = (f".{paths.own_vault.name}.", f".{paths.config.name}.", ".probe.")
    found = [path for path in _entries(machine.folder) if is_own_temporary(path.name, tag)]
    beside = {*_entries(paths.data), *_entries(paths.config_dir)}
    found += sorted(path for path in beside if path.name.startswith(beginnings))
    return [path for path in found if machine.now_s - path.lstat().st_mtime > STALE_S]


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def judge_temporaries(left: Sequence[Path]) -> list[Finding]:
    """Return each leftover."""
    return [
        Finding(f"{path} was left behind by a crash; nothing in it is needed", f"rm {quoted(path)}") for path in left
    ]
