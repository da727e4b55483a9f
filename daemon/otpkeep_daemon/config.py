"""The settings: one table of them, and the TOML file that may say otherwise.

A setting is one line in `Config`; validation, `otpkeep config`, the file's comments and the README follow from it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from otpkeep_daemon import durable
from otpkeep_daemon.setting_kinds import Setting, command, whole
from otpkeep_protocol.errors import Malformed, Refused

DAY_S = 86_400
YEAR_S = 31_536_000
FILE_LIMIT = 16_384
"""Bytes. More than anybody writes by hand; a dotted key of 1 MiB would keep tomllib busy for minutes."""
LOCATED = 10
"""Mistakes whose line is looked for, and places where that may be: to find one the text is read again."""
NOT_TOML = (ValueError, RecursionError)
"""What tomllib raises: its own error is a ValueError, and a number of thousands of digits is another one."""


@dataclass(frozen=True, slots=True)
class Config:
    """The settings with their defaults, in the order of the file."""

    look_every_s: int = whole(60, 1, DAY_S, "Seconds between two looks at the folder that nothing prompted.")
    debounce_ms: int = whole(50, 1, 10_000, "Milliseconds without a change before a change in a folder is looked at.")
    own_vault_delay_ms: int = whole(200, 1, 2_000, "Milliseconds for which the own vault file waits for more edits.")
    compact_every_s: int = whole(3_600, 1, DAY_S, "Seconds between two looks at whether there is something to compact.")
    quarantine_s: int = whole(14 * DAY_S, 1, YEAR_S, "Seconds for which a file that was replaced stays in the folder.")
    verify_every_s: int = whole(
        7 * DAY_S, 1, YEAR_S, "Seconds between two checks of every file in the folder against the store."
    )
    stale_after_s: int = whole(
        DAY_S, 1, YEAR_S, "Seconds for which the folder may be away, or an edit wait, before an alarm."
    )
    silent_after_s: int = whole(30 * DAY_S, 1, YEAR_S, "Seconds without a word of another device before an alarm.")
    low_disk_mb: int = whole(
        200, 1, 1_000_000, "Free megabytes below which a disk is called almost full, or a tenth of it."
    )
    lock_after_s: int = whole(
        0, 0, YEAR_S, "Seconds without a command that needs the keys, after which they are forgotten; 0: never."
    )
    on_problem: str = command("", "Command that each alarm is given to, as JSON on its standard input.")


SETTINGS: Mapping[str, Setting] = {
    f.name: Setting(f.name, getattr(Config(), f.name), **f.metadata) for f in dataclasses.fields(Config)
}
"""Every setting by its key, in the order of the file."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a file of settings, in which line (from 1; None: in the file as a whole), with which key."""

    line: int | None
    message: str
    hint: str
    key: str | None = None


def read_config(path: Path) -> Config:
    """Return the settings in the file, or the defaults if there is none. Malformed or Refused as `read_text` and
    `parse_config` have them.
    """
    return parse_config(read_text(path) or "", str(path))


def read_text(path: Path) -> str | None:
    """Return what the file says, None if there is none.

    Malformed if it can't be read; Refused if others may change it: a setting can be a command.
    """
    try:
        data = _read(path)
        return data.decode() if data is not None else None
    except (OSError, UnicodeDecodeError) as error:
        raise Malformed(f"The settings {path} can't be read: {_reason(error)}.", "Correct the file.") from error


def parse_config(text: str, source: str) -> Config:
    """Return the settings in a TOML text; `source` names it in errors. Malformed names the first mistake's line."""
    found = mistakes(text)
    if found:
        more = f" ({len(found) - 1} more below it)" if len(found) > 1 else ""
        place = source if found[0].line is None else f"{source}, line {found[0].line}"
        raise Malformed(f"{place}: {found[0].message}.{more}", found[0].hint)
    return Config(**tomllib.loads(text))


def mistakes(text: str) -> list[Mistake]:
    """Return all that is wrong with a text of settings, from top to bottom."""
    try:
        values = tomllib.loads(text)
    except NOT_TOML as error:
        return [_not_toml(error)]
    found = [mistake for key, value in values.items() if (mistake := _mistake(key, value))]
    located = [replace(mistake, line=_line_of(mistake.key or "", text)) for mistake in found[:LOCATED]]
    return [*sorted(located, key=lambda mistake: mistake.line or 0), *found[LOCATED:]]


