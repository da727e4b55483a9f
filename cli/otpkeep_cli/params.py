"""Kinds of words that several commands take: functions that click calls with what was typed.

Their names stand in the help in capitals.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from otpkeep_protocol.errors import Usage

if TYPE_CHECKING:
    from otpkeep_cli.times import Moment

FILE = click.Path(allow_dash=True, path_type=str)


_EVENT = r"[0-9a-fA-F]{4,32}\.[0-9]{1,16}(\.[0-9a-fA-F]{4,32})?"

Suggest = Callable[[click.Context, click.Parameter, str], list[Any]]


def suggest(what: str) -> Suggest:
    """Return how to complete a word that only the accounts know: accounts, tags, devices or events."""

    def suggested(ctx: click.Context, param: click.Parameter, typed: str) -> list[Any]:
        from otpkeep_cli import suggest as ways  # only a shell at a Tab needs them

        found: list[Any] = getattr(ways, what)(ctx, param, typed)
        return found

    return suggested


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


def moment(typed: str) -> Moment | str:
    """Return the name of an event such as 9f86d0.17, or the time that is meant; a usage error if it is neither."""
    return typed.strip() if re.fullmatch(_EVENT, typed.strip()) else time(typed)


def digest(typed: str) -> str:
    """Return a digest as `status` shows it; a usage error if it is none."""
    from otpkeep_protocol import digests  # only who compares needs it

    try:
        digests.read(typed)
    except Usage as error:
        raise click.BadParameter(f"{error.message} {error.hint}") from None
    return typed


def as_argument(at: Moment | str | None) -> int | str | None:
    """Return a moment as operations take it: ms since 1970, the name of an event, or None."""
    return at if at is None or isinstance(at, str) else at.ms


def zone_note(at: Moment | str | None) -> str:
    """Return the remark that a time without a zone was read as local, or ""."""
    if at is None or isinstance(at, str) or not at.assumed_local:
        return ""
    return f"Taken as local time: {at.text()}"
