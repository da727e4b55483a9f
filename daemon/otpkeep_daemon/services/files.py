"""The files of a service: written whole or not at all, and only where they change."""

from __future__ import annotations

from pathlib import Path

from otpkeep_daemon import durable
from otpkeep_protocol.errors import Refused


def put(path: Path, data: bytes) -> bool:
    """Write a file, 0600, and the directories that lead to it; return whether it was different. Refused if it can't."""
    try:
        if path.is_file() and path.read_bytes() == data:
            return False
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with durable.directory(path.parent) as folder:
            durable.replace(folder, path.name, data, f".{path.name}.new")
    except OSError as error:
        raise Refused(f"{path} can't be written: {error.strerror}.", "Make its directory writable.") from error
    return True


def take_away(path: Path) -> bool:
    """Remove a file; return whether there was one. Refused if it can't be."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Refused(f"{path} can't be removed: {error.strerror}.", "Remove it yourself.") from error
    return True
