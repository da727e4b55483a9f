"""Watched files from the command line, with no daemon running."""

from __future__ import annotations

import os
from pathlib import Path

from support_cli import Device
from support_watch import AegisFile


def test_review_tells_by_itself_of_a_file_that_was_emptied(device: Device, tmp_path: Path) -> None:
    file = AegisFile(tmp_path / "aegis.json", entries=2)
    device.run("watch", file.path).ok()
    file.path.write_bytes(b"")
    os.utime(file.path, (0, 0))
    (hold,) = device.run("review").ok().json
    assert (hold["path"], hold["kind"]) == (str(file.path), "empty")
    assert len(device.run("list").ok().json) == 2
