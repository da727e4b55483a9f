"""Set up, settings, the store itself."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.config import Mistake, mistakes, read_text
from otpkeep_daemon.database import SCHEMA_VERSION, SET_ASIDE
from otpkeep_daemon.doctor.machine import Machine, store_opened
from otpkeep_daemon.doctor.outcome import Finding, NotHereError
from otpkeep_protocol.errors import OtpkeepError

MOST_DAMAGE = 5
"""How many of the store's damages are told."""


def set_up(machine: Machine) -> bool | None:
    """Return whether this device is set up, None if that was interrupted."""
    if isinstance(machine.stored, OtpkeepError):
        return True
    if machine.stored is None:
        return False
    return True if machine.stored.ready else None


def judge_set_up(done: bool | None) -> list[Finding]:
    """Return what is missing for a backup."""
    if done:
        return []
    said = "otpkeep is not set up here" if done is False else "setting up was interrupted here before it was done"
    return [Finding(said, "Run `otpkeep init` or `otpkeep recover FOLDER`.")]


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What is wrong with the settings file: as a whole, or in its lines."""

    path: Path
    trouble: OtpkeepError | None
    mistakes: tuple[Mistake, ...] = ()


def config_file(machine: Machine) -> ConfigFile:
    """Read the settings file."""
    path = machine.paths.config
    try:
        return ConfigFile(path, None, tuple(mistakes(read_text(path) or "")))
    except OtpkeepError as error:
        return ConfigFile(path, error)


def judge_config(file: ConfigFile) -> list[Finding]:
    """Return each mistake with its line."""
    if file.trouble is not None:
        return [Finding(file.trouble.message, file.trouble.hint)]
    return [
        Finding(f"{file.path}{f', line {found.line}' if found.line else ''}: {found.message}", found.hint)
        for found in file.mistakes
    ]


@dataclass(frozen=True, slots=True)
class StoreFile:
    """What SQLite says of the store: its version, damage found, or why it can't be opened."""

    version: int = 0
    damage: tuple[str, ...] = ()
    refused: str = ""


def store_file(machine: Machine) -> StoreFile:
    """Have SQLite check the store; a daemon goes on meanwhile."""
    if not machine.paths.store.exists():
        raise NotHereError
    try:
        with store_opened(machine.paths) as store:
            version = store.execute("PRAGMA user_version").fetchone()[0]
            said = [row[0] for row in store.execute(f"PRAGMA quick_check({MOST_DAMAGE})")]
    except sqlite3.OperationalError as error:
        return StoreFile(refused=str(error))
    except sqlite3.DatabaseError as error:
        return StoreFile(damage=(str(error),))
    return StoreFile(version, () if said == ["ok"] else tuple(said))


def judge_store(store: StoreFile) -> list[Finding]:
    """Return what is wrong with the store."""
    if store.refused:
        hint = "Check the disk and the permissions of its directory; see the other findings."
        return [Finding(f"the store can't be opened now ({store.refused}); nothing is lost", hint)]
    found = [Finding(f"the store is damaged: {said}; the folder is not affected", SET_ASIDE) for said in store.damage]
    if store.version > SCHEMA_VERSION:
        found.append(Finding("the store was written by a newer otpkeep", "Update otpkeep on this device."))
    return found
