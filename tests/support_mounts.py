"""Real disks for tests: small, filled, read-only, unmounted; and a clock and limits that are really other ones."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support_system import need, need_root


def mount(*words: str | Path) -> None:
    """Mount; skip the test where this machine gives no right to."""
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no right to mount here: {done.stderr.decode().strip()}")


class Disk:
    """A disk of its own that is mounted at `point`, with what can happen to it."""

    def __init__(self, point: Path) -> None:
        self.point = point

    @property
    def _filling(self) -> Path:
        return self.point / "filling"

    def fill(self) -> None:
        """Leave not one byte free."""
        with self._filling.open("wb", buffering=0) as file:
            for size in (65_536, 4_096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def free(self) -> None:
        """Undo `fill`."""
        self._filling.unlink()

    def read_only(self) -> None:
        """Remount it so that nothing can be written; only while no file of it is open for writing."""
        mount("-o", "remount,ro", self.point)

    def writable(self) -> None:
        """Undo `read_only`."""
        mount("-o", "remount,rw", self.point)

    def fail(self) -> None:
        """Have an ext4 file system stop all writing, as it does after an error, whatever is open."""
        mount("-o", "remount,abort", self.point)


@contextlib.contextmanager
def small_disk(point: Path, *, size: str = "4m") -> Iterator[Disk]:
    """Mount a disk in memory at `point`, which is made, for this user alone."""
    need_root("mount")
    need("mount", "umount")
    point.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={size},mode=700", "otpkeep-test", point)
    try:
        yield Disk(point)
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


@contextlib.contextmanager
def ext4_disk(point: Path) -> Iterator[Disk]:
    """Mount a file system like that of a real disk at `point`, which is made: one that errors can make read-only."""
    need_root("mount")
    need("mount", "umount", "mkfs.ext4")
    image = point.with_name(f"{point.name}.image")
    with image.open("wb") as file:
        file.truncate(16 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True, capture_output=True)
    point.mkdir(parents=True, exist_ok=True)
    mount("-o", "loop,errors=remount-ro", image, point)
    try:
        point.chmod(0o700)
        yield Disk(point)
    finally:
        subprocess.run(["umount", str(point)], check=False, capture_output=True)
        subprocess.run(["umount", "--lazy", str(point)], check=False, capture_output=True)
