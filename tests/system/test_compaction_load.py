"""Compaction on the real process, under load with a reader beside it. Its kills are in test_faults.py."""

from __future__ import annotations

import shutil
from pathlib import Path

from support_cli import Device
from support_system import (
    carry,
    eventually,
    listed,
    logged,
    ours,
    pair,
    picture,
    uri,
)


def test_compaction_under_load_loses_nothing_and_a_fresh_device_recovers_at_every_moment(tmp_path: Path) -> None:
    # given: a daemon that compacts every second while commands edit, and another device that reads meanwhile
    alpha, beta = pair(tmp_path)
    for device in (alpha, beta):
        (device.home / "config.toml").write_text("quarantine_s = 1\ncompact_every_s = 1\n")
    made: list[str] = []
    known: set[str] = set()
    with alpha.daemon(), beta.daemon():
        for number in range(48):
            made.append(alpha.add(uri(number))["id"])
            carry(alpha.folder, beta.folder)
            carry(beta.folder, alpha.folder)
            known = _follow_deletes(known, alpha.folder, beta.folder)
            if number % 12 == 11:
                # when: at this moment somebody recovers from a copy of the folder
                copy = tmp_path / f"copy-{number}"
                shutil.copytree(alpha.folder, copy)
                fresh = Device(tmp_path / f"fresh-{number}", copy)
                # then: everything acknowledged is there
                assert fresh.recover()["waiting_for"] == []
                assert {row["id"] for row in listed(fresh)} == set(made)
        eventually(lambda: _packs(alpha) > 1, "the daemon has compacted more than once")

        def both_alike() -> bool:
            carry(alpha.folder, beta.folder)
            carry(beta.folder, alpha.folder)
            return picture(alpha) == picture(beta)

        eventually(both_alike, "both devices show the same")
        assert {row["id"] for row in listed(beta)} == set(made)
    for device in (alpha, beta):
        assert device.run("verify", "--depth", "rebuild").ok().json["problems"] == []


def _packs(device: Device) -> int:
    return sum(row["kind"] == "pack" for row in logged(device))


def _follow_deletes(known: set[str], source: Path, target: Path) -> set[str]:
    """Delete in `target` what was known in `source` and is gone, as a cloud client does. Return what is there now."""
    now = {path.name for path in ours(source)}
    for gone in known - now:
        (target / gone).unlink(missing_ok=True)
    return now
