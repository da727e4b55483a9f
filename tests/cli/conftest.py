"""A device with a new vault, for the tests of the command line; a module with other needs makes its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from support_cli import Device


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device named laptop."""
    made = Device(tmp_path / "laptop", tmp_path / "folder")
    made.init()
    return made