def salvaged(text: str) -> Config:
    """Return what can be understood of a text with mistakes, and the defaults for the rest."""
    return Config(**{key: v for key, v in values_in(text).items() if key in SETTINGS and SETTINGS[key].kind.fits(v)})


def values_in(text: str) -> Mapping[str, Any]:
    """Return what a text sets, right or wrong, as far as it can be understood."""
    try:
        return tomllib.loads(text)
    except NOT_TOML:
        return _line_by_line(text)


def _line_by_line(text: str) -> Mapping[str, Any]:
    """Return the settings of a text of which some line is no TOML: a slip in one must not switch off another.

    Nothing of a text with strings of several lines or tables, whose lines mean nothing by themselves.
    """
    if any(mark in text for mark in ('"""', "'''")) or re.search(r"^\s*\[", text, re.MULTILINE):
        return {}
    values: dict[str, Any] = {}
    for line in (line for line in text.splitlines() if "=" in line):
        with contextlib.suppress(*NOT_TOML):
            values |= tomllib.loads(line)
    return values


def setting_named(key: str) -> Setting | None:
    """Return the setting of that key."""
    return SETTINGS.get(key)


def suggestion(key: str) -> str:
    """Return what a person who wrote this key may have meant."""
    close = difflib.get_close_matches(key, SETTINGS, n=1)
    return f"Did you mean {close[0]}?" if close else f"The settings are {', '.join(SETTINGS)}."


def _mistake(key: str, value: Any) -> Mistake | None:
    setting = SETTINGS.get(key)
    if setting is None:
        return Mistake(None, f"there is no setting {key!r}", f"{suggestion(key)}{_removal(key)}", key)
    if setting.kind.fits(value):
        return None
    return Mistake(None, f"{key} must be {setting.kind.allowed}", setting.example, key)


def _removal(key: str) -> str:
    return f" To take it out: otpkeep config --unset {key}" if re.fullmatch(r"[A-Za-z0-9_]+", key) else ""


def _not_toml(error: Exception) -> Mistake:
    place = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
    if place is None:
        said = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "too deep, or a number far too long"
        return Mistake(None, f"this is not TOML: {said}", _TOML_HINT)
    said = f"{str(error)[: place.start()]} (column {place[2]})"
    return Mistake(int(place[1]), f"this is not TOML: {said}", _TOML_HINT)


_TOML_HINT = "Correct that line; a setting is written like: look_every_s = 60"


def _line_of(key: str, text: str) -> int:
    """Return the number of the line that first writes a top-level key or table; 1 if it is spelt oddly."""
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    lines = text.splitlines(keepends=True)
    places = islice((n for n, line in enumerate(lines) if pattern.match(line)), LOCATED)
    return next((n for n in places if _is_toml("".join(lines[:n]))), 0) + 1


def _is_toml(text: str) -> bool:
    """Tell whether a text is whole; the beginning of one is not if it ends inside a string of several lines."""
    try:
        tomllib.loads(text)
    except NOT_TOML:
        return False
    return True


def _read(path: Path) -> bytes | None:
    try:
        with durable.opened(path, durable.NO_WAIT) as descriptor:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise Malformed(f"The settings {path} can't be read: it is a directory.", "Move it away.")
            _check_owner(path, status)
            data = durable.read_all(descriptor, FILE_LIMIT + 1)
            if len(data) > FILE_LIMIT:
                raise Malformed(f"The settings {path} can't be read: they are too long.", "Shorten the file.")
            return data
    except FileNotFoundError:
        if path.is_symlink():  # a disk that is not mounted, or a clone that is not there yet: the settings are unknown
            raise Malformed(f"The settings {path} can't be read: the link leads to nothing.", _LINK_HINT) from None
        return None


_LINK_HINT = "Put back what it leads to, or remove the link."


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Refuse a file that another user may have written."""
    if not hasattr(os, "geteuid"):
        return  # Windows has access lists instead, and a person's files are closed to others there
    if status.st_uid not in (os.geteuid(), 0):
        raise Refused(f"The settings {path} belong to another user. They were not used.", "Make the file your own.")
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    enterable = Path(os.path.realpath(path)).parent.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH)
    if shared and enterable:
        raise Refused(f"Other users may change the settings {path}. They were not used.", f"chmod 600 {path}")


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "unknown cause" if isinstance(error, OSError) else "it is not UTF-8"
