"""Bytes that a command reads: a file, or standard input for `-`. Always bounded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from otpkeep_protocol.errors import Malformed, NotFound

STDIN = "-"
MAX_SECRET_TEXT = 65_536
"""Bytes of a secret or code that is read from a file."""


def read_source(place: str, limit: int) -> bytes:
    """Return the bytes of the file at `place`, or of standard input for `-`.

    Raises NotFound if it can't be read, Malformed if there are more than `limit` bytes.
    """
    if place == STDIN:
        return _bounded(_standard_input(), limit, "Standard input")
    path = Path(place)
    try:
        with path.open("rb") as file:
            return _bounded(file, limit, f"The file {path}")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "that is no file name"
        raise NotFound(f"The file {path} can't be read: {reason}.", "Name a file that you may read.") from error


def read_text(place: str, what: str) -> str:
    """Return a short text such as a secret without spaces around it; `what` is named if it is no text."""
    data = read_source(place, MAX_SECRET_TEXT)
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        # Without `from`: that error carries the bytes.
        raise Malformed(f"{what} is not UTF-8 text.", "Is it the right file?") from None


def _bounded(file: BinaryIO, limit: int, what: str) -> bytes:
    data = file.read(limit + 1)
    if len(data) > limit:
        raise Malformed(f"{what} has more than {limit} bytes.", "Is it the right file?")
    return data


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise NotFound("Standard input is closed.", "Pipe the data in, or name a file.")
    return sys.stdin.buffer
