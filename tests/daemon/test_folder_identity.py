"""The folder stays the one that was looked at: another one at its path gets nothing, a gutted one is not refilled."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from otpkeep_daemon.calls import call
from otpkeep_daemon.folder import RealFolder
from otpkeep_daemon.memory_folder import MemoryFolder
from otpkeep_daemon.own_vault import OwnVault
from otpkeep_daemon.service import Service
from otpkeep_protocol.errors import Unreachable
from otpkeep_protocol.healing import FEW
from otpkeep_protocol.naming import file_name
from support_cli import Device as Program
from support_system import eventually, need, need_root, ours, status, uri
from support_vault import Clock, Device, keyring

DATA = b"some bytes"
NAME = file_name(DATA)
BACKUP_HERE = {"mode": "now", "here": True}


class Exchanging(RealFolder):
    """A folder in whose place, as soon as the pass has looked, another one stands and somebody looks again."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "ab12")
        self.device = path.stat().st_dev
        self.armed = False

    def read(self, name: str) -> bytes | None:
        data = super().read(name)
        if self.armed:
            self.armed = False
            exchange(self.path)
            self.look()
        return data


def exchange(path: Path) -> Path:
    """Put an empty directory in the place of one, and return where that is now."""
    aside = path.with_name(f"{path.name}-aside")
    path.rename(aside)
    path.mkdir()
    return aside


def publish(folder: RealFolder) -> None:
    folder.publish(NAME, DATA)


def restore(folder: RealFolder) -> None:
    folder.restore(NAME, DATA)


def delete(folder: RealFolder) -> None:
    folder.delete("kept.txt")


@pytest.mark.parametrize("act", [publish, restore, delete])
@pytest.mark.parametrize("anonymous", [True, False], ids=["anonymous", "named"])
def test_another_directory_in_the_place_of_the_one_looked_at_gets_nothing(
    tmp_path: Path, act: Callable[[RealFolder], None], anonymous: bool
) -> None:
    # given: a folder that was looked at, and then exchanged
    path = tmp_path / "folder"
    path.mkdir()
    folder = RealFolder(path, "ab12", anonymous=anonymous)
    folder.trust(folder.look())
    aside = exchange(path)
    (path / "kept.txt").write_text("of somebody else")
    # then: every change is refused, and neither directory has another file than before
    with pytest.raises(Unreachable, match="exchanged"):
        act(folder)
    assert [entry.name for entry in path.iterdir()] == ["kept.txt"]
    assert list(aside.iterdir()) == []
    # and: when the right one is back, it works
    (path / "kept.txt").unlink()
    path.rmdir()
    aside.rename(path)
    (path / "kept.txt").write_text("of somebody else")
    act(folder)


