"""Python, SQLite and the libraries: new enough."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from otpkeep_daemon.doctor.machine import Machine
from otpkeep_daemon.doctor.outcome import Finding

SQLITE = "3.35"
"""The first with ON CONFLICT DO UPDATE without a column, which the store needs (https://sqlite.org/lang_upsert.html)."""


@dataclass(frozen=True, slots=True)
class Needed:
    """A program or library: the versions that are fit, as PEP 440 writes them, and the one that is here, if any."""

    name: str
    fit: str
    found: str | None


def software(_: Machine) -> list[Needed] | None:
    """Return what the installed otpkeep says that it needs, None if it is not installed as a package."""
    from packaging.requirements import Requirement  # only this command needs it

    needed = [Needed("SQLite", f">={SQLITE}", sqlite3.sqlite_version)]
    try:
        about = metadata.metadata("otpkeep")
    except metadata.PackageNotFoundError:
        return None
    needed.append(Needed("Python", about["Requires-Python"], platform.python_version()))
    for line in metadata.requires("otpkeep") or ():
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            needed.append(Needed(wanted.name, str(wanted.specifier), _version(wanted.name)))
    return needed


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def judge_software(needed: Sequence[Needed] | None) -> list[Finding]:
    """Return what is missing or does not fit."""
    from packaging.specifiers import SpecifierSet  # as above

    if needed is None:
        hint = "Install otpkeep with pipx, which brings what it needs."
        return [Finding("this otpkeep is not installed as a package: what it needs is not known", hint, unknown=True)]
    hint = "pipx reinstall otpkeep (or pip install --upgrade otpkeep, in its environment)"
    return [
        Finding(f"{one.name} {one.fit} is needed, and {one.found or 'none'} is here", hint)
        for one in needed
        if one.found is None or not SpecifierSet(one.fit).contains(one.found, prereleases=True)
    ]
