"""A daemon whose file system calls fail says so and goes on; one that is killed at any of them has lost nothing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from otpkeep_protocol.errors import Busy
from support_cli import Device
from support_daemon_faults import add, asking, at_work
from support_seen import recovered, see, whole
from support_system import eventually, listed, logged, need
from support_watch import AegisFile

pytestmark = pytest.mark.sweep


def names_shown(device: Device) -> list[str]:
    return [row["name"] for row in shown(device)]


def shown(device: Device) -> list[dict[str, Any]]:
    with asking(device) as call:
        found: list[dict[str, Any]] = call("list", {"tag": None, "deleted": False, "secrets": False, "at": None})
    return found


def test_edits_of_a_daemon_that_fails_or_is_killed_at_any_call_are_whole_and_published(tmp_path: Path) -> None:
    need("strace")
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    alpha.init()
    (alpha.home / "config.toml").write_text("look_every_s = 3600\n")

    def is_done(number: int) -> bool:
        """Tell whether the edit is there, and everything in the folder once it is asked for."""
        with asking(alpha) as call:
            return bool(call("backup", {"mode": "now", "here": False})["backed_up"]) and (
                f"konto{number}" in names_shown(alpha)
            )

    names = {path.name for path in alpha.home.iterdir()} | {"store.sqlite3-wal", "store.sqlite3-shm", "log"}
    # given: a daemon that is hit at each kind of call while it saves and publishes an edit
    with at_work(alpha) as daemon:
        daemon.withstand(lambda number: add(alpha, number), is_done, most=30, kills=4)
    # then: all that it acknowledged is there, once, and nothing that nobody did
    found = [row["name"] for row in listed(alpha)]
    assert {f"konto{number}" for number in daemon.acknowledged} <= set(found)
    assert set(found) <= {f"konto{number}" for number in daemon.acknowledged | daemon.failed}
    assert len(found) == len(set(found))
    # and: in the folder, too
    whole(alpha.folder)
    _recovers_alike(alpha, tmp_path)
    assert {path.name for path in alpha.home.iterdir()} <= names


def test_a_daemon_that_fails_or_is_killed_while_it_captures_makes_each_event_once(tmp_path: Path) -> None:
    need("strace")
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    alpha.init()
    (tmp_path / "apps").mkdir()
    file = AegisFile(tmp_path / "apps" / "aegis.json", entries=2)
    alpha.run("watch", file.path, "--two-way").ok()
    (alpha.home / "config.toml").write_text("look_every_s = 1\n")

    def change(number: int) -> None:
        """Have the other program edit its file, and wait until the daemon has come upon it."""
        file.change(lambda entries: entries[1].update(note=f"note {number}"))
        with suppress(AssertionError, Busy):  # it may be told at the next look only, or be killed
            eventually(lambda: is_captured(number), "the edit is captured", within_s=5)

    def is_captured(number: int) -> bool:
        return f"note {number}" in {row["note"] for row in shown(alpha)}

    with at_work(alpha, file.path.parent) as daemon:
        daemon.withstand(change, is_captured, most=16, kills=3)
    # then: each edit of the other program is one event, in order, and the file is as that program left it
    notes = [row["changes"]["note"][1] for row in reversed(logged(alpha)) if row["kind"] == "account.edit"]
    assert notes == [f"note {number}" for number in range(len(notes))]
    assert file.entry(name="name1")["note"] == notes[-1]
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]
    _recovers_alike(alpha, tmp_path)


def _recovers_alike(device: Device, root: Path) -> None:
    """Check that a fresh device recovers from the folder all that the device has."""
    found, seen = recovered(root / "beta", device.folder, device.passphrase_file.read_text()), see(device)
    assert found is not None
    assert found.same(seen)
