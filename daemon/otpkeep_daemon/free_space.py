"""Disks that are almost full: those of the store and of the folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from otpkeep_daemon.problem import problem

MEGABYTE = 1_000_000


class Usage(Protocol):
    """What `shutil.disk_usage` returns, in bytes."""

    @property
    def total(self) -> int:
        """Size of the file system."""

    @property
    def free(self) -> int:
        """What an ordinary user may still write."""


Measure = Callable[[Path], Usage]


def almost_full(usage: Usage, low_mb: int) -> bool:
    """Tell whether a disk has less free than `low_mb`, or than a tenth of a small one."""
    return usage.free < min(low_mb * MEGABYTE, usage.total // 10)


def disk_problems(
    places: Mapping[str, Path], low_mb: int, measure: Measure = shutil.disk_usage
) -> list[dict[str, str]]:
    """Return a problem for each of the places ("store", "folder") whose disk is almost full.

    A place that can't be asked is left out: why it can't is told elsewhere.
    """
    found = []
    for subject, path in places.items():
        try:
            usage = measure(path)
        except OSError:
            continue
        if almost_full(usage, low_mb):
            message = f"the disk of the {subject} {path} is almost full: {usage.free // MEGABYTE} MB are free"
            found.append(problem("disk", message, _HINT, subject))
    return found


_HINT = "Free some space there: once it is full, nothing can be saved or backed up. The setting is low_disk_mb."
