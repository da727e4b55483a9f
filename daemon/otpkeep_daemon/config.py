"""The settings file: TOML, every key optional, an unknown one an error. The only user of TOML."""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from otpkeep_protocol.errors import Malformed

MAY_BE_ZERO = frozenset({"lock_after_s"})
MOST = 86_400
LONGEST_S = 31_536_000
QUARANTINE_S = 1_209_600
"""14 days: a device that was off over a holiday still finds what it was reading."""


@dataclass(frozen=True, slots=True)
class Config:
    """The settings and their defaults; whole numbers from 1 (some 0) to MOST, a quarantine to LONGEST_S."""

    look_every_s: int = 60
    """Seconds between two looks at the folder that nothing prompted."""
    debounce_ms: int = 50
    """Milliseconds without a change before a change in the folder is looked at."""
    own_vault_delay_ms: int = 200
    """Milliseconds by which writing the own vault file waits for further edits."""
    compact_every_s: int = 3_600
    """Seconds between two looks at whether there is something to compact."""
    quarantine_s: int = QUARANTINE_S
    """Seconds for which a file stays in the folder after another has taken its place: 14 days."""
    lock_after_s: int = 0
    """Seconds without a command that needs the keys after which the daemon forgets them; 0 is never."""


def read_config(path: Path) -> Config:
    """Return the settings in the file, or the defaults if there is none; Malformed names key and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise Malformed(f"The settings {path} can't be read: {_reason(error)}.", "Correct the file.") from error
    return parse_config(text, str(path))


def parse_config(text: str, source: str) -> Config:
    """Return the settings in a TOML text; `source` names it in errors. Malformed as for read_config."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Malformed(f"The settings {source} are not TOML: {error}.", "Correct that place.") from error
    for key, value in values.items():
        _check(key, value, f"{source}, line {_line_of(key, text)}")
    return Config(**values)


def _check(key: str, value: object, place: str) -> None:
    """Raise Malformed unless `key` is a setting and `value` fits it; `place` is file and line."""
    defaults = dataclasses.asdict(Config())
    if key not in defaults:
        raise Malformed(f"{place}: there is no setting {key!r}.", _suggestion(key, list(defaults)))
    most = LONGEST_S if key == "quarantine_s" else MOST
    least = 0 if key in MAY_BE_ZERO else 1
    if type(value) is not int or not least <= value <= most:
        hint = f"Write for example: {key} = {defaults[key]}"
        raise Malformed(f"{place}: {key} must be a whole number from {least} to {most}.", hint)


def _suggestion(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"The settings are {', '.join(known)}."


def _line_of(key: str, text: str) -> int:
    """Return the number of the line that first writes a top-level key or table; 1 if it is spelt oddly."""
    quoted = re.escape(key)
    pattern = re.compile(rf"""\s*\[*\s*["']?{quoted}["']?\s*[=.\]]""")
    lines = enumerate(text.splitlines(), start=1)
    return next((number for number, line in lines if pattern.match(line)), 1)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "unknown cause" if isinstance(error, OSError) else "it is not UTF-8"
