"""Writing the settings file: one value at a time, with everything else in it left as the person wrote it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from otpkeep_daemon import durable, exchange
from otpkeep_daemon.config import NOT_TOML, SETTINGS, mistakes, parse_config, read_text
from otpkeep_daemon.exchange import Places
from otpkeep_daemon.setting_kinds import Setting, Value, shown
from otpkeep_protocol.errors import Busy, Malformed, OtpkeepError

if sys.platform != "win32":
    import fcntl

ATTEMPTS = 5
_HEAD = """\
# The settings of otpkeep. Every line of them is optional: take away the "# " before one to set it.
# `otpkeep config` shows what is in force; a running daemon takes up an edit of this file by itself.
"""


def template() -> str:
    """Return a file in which every setting is explained and none is set."""
    return "\n".join([_HEAD, *(f"{_explained(setting)}" for setting in SETTINGS.values())])


def _explained(setting: Setting) -> str:
    again = " It counts from the next start of the daemon." if setting.restart else ""
    return f"# {setting.about}{again}\n# Allowed: {setting.kind.allowed}.\n# {setting.key} = {shown(setting.default)}\n"


def create_template(path: Path) -> bool:
    """Write the explained file if there is none; return whether it was. OtpkeepError if the disk refuses.

    What an attempt that was cut off has left beside it is gone then, too.
    """
    real = _places(path)
    if os.path.lexists(path) and not os.path.lexists(real.directory / real.temporary):
        return False
    with _turn(path) as places:
        return _put(places, None, template())


def change(path: Path, key: str, value: Value | None) -> None:
    """Set a value in the file, or (None) have it say nothing of that key any more. Durable when it returns.

    Malformed if the file is in error and this repairs none of it; Busy if somebody else keeps writing it. Either
    leaves it as it was.
    """
    for _ in range(ATTEMPTS):
        with _turn(path) as places:
            before = read_text(path)
            after = edited(before if before is not None else template(), key, value, str(path))
            if after == before or _put(places, before, after):
                return
    raise Busy(f"Another program keeps writing {path}; nothing was changed.", "Close it, and try again.")


def edited(text: str, key: str, value: Value | None, source: str) -> str:
    """Return the text with one value set, or not set; comments, order and spaces stay.

    Malformed if the text has mistakes that this does not correct: a file in error is touched only to repair it.
    """
    import tomlkit  # only this command needs it

    try:
        values = tomllib.loads(text)
    except NOT_TOML:
        parse_config(text, source)
        raise
    wanted = {k: v for k, v in values.items() if k != key} | ({} if value is None else {key: value})
    try:
        made = _without(text, key) if value is None else _with(text, key, value)
    except tomlkit.exceptions.TOMLKitError:
        made = ""
    if tomllib.loads(made) != wanted:
        raise Malformed(f"{key} can't be changed in {source} by itself; nothing was changed.", "Edit the file by hand.")
    if not any(mistake.key == key for mistake in mistakes(text)):
        parse_config(made, source)
    return made


def _with(text: str, key: str, value: Value) -> str:
    import tomlkit  # as above

    document = tomlkit.parse(text)
    if key not in document and (made := _uncommented(text, key, value)) is not None:
        return made
    document[key] = value
    return tomlkit.dumps(document)


def _uncommented(text: str, key: str, value: Value) -> str | None:
    """Return the text with the line that explains a key set to the value; None if it has no such line."""
    import tomlkit  # as above

    before, line, after = _split_at(text, re.compile(rf"#\s*{re.escape(key)}\s*="))
    if line is None:
        return None
    try:
        document = tomlkit.parse(line.lstrip("# \t"))
    except tomlkit.exceptions.ParseError:
        return None
    document[key] = value
    return f"{before}{tomlkit.dumps(document)}{after}"


def _without(text: str, key: str) -> str:
    """Return the text without a key; a setting's line stays as a comment with the default, for the next time."""
    import tomlkit  # as above
    from tomlkit.items import Comment, Trivia  # as above

    document = tomlkit.parse(text)
    if key not in document:
        return text
    place = next(n for n, (name, _) in enumerate(document.body) if name is not None and name.key == key)
    trivia = document.body[place][1].trivia
    document.remove(key)
    if key in SETTINGS:
        words = f"# {key} = {shown(SETTINGS[key].default)}{trivia.comment_ws}{trivia.comment}".rstrip()
        document.body[place] = (None, Comment(Trivia(comment=words, trail=trivia.trail)))
    return tomlkit.dumps(document)


def _split_at(text: str, pattern: re.Pattern[str]) -> tuple[str, str | None, str]:
    """Return what is before the first line that begins so, that line, and what follows."""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if pattern.match(line):
            return "".join(lines[:number]), line, "".join(lines[number + 1 :])
    return text, None, ""


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[Places]:
    """Let one command at a time write; give the names to do it with. OSErrors leave in words."""
    places = _places(path)
    try:
        with durable.directory(places.directory) as directory:
            if sys.platform != "win32" and not isinstance(directory, Path):
                fcntl.flock(directory, fcntl.LOCK_EX)
            yield places
    except OSError as error:
        raise OtpkeepError(
            f"The settings {path} can't be written: {error.strerror}; nothing was changed.",
            "Free some space, or check the permissions of its directory.",
        ) from error


def _places(path: Path) -> Places:
    """Return the names to write with, where a link leads.

    Who writes takes turns, so that the next one may write over what a crash has left; Windows knows no such turns.
    """
    real = Path(os.path.realpath(path))
    ending = secrets.token_hex(6) if sys.platform == "win32" else "new"
    return Places(real.parent, real.name, f".{real.name}.{ending}")


def _put(places: Places, before: str | None, after: str) -> bool:
    """Put the new text in the place of the one that was read; False, with nothing changed, if it is another by now."""
    try:
        if before is None and _create(places, after.encode()):
            return True
        exchange.prepare(places, after.encode())
        (places.directory / places.temporary).chmod(0o600)
        if before is None:
            exchange.create(places)
            return True
        exchange.exchange(places)
        if _is(exchange.swapped_out(places), before):
            return True
        exchange.exchange(places)
    except (FileExistsError, FileNotFoundError):
        return False
    finally:
        exchange.clear(places)
    return False


def _create(places: Places, data: bytes) -> bool:
    """Make the file without a name for it meanwhile; False if the system can't. FileExistsError if there is one."""
    with durable.directory(places.directory) as folder:
        if not durable.create_anonymous(folder, places.name, data):
            return False
        durable.sync_directory(folder)
        return True


def _is(data: bytes | None, text: str) -> bool:
    return data is not None and data == text.encode()
