"""Writing an export: whole or not there, and readable for its owner alone."""

from __future__ import annotations

import secrets
import stat
import sys
from pathlib import Path

from otpkeep_cli.sources import STDIN
from otpkeep_daemon import durable
from otpkeep_protocol.errors import OtpkeepError, Refused


def check_target(place: str, *, force: bool) -> None:
    """Raise Refused, before anything secret is read, if `place` is taken or can't take a file."""
    if place == STDIN:
        return
    path = Path(place)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        _check_directory(path.parent)
        return
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error
    if not stat.S_ISREG(mode):
        raise Refused(f"{path} is not a regular file. Nothing was written.", "Name a new file, or - for a pipe.")
    if not force:
        raise Refused(f"{path} exists already. Nothing was written.", "Name another file, or say --force.")


def write_export(place: str, data: bytes, *, force: bool) -> None:
    """Write `data` to a file that did not exist, 0600, or with `force` in the place of one; `-`: standard output.

    A crash leaves the old file or the new one, at worst beside a hidden temporary one that is 0600 too.
    """
    if place == STDIN:
        _to_stdout(data)
        return
    path = Path(place)
    temporary = f".{path.name[:64]}.{secrets.token_hex(8)}.tmp"
    try:
        with durable.directory(path.parent) as folder:
            if force:
                durable.replace(folder, path.name, data, temporary)
            else:
                durable.create_named(folder, path.name, data, temporary)
                durable.sync_directory(folder)
    except FileExistsError as error:
        raise Refused(f"{path} exists already. Nothing was written.", "Name another file.") from error
    except OSError as error:
        raise _unwritable(path, error) from error


def _check_directory(directory: Path) -> None:
    if not directory.is_dir():
        raise Refused(f"There is no directory {directory}. Nothing was written.", "Make it, or name another.")


def _to_stdout(data: bytes) -> None:
    if sys.stdout is None:
        raise OtpkeepError("Standard output is closed.", "Redirect it to a file.")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _unwritable(path: Path, error: OSError | ValueError) -> Refused:
    reason = getattr(error, "strerror", None) or "that is no file name"
    return Refused(f"{path} can't be written: {reason}. Nothing was written.", "Name a file in a place of yours.")
