"""A folder that is away, empty, unmounted, taken, or not to be published to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support_cli import Device
from support_system import eventually, heir, listed, need, need_root, ours, status, uri


@pytest.fixture
def alpha(tmp_path: Path) -> Device:
    """A device with one account."""
    made = Device(tmp_path / "alpha", tmp_path / "folder")
    made.init()
    made.add(uri(1))
    return made


def test_init_refuses_a_folder_with_a_vault_and_names_recover(alpha: Device) -> None:
    before = {path.name: path.read_bytes() for path in alpha.folder.iterdir()}
    done = heir(alpha).run("init", "--folder", alpha.folder, "--device", "beta")
    assert (done.code, done.error["kind"]) == (1, "refused")
    assert "recover" in done.error["hint"]
    assert {path.name: path.read_bytes() for path in alpha.folder.iterdir()} == before
    heir(alpha).recover()


def test_edits_go_on_without_the_folder_and_are_published_when_it_returns(alpha: Device, tmp_path: Path) -> None:
    (alpha.home / "config.toml").write_text("look_every_s = 1\n")
    with alpha.daemon():
        # given: the disk with the folder is unplugged
        alpha.folder.rename(tmp_path / "unplugged")
        # then: edits are acknowledged, and say that they are not backed up
        assert alpha.add(uri(2))["backed_up"] is False
        assert status(alpha)["folder"]["reachable"] is False
        assert [problem for problem in status(alpha)["problems"] if problem["kind"] == "folder-unreachable"]
        assert status(alpha)["folder"]["pending"] == 1
        # and: what is about the folder fails with its own exit code
        for words in (["backup", "now"], ["verify"], ["verify", "--depth", "names"]):
            done = alpha.run(*words)
            assert (words, done.code, done.error["kind"]) == (words, 5, "folder-unreachable")
        assert not alpha.folder.exists()
        # when: it is plugged in again, then: what waited is published by itself
        (tmp_path / "unplugged").rename(alpha.folder)
        eventually(lambda: status(alpha)["folder"]["pending"] == 0, "what waited is published")
        assert alpha.run("verify").ok().json["ok"]
    assert len(heir(alpha).recover()["added"]) == 2


def test_a_command_alone_acknowledges_an_edit_without_the_folder_and_the_next_publishes_it(
    alpha: Device, tmp_path: Path
) -> None:
    alpha.folder.rename(tmp_path / "unplugged")
    assert alpha.add(uri(2))["backed_up"] is False
    assert alpha.run("backup", "now").code == 5
    assert heir(alpha, "beta").run("verify").code == 1
    (tmp_path / "unplugged").rename(alpha.folder)
    assert alpha.add(uri(3))["backed_up"] is True
    assert len(heir(alpha, "gamma").recover()["added"]) == 3


def test_an_emptied_folder_is_not_filled_again_unless_the_person_says_so(alpha: Device, tmp_path: Path) -> None:
    # given: the folder is there and has nothing of ours in it
    alpha.folder.rename(tmp_path / "unplugged")
    alpha.folder.mkdir()
    # then: nothing is written into it, and no account is lost
    assert alpha.add(uri(2))["backed_up"] is False
    assert alpha.run("backup", "now").code == 5
    assert list(alpha.folder.iterdir()) == []
    assert len(listed(alpha)) == 2
    # until: the person says that this is the place
    alpha.run("backup", "now", "--here").ok()
    assert len(heir(alpha).recover()["added"]) == 2


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None], Callable[[], None]]]:
    """A mount point that shows another disk, and what mounts and unmounts it."""
    need_root("mount")
    need("mount", "umount")
    disk, point = tmp_path / "disk", tmp_path / "point"
    disk.mkdir()
    point.mkdir()

    def run(*words: str | Path) -> None:
        done = subprocess.run(list(map(str, words)), capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no right to {words[0]} here: {done.stderr.decode().strip()}")

    run("mount", "-t", "tmpfs", "-o", "size=8m", "otpkeep-test", disk)
    try:
        run("mount", "--bind", disk, point)
        yield point, lambda: run("mount", "--bind", disk, point), lambda: run("umount", point)
    finally:
        for place in (point, disk):
            subprocess.run(["umount", place], capture_output=True, check=False)


@pytest.mark.parametrize("served", [True, False], ids=["daemon", "alone"])
def test_nothing_is_written_into_the_empty_mount_point_of_an_unmounted_folder(
    mounted: tuple[Path, Callable[[], None], Callable[[], None]], tmp_path: Path, served: bool
) -> None:
    point, mount, unmount = mounted
    alpha = Device(tmp_path / "alpha", point)
    alpha.init()
    alpha.add(uri(1))
    (alpha.home / "config.toml").write_text("look_every_s = 1\n")
    if served:
        with alpha.daemon():
            _unmounted_and_back(alpha, mount, unmount)
    else:
        _unmounted_and_back(alpha, mount, unmount)
    assert len(heir(alpha).recover()["added"]) == 3


def _unmounted_and_back(alpha: Device, mount: Callable[[], None], unmount: Callable[[], None]) -> None:
    # when: the folder is unmounted, and edits go on
    unmount()
    assert alpha.add(uri(2))["backed_up"] is False
    assert alpha.run("backup", "now").code == 5
    assert status(alpha)["folder"]["reachable"] is False
    # then: the mount point stays empty
    assert list(alpha.folder.iterdir()) == []
    # when: it is mounted again, then: the next edit and what waited are in it
    mount()
    alpha.run("backup", "now").ok()
    assert alpha.add(uri(3))["backed_up"] is True
    assert alpha.run("verify").ok().json["ok"]


def test_backup_off_goes_on_recording_and_on_publishes_what_waited(alpha: Device) -> None:
    with alpha.daemon():
        assert alpha.run("backup", "off").ok().json["backup"] is False
        before = ours(alpha.folder)
        assert alpha.add(uri(2))["backed_up"] is False
        assert (status(alpha)["backup"], ours(alpha.folder)) == (False, before)
    # and: it stays off for commands and over a restart
    assert alpha.add(uri(3))["backed_up"] is False
    assert ours(alpha.folder) == before
    with alpha.daemon():
        assert ours(alpha.folder) == before
        done = alpha.run("backup", "on").ok().json
        assert (done["backup"], done["backed_up"], done["pending"]) == (True, True, 0)
        assert len(ours(alpha.folder)) == len(before) + 2
    assert len(heir(alpha).recover()["added"]) == 3
