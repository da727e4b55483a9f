"""What the daemon needs of the file system: pure, so that the sandbox can be decided without touching a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  # which PrivateTmp hides
ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Needs:
    """Directories to write in, and files and directories that must be seen; all absolute."""

    writable: frozenset[Path]
    visible: frozenset[Path] = frozenset()

    @property
    def own_tmp(self) -> bool:
        """Whether the daemon can have a /tmp of its own."""
        return not any(_within(path, place) for path in self.writable | self.visible for place in TEMPORARY)

    def beside(self, *, writable: Iterable[Path] = (), visible: Iterable[Path] = ()) -> Needs:
        """Return these needs and more."""
        return Needs(self.writable | frozenset(writable), self.visible | frozenset(visible))

    def met_by(self, other: Needs) -> bool:
        """Tell whether a daemon that was given `other` has all of this."""
        inside = all(any(_within(path, place) for place in other.writable) for path in self.writable)
        return inside and (self.own_tmp or not other.own_tmp)


def needs_of(own: Iterable[Path], status: Mapping[str, Any]) -> Needs:
    """Return what a device needs: its `own` directories, the folder, and what two-way files lie in.

    `status` has `folder.path` and `watched` as the operation of that name answers.
    """
    watched = status["watched"]
    two_way = {Path(row["path"]).parent for row in watched if row["two_way"]}
    return Needs(
        frozenset([*own, Path(status["folder"]["path"]), *two_way]),
        frozenset(Path(row["path"]) for row in watched),
    )


def widened(path: Path, home: Path, is_mount: Callable[[Path], bool]) -> Path:
    """Return the directory to name for `path`, so that a disk can be unmounted and mounted while the daemon runs.

    Naming a directory binds it, which keeps its disk in use; so where a disk is mounted beside home, the directory that
    holds the mount point is named, or at least the mount point itself.
    """
    mount = next((place for place in (path, *path.parents) if is_mount(place)), ROOT)
    if _within(home, mount):
        return path
    return mount if _within(home, mount.parent) else mount.parent


def _within(path: Path, place: Path) -> bool:
    return path == place or place in path.parents
