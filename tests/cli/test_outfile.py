"""Exports are whole or not there, and for their owner alone."""

import os
from pathlib import Path

import pytest

from otpkeep_cli.outfile import check_target, write_export
from otpkeep_protocol.errors import Refused


def test_a_new_file_is_for_its_owner_alone_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "export.json"
    write_export(str(target), b"data", force=False)
    assert target.read_bytes() == b"data"
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_file_is_never_touched_without_force(tmp_path: Path) -> None:
    target = tmp_path / "export.json"
    target.write_bytes(b"precious")
    for attempt in (check_target, lambda place, force: write_export(place, b"new", force=force)):
        with pytest.raises(Refused):
            attempt(str(target), force=False)
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]


def test_force_replaces_the_file_and_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "export.json"
    target.write_bytes(b"old")
    target.chmod(0o644)
    write_export(str(target), b"new", force=True)
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"new", 0o600)
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_no_regular_file_is_refused_even_with_force(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("pipe", "link", "."):
        with pytest.raises(Refused):
            check_target(str(tmp_path / name), force=True)


@pytest.mark.parametrize("name", ["missing/export.json", "x" * 300, "a\0b"])
def test_an_impossible_name_is_told_before_anything_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused):
        check_target(f"{tmp_path}/{name}", force=False)
