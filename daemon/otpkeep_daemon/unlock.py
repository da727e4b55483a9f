"""Where a passphrase comes from: a file, a command, a prompt. Nothing here keeps or shows one."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from otpkeep_daemon.outside import outside
from otpkeep_protocol.errors import Locked, Malformed, Refused

FILE_VARIABLE = "OTPKEEP_PASSPHRASE_FILE"
COMMAND_VARIABLE = "OTPKEEP_PASSPHRASE_COMMAND"
NEW_FILE_VARIABLE = "OTPKEEP_NEW_PASSPHRASE_FILE"

_COMMAND_TIMEOUT_S = 60
_SECRET_LIMIT = 65_536  # bytes: a passphrase is a line, and a wrong path may be a disk
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH


def passphrase_source(env: Mapping[str, str], prompt: Callable[[str], str] | None, purpose: str = "") -> str:
    """Return the passphrase from the first source there is: file variable, command variable, prompt.

    `prompt` is given `purpose`, the words to ask with, and is None where nobody can be asked. Raises Locked
    if there is no source or it gives nothing, Refused and Malformed as read_secret_file does.
    """
    if path := env.get(FILE_VARIABLE):
        return read_secret_file(Path(path))
    if command := env.get(COMMAND_VARIABLE):
        return _from_command(command)
    if prompt is not None:
        return prompt(purpose)
    raise Locked(
        "A passphrase is needed, and there is nobody to ask for it. Nothing was changed.",
        f"Run this in a terminal, or set {FILE_VARIABLE} or {COMMAND_VARIABLE}.",
    )


def new_passphrase_source(env: Mapping[str, str], prompt: Callable[[str], str] | None, purpose: str = "") -> str:
    """Return a passphrase to be set: from its own file variable, else from where any passphrase comes."""
    if path := env.get(NEW_FILE_VARIABLE):
        return read_secret_file(Path(path))
    return passphrase_source(env, prompt, purpose)


def read_secret_file(path: Path) -> str:
    """Return the text of a file that holds one secret, without one newline at its end.

    Raises Locked if it can't be read or is empty, Refused if group or others may read it, Malformed if it
    is not UTF-8 or too long. A descriptor such as /dev/stdin or a pipe has no readers to check, and on Windows
    modes say nothing.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_mode & _READABLE_BY_OTHERS and sys.platform != "win32":
                raise Refused(f"Other users may read the secret file {path}. It was not used.", f"chmod 600 {path}")
            data = file.read(_SECRET_LIMIT + 1)
    except OSError as error:
        raise Locked(
            f"The secret file {path} can't be read: {error.strerror}. Nothing was changed.",
            "Name a file that holds the passphrase and that only you may read.",
        ) from error
    return _secret_text(data, f"The secret file {path}")


def _from_command(command: str) -> str:
    """Run the person's command without a shell and return what it prints; its words are never repeated."""
    try:
        done = subprocess.run(
            outside(shlex.split(command) or [""], os.environ, _COMMAND_TIMEOUT_S),  # blank words name no program
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_TIMEOUT_S,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # Without `from`: the error repeats the command line and the output, which may hold the secret.
        raise _command_failed(type(error).__name__) from None
    return _secret_text(done.stdout, f"The command in {COMMAND_VARIABLE}")


def _command_failed(reason: str) -> Locked:
    return Locked(
        f"The command in {COMMAND_VARIABLE} gave no passphrase ({reason}). Nothing was changed.",
        "Run it in a terminal: it must print the passphrase and end with status 0 within a minute.",
    )


def _secret_text(data: bytes, source: str) -> str:
    """Return the secret in `data` without one newline at its end; `source` is the subject of any error."""
    if len(data) > _SECRET_LIMIT:
        raise Malformed(f"{source} gave more than {_SECRET_LIMIT} bytes, which is no passphrase.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        # Without `from`: that error carries the bytes.
        raise Malformed(f"{source} gave something that is not UTF-8 text.") from None
    text = text.removesuffix("\n")
    if not text:
        raise Locked(f"{source} gave an empty passphrase. Nothing was changed.")
    return text
