"""Questions on the terminal, also while standard input or output is a file or a pipe."""

from __future__ import annotations

import sys
from pathlib import Path

from otpkeep_cli.screen import is_terminal
from otpkeep_protocol.errors import Locked, Usage

_TERMINAL = Path("/dev/tty")


def can_ask() -> bool:
    """Say whether a person is there to answer: a terminal is our input, or shows our messages."""
    return is_terminal(sys.stdin) or (is_terminal(sys.stderr) and _has_terminal())


def hidden(words: str) -> str:
    """Return what is typed without showing it; Locked if nothing is."""
    import getpass  # most commands ask nothing

    try:
        answer = getpass.getpass(words)
    except EOFError:
        answer = ""
    if not answer:
        raise Locked("Nothing was typed. Nothing was changed.", "Run the command again.")
    return answer


def line(words: str) -> str:
    """Return a line that is typed, visibly, without its newline; "" at the end of input."""
    sys.stderr.write(words)
    sys.stderr.flush()
    if is_terminal(sys.stdin):
        return sys.stdin.readline().removesuffix("\n")
    with _TERMINAL.open(encoding="utf-8", errors="surrogateescape") as terminal:
        return terminal.readline().removesuffix("\n")


def confirm(warning: str, option: str) -> None:
    """Return if the person agrees; raises Usage if not, or if nobody can be asked and `option` wasn't given."""
    if not can_ask():
        raise Usage(warning, f"Say {option} if that is what you want.")
    if not agrees(warning):
        raise Usage("Not confirmed. Nothing was done.", f"Answer y, or say {option}.")


def agrees(warning: str) -> bool:
    """Say whether the person goes on after a warning."""
    return line(f"{warning} Go on? [y/N] ").strip().lower() in {"y", "yes"}


def _has_terminal() -> bool:
    try:
        with _TERMINAL.open("rb"):
            return True
    except OSError:
        return False
