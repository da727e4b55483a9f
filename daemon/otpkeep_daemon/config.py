"""The settings file: TOML, every key optional, an unknown one an error. The only user of TOML."""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from otpkeep_protocol.errors import Malformed

MOST = 86_400
LONGEST_S = 31_536_000
LONG = frozenset({"quarantine_s", "verify_every_s", "stale_after_s", "silent_after_s"})
"""Settings that may be up to LONGEST_S."""
TEXTS = frozenset({"on_problem"})
"""Settings that are text; "" is nothing."""
QUARANTINE_S = 1_209_600
"""14 days: a device that was off over a holiday still finds what it was reading."""


@dataclass(frozen=True, slots=True)
class Config:
    """The settings and their defaults; each is a whole number from 1 to MOST, or LONGEST_S if in LONG, or of TEXTS."""

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
    verify_every_s: int = 604_800
    """Seconds between two checks of every file in the folder against the store: a week."""
    stale_after_s: int = 86_400
    """Seconds for which the folder may be away, or an edit or another device's event wait, before an alarm: a day."""
    silent_after_s: int = 2_592_000
    """Seconds without a word of another device before an alarm: 30 days."""
    low_disk_mb: int = 200
    """Free megabytes below which a disk that otpkeep needs is called almost full, if that is under a tenth of it."""
    on_problem: str = ""
    """The command that each alarm is given to, as JSON on its standard input."""


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
    if key in TEXTS:
        if not isinstance(value, str):
            raise Malformed(f"{place}: {key} must be text.", f'Write for example: {key} = "/usr/bin/logger"')
        return
    most = LONGEST_S if key in LONG else MOST
    if type(value) is not int or not 1 <= value <= most:
        hint = f"Write for example: {key} = {defaults[key]}"
        raise Malformed(f"{place}: {key} must be a whole number from 1 to {most}.", hint)


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
