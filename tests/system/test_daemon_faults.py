"""A daemon whose file system calls fail says so and goes on; one that is killed at any of them has lost nothing."""

from __future__ import annotations

from pathlib import Path

from support_cli import Device
from support_daemon_faults import add, asking, at_work
from support_seen import recovered, see, whole
from support_system import listed, need


def names_shown(device: Device) -> list[str]:
    with asking(device) as call:
        return [row["name"] for row in call("list", {"tag": None, "deleted": False, "secrets": False, "at": None})]


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

    # given: a daemon that is hit at each kind of call while it saves and publishes an edit
    with at_work(alpha) as daemon:
        daemon.withstand(lambda number: add(alpha, number), is_done, most=30, kills=4)
    # then: all that it acknowledged is there, once, and nothing that nobody did
    shown = [row["name"] for row in listed(alpha)]
    assert {f"konto{number}" for number in daemon.acknowledged} <= set(shown)
    assert set(shown) <= {f"konto{number}" for number in daemon.acknowledged | daemon.failed}
    assert len(shown) == len(set(shown))
    # and: in the folder, too
    whole(alpha.folder)
    found, seen = recovered(tmp_path / "beta", alpha.folder, alpha.passphrase_file.read_text()), see(alpha)
    assert found is not None
    assert found.same(seen)
