"""The entry point: global words, dispatch, exit codes, and nothing that a single command can import itself."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

import click

from otpkeep_cli import failure
from otpkeep_cli.argv import split_globals
from otpkeep_cli.group import otpkeep
from otpkeep_cli.screen import Screen, abandon_output, prepare_streams, write
from otpkeep_protocol.errors import OtpkeepError

if sys.platform != "win32":
    import resource

_PRIVATE = 0o077


def main() -> None:
    """Run the command line of this process and end it with the command's exit code."""
    gc.disable()  # a command ends before collecting could pay; the daemon turns it on again
    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is closed by now; taking the interpreter apart would double the time of `otpkeep code`


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code. Sets the umask and other properties of this process."""
    _protect_process()
    if instruction := os.environ.get("_OTPKEEP_COMPLETE"):
        from otpkeep_cli.completing import complete  # only a shell at a Tab needs it

        return complete(otpkeep, instruction)
    asked, words = split_globals(argv)
    screen = Screen(asked)
    sys.excepthook = screen.unexpected
    try:
        return _dispatch(words, screen)
    except BrokenPipeError:
        abandon_output()
        return 1


def _dispatch(words: list[str], screen: Screen) -> int:
    """Run the command and return its exit code; errors are told, defects pass."""
    try:
        code = otpkeep.main(words, prog_name="otpkeep", standalone_mode=False, obj=screen)
    except OtpkeepError as error:
        error.hint = error.hint or f"See: otpkeep {words[0]} --help"
        return screen.fail(error)
    except click.ClickException as error:
        return _wrong_words(error, screen)
    except (click.Abort, KeyboardInterrupt):
        return _interrupted(screen)
    return code if isinstance(code, int) else 0


def _wrong_words(error: click.ClickException, screen: Screen) -> int:
    """Tell a usage error; a group that was named alone shows its help instead, unless JSON is wanted."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not screen.asked.json:
        write(sys.stderr, error.format_message())
        return failure.exit_code("usage")
    return screen.fail(failure.from_click(error))


def _interrupted(screen: Screen) -> int:
    if screen.asked.json:
        screen.fail(_InterruptedError("Interrupted.", "What the command had said is done; run it again for the rest."))
    return failure.INTERRUPTED


class _InterruptedError(OtpkeepError):
    """Ctrl-C."""

    kind = "interrupted"


def _protect_process() -> None:
    """Keep what this process makes from other users, and its memory, which holds keys, out of core dumps."""
    os.umask(_PRIVATE)
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prepare_streams()