def test_a_missing_directory_is_not_made_by_any_change(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    folder = RealFolder(path, "ab12")
    folder.trust(folder.look())
    path.rename(tmp_path / "aside")
    for act in (publish, restore, delete):
        with pytest.raises(Unreachable):
            act(folder)
    assert not path.exists()


def test_the_readme_is_not_written_into_another_directory_either(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    folder = RealFolder(path, "ab12")
    folder.trust(folder.look())
    exchange(path)
    with pytest.raises(Unreachable):
        folder.write_readme("this is a backup")
    assert list(path.iterdir()) == []


def test_a_look_by_somebody_else_does_not_redirect_a_pass_under_way(tmp_path: Path) -> None:
    """The pass belongs to the directory that it planned for, whoever else looks meanwhile (as `slots` does)."""
    path = tmp_path / "folder"
    path.mkdir()
    folder = Exchanging(path)
    device = Device(tmp_path / "home", "laptop", folder, keyring(), Clock())  # type: ignore[arg-type]
    device.introduce()
    device.run()
    device.add("mail")
    (path / "note.otpk").write_bytes(b"something to read")
    folder.armed = True
    device.run()
    device.close()
    assert not folder.armed
    assert list(path.iterdir()) == []


def test_a_daemon_keeps_what_it_can_t_publish_and_publishes_when_the_folder_is_back(tmp_path: Path) -> None:
    alpha = Program(tmp_path / "alpha", tmp_path / "folder")
    alpha.init()
    (alpha.home / "config.toml").write_text("look_every_s = 1\n")
    with alpha.daemon():
        alpha.add(uri(1))
        aside = exchange(alpha.folder)
        # then: the edit is kept, and nothing is written there
        assert alpha.add(uri(2))["backed_up"] is False
        assert list(alpha.folder.iterdir()) == []
        # and: an edit after the next looks finds no other way in
        eventually(lambda: not status(alpha)["folder"]["reachable"], "the exchange is noticed")
        assert alpha.add(uri(3))["backed_up"] is False
        assert list(alpha.folder.iterdir()) == []
        # when: it is back, then: it is published by itself
        before = len(ours(aside))
        alpha.folder.rmdir()
        aside.rename(alpha.folder)
        eventually(lambda: status(alpha)["folder"]["pending"] == 0, "what waited is published")
        assert len(ours(alpha.folder)) == before + 2


def test_a_daemon_writes_nothing_into_an_unmounted_point_and_publishes_after_mounting(tmp_path: Path) -> None:
    need_root("mount")
    need("mount", "umount")
    disk, point = tmp_path / "disk", tmp_path / "point"
    disk.mkdir()
    point.mkdir()
    _mount("-t", "tmpfs", "-o", "size=8m", "otpkeep-test", str(disk))
    try:
        _mount("--bind", str(disk), str(point))
        alpha = Program(tmp_path / "alpha", point)
        alpha.init()
        (alpha.home / "config.toml").write_text("look_every_s = 1\n")
        with alpha.daemon():
            alpha.add(uri(1))
            # when: the disk goes between two looks, and the very next thing is an edit
            subprocess.run(["umount", str(point)], check=True)
            assert alpha.add(uri(2))["backed_up"] is False
            assert list(point.iterdir()) == []
            _mount("--bind", str(disk), str(point))
            eventually(lambda: status(alpha)["folder"]["pending"] == 0, "what waited is published")
    finally:
        for place in (point, disk):
            subprocess.run(["umount", str(place)], capture_output=True, check=False)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no right to mount here: {done.stderr.decode().strip()}")


def filled(device: Device, number: int) -> list[str]:
    for n in range(number):
        device.add(f"konto{n}")
    device.run()
    device.run()
    return device.own_files()


def take(folder: MemoryFolder, names: list[str]) -> None:
    for name in names:
        folder.take(name)


def test_while_most_files_are_missing_none_is_put_back_until_the_person_says_so(laptop: Device, tmp_path: Path) -> None:
    names = filled(laptop, 20)
    # given: a folder that lost more than half, and more than a few, of its files
    take(laptop.folder, names[: len(names) // 2 + 2])
    left = laptop.folder.names()
    # then: however often it looks, it puts nothing back, but names what is missing
    for _ in range(4):
        outcome = laptop.run()
        assert len(outcome.missing) > FEW
        assert laptop.folder.names() == left
    # and: new edits are published all the same
    laptop.add("new")
    laptop.run()
    assert len(laptop.folder.names()) == len(left) + 1
    # when: the person says that this is the place
    service = Service(laptop.store, laptop.folder, OwnVault(tmp_path / "own", laptop.random), laptop.around)
    answer = call(service, "backup", BACKUP_HERE)
    # then: everything is there again
    assert (answer["backed_up"], answer["pending"]) == (True, 0)
    assert set(names) <= set(laptop.folder.names())
    assert laptop.run().missing == ()


@pytest.mark.parametrize(("files", "gone"), [(10, FEW), (30, 10)], ids=["a few", "a third"])
def test_a_few_or_a_small_part_is_put_back(laptop: Device, files: int, gone: int) -> None:
    names = filled(laptop, files)
    take(laptop.folder, names[:gone])
    laptop.run()
    assert not set(names) <= set(laptop.folder.names())
    laptop.run()
    assert set(names) <= set(laptop.folder.names())


def test_files_of_others_do_not_make_a_gutted_folder_look_whole(laptop: Device) -> None:
    names = filled(laptop, 20)
    for number in range(3 * len(names)):
        laptop.folder.put(f"photo{number}.jpg", b"somebody's")
    laptop.run()
    take(laptop.folder, names[1:])
    for _ in range(3):
        laptop.run()
    assert not set(names[1:]) & set(laptop.folder.names())
