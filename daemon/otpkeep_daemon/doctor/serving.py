"""The daemon: running, reachable, of this version, unlocked, and what it says itself."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon import file_lock
from otpkeep_daemon.doctor.machine import Daemon, Machine
from otpkeep_daemon.doctor.outcome import Finding, NotHereError
from otpkeep_daemon.lock import holder
from otpkeep_daemon.version import VERSION
from otpkeep_protocol.control import RESTART
from otpkeep_protocol.errors import OtpkeepError

_CHECKED_HERE = frozenset({"config", "folder-unreachable", "locked", "old-daemon", "watched-missing"})
"""Kinds of the daemon's problems for which there is a check of its own."""


@dataclass(frozen=True, slots=True)
class Serving:
    """The daemon, or why none answers, and who holds the store if that is not it ("" for nobody)."""

    daemon: Daemon | OtpkeepError | None
    version: str
    holder: str
    socket: Path


def serving(machine: Machine) -> Serving:
    """Return what is known of the daemon. NotHereError before there is a store to serve."""
    if machine.stored is None:
        raise NotHereError
    paths = machine.paths
    held = holder(paths.lock) if machine.daemon is None and _is_held(paths.lock) else ""
    return Serving(machine.daemon, VERSION, held, paths.socket)


def _is_held(lock: Path) -> bool:
    """Tell whether a process holds the writer lock; the file is left as it is."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(lock, os.O_RDWR)
        try:
            return not file_lock.take(descriptor)
        finally:
            os.close(descriptor)
    return False


def judge_serving(facts: Serving) -> list[Finding]:
    """Return why edits are not published and taken in at once."""
    if isinstance(facts.daemon, OtpkeepError):
        return [Finding(facts.daemon.message, facts.daemon.hint)]
    if facts.daemon is None and facts.holder.endswith(" daemon"):
        message = f"a daemon (process {facts.holder.split()[0]}) has the store, and does not listen at {facts.socket}"
        hint = f"It was started with another XDG_RUNTIME_DIR or has lost its socket. {RESTART}"
        return [Finding(message, hint)]
    if facts.daemon is None:
        message = "no daemon is running: nothing comes in, and other programs' files are not looked at"
        return [Finding(message, "otpkeep service install starts it now and at every login; or otpkeep daemon run")]
    found = []
    if facts.daemon.version != facts.version:
        theirs = facts.daemon.version or "an older version"
        found.append(Finding(f"the running daemon is otpkeep {theirs}, not {facts.version}", RESTART))
    if facts.daemon.locked:
        message = "the daemon is locked: what others wrote, and watched files, wait"
        found.append(Finding(message, "otpkeep unlock (with --remember METHOD it unlocks itself from then on)"))
    return found


def problems(machine: Machine) -> Sequence[Mapping[str, str]]:
    """Return what the daemon shows in `status`. NotHereError if none answers."""
    if not isinstance(machine.daemon, Daemon):
        raise NotHereError
    found: Sequence[Mapping[str, str]] = machine.daemon.status["problems"]
    return found


def judge_problems(found: Sequence[Mapping[str, str]]) -> list[Finding]:
    """Return those that no other check tells of."""
    return [Finding(one["message"], one["hint"]) for one in found if one["kind"] not in _CHECKED_HERE]


@dataclass(frozen=True, slots=True)
class SocketPlace:
    """Where the socket is to be, whether something else lies there, and whether the system has ways around length."""

    path: Path
    in_the_way: bool
    shortens: bool


def socket_place(machine: Machine) -> SocketPlace:
    """Look at the socket's place."""
    path = machine.paths.socket
    in_the_way = os.path.lexists(path) and not path.is_socket()
    return SocketPlace(path, in_the_way, sys.platform == "win32" or Path("/proc/self/fd").is_dir())


def judge_socket_place(place: SocketPlace) -> list[Finding]:
    """Return why no daemon can listen there."""
    if place.in_the_way:
        return [Finding(f"{place.path} is in the way: it is no socket", "Move it away.")]
    if not place.shortens and _is_long(place.path):
        return [Finding(f"the path {place.path} is too long for a socket", "Set OTPKEEP_HOME to a shorter path.")]
    return []


def _is_long(path: Path) -> bool:
    if sys.platform != "win32":
        from otpkeep_daemon.unix_socket import PATH_LIMIT  # which Windows does not have

        return len(os.fsencode(path)) > PATH_LIMIT
    return False
