"""Kinds of words that several commands take: functions that click calls with what was typed.

Their names stand in the help in capitals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from otpkeep_protocol.errors import Usage

if TYPE_CHECKING:
    from otpkeep_cli.times import Moment

FILE = click.Path(allow_dash=True, path_type=str)


def text(typed: str) -> str:
    """Return text that can be stored and sent; a usage error for bytes that are not in the terminal's encoding."""
    if any("\ud800" <= letter <= "\udfff" for letter in typed):
        raise click.BadParameter("it is not valid UTF-8 text.")
    return typed


def reference(typed: str) -> str:
    """Return the id or text that names an account, event or device; a usage error if it is empty."""
    if not typed.strip():
        raise click.BadParameter("it is empty.")
    return text(typed)


def time(typed: str) -> Moment:
    """Return the moment that is meant, seen from now; a usage error with examples if there is none."""
    from datetime import UTC, datetime  # `otpkeep code` counts milliseconds

    from otpkeep_cli.times import parse_time  # as above

    try:
        return parse_time(typed, datetime.now(UTC))
    except Usage as error:
        raise click.BadParameter(f"{error.message} {error.hint}") from None


def zone_note(moment: Moment | None) -> str:
    """Return the remark that a time without a zone was read as local, or ""."""
    return f"Taken as local time: {moment.text()}" if moment is not None and moment.assumed_local else ""
