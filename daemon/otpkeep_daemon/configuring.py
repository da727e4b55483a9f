"""Seeing and changing the settings, with a daemon or without, set up or not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from otpkeep_daemon import config_file
from otpkeep_daemon.access import daemon
from otpkeep_daemon.config import (
    SETTINGS,
    Config,
    parse_config,
    read_text,
    salvaged,
    setting_named,
    suggestion,
    values_in,
)
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.setting_kinds import Setting
from otpkeep_protocol.errors import OtpkeepError, Usage

Row = dict[str, Any]
"""{key, value, default, source: "file" or "default", allowed, description}."""


def rows(paths: Paths) -> list[Row]:
    """Return every setting. Malformed or Refused if the file is in error, with what counts meanwhile as data."""
    text = ""
    try:
        text = read_text(paths.config) or ""
        return _rows(parse_config(text, str(paths.config)), text)
    except OtpkeepError as error:
        error.data["settings"] = _rows(salvaged(text), text)
        raise


def row(paths: Paths, key: str) -> Row:
    """Return one setting. Usage if there is none of that name; errors as for `rows`."""
    _known(key)
    return next(found for found in rows(paths) if found["key"] == key)


def put(paths: Paths, key: str, typed: str) -> Row:
    """Set what somebody typed, durably, and have a running daemon take it up.

    Return the row, `applied` (the daemon goes by it) and `trouble` (what else is wrong with the file, or None). Usage
    if the value is not allowed; errors as for `config_file.change`.
    """
    value = _known(key).typed(typed)
    paths.prepare_config()
    config_file.change(paths.config, key, value)
    return _changed(paths, key)


def unset(paths: Paths, key: str) -> Row:
    """Go back to a setting's default; a key that is no setting is taken out of the file. Return as `put` does."""
    paths.prepare_config()
    text = read_text(paths.config)
    if setting_named(key) is None and key not in values_in(text or ""):
        _known(key)
    if text is not None:
        config_file.change(paths.config, key, None)
    return _changed(paths, key)


def _changed(paths: Paths, key: str) -> Row:
    taken = taken_up(paths)
    trouble = None
    try:
        found = rows(paths)
    except OtpkeepError as error:
        found, trouble = error.data["settings"], error.message
    setting = setting_named(key)
    applied = taken and trouble is None and not (setting is not None and setting.restart)
    shown = next((one for one in found if one["key"] == key), {"key": key})
    return shown | {"applied": applied, "trouble": trouble}


def taken_up(paths: Paths) -> bool:
    """Have a running daemon read the settings anew; False if none runs, or one that knows no such request."""
    with daemon(paths) as call:
        if call is None:
            return False
        try:
            call("reload", {})
        except Usage:
            return False  # an older daemon: its user is told that the value counts from its next start
    return True


def _known(key: str) -> Setting:
    found = setting_named(key)
    if found is None:
        raise Usage("There is no such setting.", suggestion(key))
    return found


def _rows(config: Config, text: str) -> list[Row]:
    values, written = asdict(config), values_in(text)
    return [
        {
            "key": key,
            "value": values[key],
            "default": setting.default,
            "source": "file" if key in written and setting.kind.fits(written[key]) else "default",
            "allowed": setting.kind.allowed,
            "description": setting.about,
        }
        for key, setting in SETTINGS.items()
    ]
