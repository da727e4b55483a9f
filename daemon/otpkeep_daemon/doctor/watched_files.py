"""Watched files: there, readable, and writable where otpkeep is to write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.doctor.machine import File, Machine
from otpkeep_daemon.doctor.outcome import Finding, quoted


@dataclass(frozen=True, slots=True)
class Access:
    """A watched file, and what keeps it from being used ("" for nothing)."""

    path: Path
    trouble: str
    hint: str = ""


def accesses(machine: Machine) -> list[Access]:
    """Try the rights on each watched file; nothing is opened."""
    return [_access(file) for file in machine.store.watched]


def _access(file: File) -> Access:
    path = file.path
    try:
        path.stat()
    except FileNotFoundError:
        return Access(path, "is gone; that deletes no account", f"Put it back, or: otpkeep unwatch {quoted(path)}")
    except OSError as error:
        return Access(path, f"can't be reached: {error.strerror}", f"chmod u+x {quoted(path.parent)}")
    if not path.is_file():
        return Access(path, "is no file", f"otpkeep unwatch {quoted(path)}")
    if not os.access(path, os.R_OK):
        return Access(path, "can't be read by you", f"chmod u+r {quoted(path)}")
    if file.two_way and not os.access(path.parent, os.W_OK | os.X_OK):
        return Access(
            path, "can't be replaced: you may not write in its directory", f"chmod u+wx {quoted(path.parent)}"
        )
    return Access(path, "")


def judge_accesses(files: Sequence[Access]) -> list[Finding]:
    """Return the watched files that can't be used."""
    return [Finding(f"the watched file {file.path} {file.trouble}", file.hint) for file in files if file.trouble]
