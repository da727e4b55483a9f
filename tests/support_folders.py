"""Both kinds of folder behind one face, for the suite that holds them to one contract."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon.folder import Folder, RealFolder
from otpkeep_daemon.memory_folder import MemoryFolder

TAG = "ab12"


@dataclass(frozen=True)
class Place:
    """A folder, and what somebody else can do to it."""

    folder: Folder
    put: Callable[[str, bytes], object]
    take: Callable[[str], object]
    names: Callable[[], list[str]]
    disappear: Callable[[], None]


def memory_place() -> Place:
    """An empty folder in memory."""
    folder = MemoryFolder(TAG)

    def disappear() -> None:
        folder.reachable = False

    return Place(folder, folder.put, folder.take, folder.names, disappear)


def real_place(path: Path, *, anonymous: bool) -> Place:
    """An empty real folder at `path`."""
    path.mkdir()
    return Place(
        folder=RealFolder(path, TAG, anonymous=anonymous),
        put=lambda name, data: (path / name).write_bytes(data),
        take=lambda name: (path / name).unlink(),
        names=lambda: sorted(entry.name for entry in path.iterdir()),
        disappear=lambda: shutil.rmtree(path),
    )
