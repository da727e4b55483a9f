"""What goes to the screen: answers on standard output, everything else on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TextIO

from otpkeep_cli import failure
from otpkeep_cli.argv import Globals
from otpkeep_cli.render.plain import as_json
from otpkeep_protocol.errors import OtpkeepError

REPORT = "Please report it to the project, with what the same command says under -v -v."
_UNBOUNDED = 10_000  # columns of a table that is piped: nothing is folded
_TRACEBACK_AT = 2  # how many -v


@dataclass(frozen=True, slots=True)
class Screen:
    """The rules for output in one place; commands hand over values and texts."""

    asked: Globals

    def answer(self, value: object, text: Callable[[], str]) -> None:
        """Print what was asked for: `value` as JSON, or the text."""
        write(sys.stdout, as_json(value) if self.asked.json else text())

    def done(self, value: object, text: Callable[[], str]) -> None:
        """Print the result of an act; as text it is left out under -q."""
        if self.asked.json or not self.asked.quiet:
            self.answer(value, text)

    def note(self, text: str) -> None:
        """Print a remark or warning on standard error, unless -q."""
        if not self.asked.quiet:
            write(sys.stderr, text)

    def fail(self, error: OtpkeepError) -> int:
        """Print an error and return its exit code."""
        if self.asked.json:
            write(sys.stdout, failure.error_json(error))
        else:
            write(sys.stderr, failure.error_text(error))
        return failure.exit_code(error.kind)

    def unexpected(self, kind: type[BaseException], _: BaseException, trace: TracebackType | None) -> None:
        """Report a defect (a sys.excepthook): its type and, under -v -v, its place, never what it carries."""
        if self.asked.verbose >= _TRACEBACK_AT:
            import traceback  # defects are rare, and `otpkeep code` counts milliseconds

            write(sys.stderr, "".join(traceback.format_tb(trace)).rstrip())
        self.fail(UnexpectedError(failure.unexpected_text(kind), REPORT))


class UnexpectedError(OtpkeepError):
    """A defect of otpkeep."""

    kind = "unexpected"


def is_terminal(stream: TextIO | Any) -> bool:
    """Say whether a standard stream is open and a terminal."""
    return stream is not None and stream.isatty()


def on_terminal() -> bool:
    """Say whether answers are read on a terminal."""
    return is_terminal(sys.stdout)


def width() -> int:
    """Return the columns that a table may take."""
    import shutil  # as above

    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) else _UNBOUNDED


def write(stream: TextIO | None, text: str) -> None:
    """Write a text and a newline; an empty text is nothing. BrokenPipeError passes, other failures are told."""
    if not text:
        return
    if stream is None:
        raise OtpkeepError("There is nowhere to write to: the output is closed.", "Redirect it to a file.")
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OtpkeepError(f"The output can't be written: {error.strerror}.", "Redirect it elsewhere.") from error


def prepare_streams() -> None:
    """Let no character be a reason to fail, whatever the locale can show."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def abandon_output() -> None:
    """Send what is still buffered nowhere, so that Python does not fail on it at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
