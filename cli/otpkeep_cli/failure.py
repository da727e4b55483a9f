"""Errors as a person and a program see them, and their exit codes."""

from __future__ import annotations

from collections.abc import Mapping

import click

from otpkeep_cli.render.plain import account_text, as_json, plain, short
from otpkeep_protocol.errors import OtpkeepError, Usage

INTERRUPTED = 130
INTEGRITY = 4
MEANINGS: Mapping[int, str] = {
    0: "done",
    1: "failed, not found or refused",
    2: "wrong usage, ambiguous, or a confirmation is missing",
    3: "wrong passphrase, or locked",
    INTEGRITY: "integrity problem",
    5: "the folder can't be reached",
    INTERRUPTED: "interrupted",
}
"""Exit code -> what it says, for the manual."""

_EXIT_CODES = {
    "usage": 2,
    "ambiguous": 2,
    "locked": 3,
    "wrong-passphrase": 3,
    "not-authentic": INTEGRITY,
    "integrity": INTEGRITY,
    "folder-unreachable": 5,
    "folder-full": 5,
    "folder-read-only": 5,
}
_EXTRA_WORDS = "Got unexpected extra argument"


def exit_code(kind: str) -> int:
    """Return the exit code for an error of that kind; 1 unless it has one of its own."""
    return _EXIT_CODES.get(kind, 1)


def error_json(error: OtpkeepError) -> str:
    """Return {"error": {kind, message, hint, and the keys of its data}} as JSON."""
    said = {"kind": error.kind, "message": error.message, "hint": error.hint}
    return as_json({"error": {**error.data, **said}})


def error_text(error: OtpkeepError) -> str:
    """Return the message, the candidates if the words fit several, and the hint, a line each."""
    lines = [f"otpkeep: {plain(error.message)}"]
    candidates = error.data.get("candidates")
    for item in candidates if isinstance(candidates, list) else ():
        lines.append(f"  {_candidate(item)}")
    if error.hint:
        lines.append(f"hint: {plain(error.hint)}")
    return "\n".join(lines)


def from_click(error: click.ClickException) -> Usage:
    """Return what click found wrong as an error of our own.

    The superfluous words are not repeated: one of them may be a secret that was typed in the wrong place.
    """
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        message = "A command is missing."
    elif message.startswith(_EXTRA_WORDS):
        message = "There are more words than this command takes."
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "otpkeep"
    return Usage(message, f"See: {command} --help")


def unexpected_text(error: type[BaseException]) -> str:
    """Return what to say of an exception that is a defect of otpkeep; never what it carries."""
    return f"An unexpected {error.__name__} stopped this command. This is a defect of otpkeep."


def _candidate(item: object) -> str:
    if not isinstance(item, Mapping):
        return plain(item)
    if "issuer" in item or "name" in item:
        return f"{short(item.get('id', ''))}  {account_text(item)}"
    return "  ".join(plain(value) for value in item.values() if value is not None)
