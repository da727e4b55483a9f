"""`otpkeep folder DIR`: the mirror moves, and at every moment the old folder or the new one is whole and in use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support_cli import Device, Result
from support_system import (
    begin,
    carry,
    eventually,
    flipped,
    heir,
    listed,
    need,
    ours,
    pair,
    picture,
    status,
    under_strace,
    uri,
)


@pytest.fixture
def alpha(tmp_path: Path) -> Device:
    """A device with two accounts."""
    made = Device(tmp_path / "alpha", tmp_path / "folder")
    made.init()
    for number in (1, 2):
        made.add(uri(number))
    return made


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "cloud" / "otpkeep"


def move(device: Device, directory: Path) -> dict[str, object]:
    moved: dict[str, object] = device.run("folder", directory).ok().json
    return moved


def place(device: Device) -> str:
    path: str = device.run("folder").ok().json["folder"]
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestMoved:
    def test_the_new_folder_is_complete_and_used_and_the_old_one_as_it_was(self, alpha: Device, new: Path) -> None:
        before = contents(alpha.folder)
        moved = move(alpha, new)
        # then: everything is there, README included, and a fresh device recovers from it alone
        assert contents(new) == before
        assert (moved["moved"], moved["folder"], moved["old"]) == (True, str(new), str(alpha.folder))
        assert moved["files"] == len(ours(new))
        assert place(alpha) == str(new)
        # and: the next edit goes there and nowhere else
        assert alpha.add(uri(3))["backed_up"] is True
        assert contents(alpha.folder) == before
        shutil.rmtree(alpha.folder)
        assert alpha.run("verify", "--depth", "rebuild").ok().json["ok"] is True
        assert len(Device(alpha.home.parent / "beta", new).recover()["ready"]) == 3

    def test_the_text_says_where_the_old_one_is_and_what_is_left_to_do(self, alpha: Device, new: Path) -> None:
        said = alpha.run("folder", new, json=False).ok().out
        assert f"The folder is now {new}." in said
        assert f"The old folder {alpha.folder} is as it was" in said
        assert "still opens with the passphrase" in said
        assert "other device" not in said
        # and: with another device, that it is to follow
        heir(alpha).run("recover", new).ok()
        said = alpha.run("folder", new.parent / "third", json=False).ok().out
        assert "1 other device may still use it" in said
        assert f"otpkeep folder {new.parent / 'third'}" in said

    def test_a_daemon_watches_the_new_folder_at_once(self, alpha: Device, new: Path) -> None:
        beta = heir(alpha)
        beta.recover()
        # given: a daemon that looks by itself only once an hour
        (alpha.home / "config.toml").write_text("look_every_s = 3600\n")
        with alpha.daemon():
            move(alpha, new)
            assert alpha.add(uri(3))["backed_up"] is True
            # when: another device has moved too, and writes
            assert move(beta, new)["taken_in"] == 1
            beta.add(uri(4))
            # then: the watcher prompts the look
            eventually(lambda: len(listed(alpha)) == 4, "the edit in the new folder is seen")
            found = status(alpha)
            assert [problem["kind"] for problem in found["problems"]] == ["new-device"]
            assert (found["folder"]["path"], found["folder"]["pending"]) == (str(new), 0)
        # and: after a restart it is still the new one
        with alpha.daemon():
            assert place(alpha) == str(new)
            assert picture(alpha) == picture(beta)

    def test_edits_that_are_made_during_the_move_are_in_the_new_folder(self, alpha: Device, new: Path) -> None:
        with alpha.daemon():
            # when: others write before, while and after the folder moves
            writers = []
            for number in range(10, 16):
                writers.append(begin(alpha, ["add", "-"]))
                assert writers[-1].stdin is not None
                writers[-1].stdin.write(uri(number).encode())
                writers[-1].stdin.close()
                writers[-1].stdin = None
                if number == 12:
                    mover = begin(alpha, ["folder", new])
            ends = [json.loads(process.communicate()[0]) for process in [*writers, mover]]
            # then: every edit was in the folder of its moment, and all are in the new one
            assert all(end["backed_up"] for end in ends[:-1])
            assert (ends[-1]["moved"], status(alpha)["folder"]["pending"]) == (True, 0)
        assert alpha.run("verify", "--depth", "rebuild").ok().json["problems"] == []
        assert len(Device(alpha.home.parent / "beta", new).recover()["ready"]) == 8

    def test_what_could_not_be_read_in_the_old_folder_is_said(self, alpha: Device, new: Path) -> None:
        (alpha.folder / f".{'a' * 32}.otpk.icloud").touch()
        (alpha.folder / f"{'b' * 32}.otpk").touch()
        assert "2 files in" in alpha.run("folder", new, json=False).ok().out

    def test_a_locked_daemon_moves_with_the_passphrase_and_is_locked_after(self, alpha: Device, new: Path) -> None:
        with alpha.daemon():
            alpha.run("lock").ok()
            move(alpha, new)
            assert status(alpha)["daemon"]["locked"] is True
            assert place(alpha) == str(new)

    def test_what_only_the_old_folder_has_is_taken_along(self, tmp_path: Path, new: Path) -> None:
        # given: an edit of another device that has arrived in the folder, and nobody has read
        alpha, beta = pair(tmp_path)
        beta.add(uri(7))
        carry(beta.folder, alpha.folder)
        move(alpha, new)
        assert set(contents(new)) >= set(contents(alpha.folder))
        assert [account["name"] for account in listed(alpha)] == ["konto7"]

    def test_without_the_old_folder_it_moves_what_the_store_holds_and_says_so(self, alpha: Device, new: Path) -> None:
        before = contents(alpha.folder)
        shutil.rmtree(alpha.folder)
        done = alpha.run("folder", new, json=False).ok()
        assert "could not be reached" in done.out
        assert contents(new) == before

    def test_a_plain_local_folder_is_called_no_backup_until_it_has_moved(self, tmp_path: Path, new: Path) -> None:
        alone = Device(tmp_path / "alone", tmp_path / "unused")
        alone.run("init").ok()
        assert alone.run("folder").ok().json["local_only"] is True
        assert "not a backup" in alone.run("folder", json=False).ok().out
        move(alone, new)
        assert status(alone)["folder"]["local_only"] is False
        # and: back again
        assert move(alone, alone.home / "folder")["local_only"] is True

    def test_a_folder_that_was_renamed_by_hand_is_followed(self, alpha: Device, tmp_path: Path) -> None:
        alpha.folder.rename(tmp_path / "renamed")
        move(alpha, tmp_path / "renamed")
        assert alpha.add(uri(3))["backed_up"] is True
        assert status(alpha)["problems"] == []

    def test_the_same_folder_is_no_move(self, alpha: Device, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(alpha.folder)
        for directory in (alpha.folder, tmp_path / "link"):
            assert move(alpha, directory)["moved"] is False
        assert place(alpha) == str(alpha.folder)


class TestPartlyThere:
    def test_what_the_new_folder_has_of_this_vault_is_taken_in(self, alpha: Device, new: Path) -> None:
        # given: another device that has moved already, and written there
        beta = heir(alpha)
        beta.recover()
        move(beta, new)
        beta.add(uri(8))
        moved = move(alpha, new)
        assert moved["taken_in"] == 1
        assert {account["name"] for account in listed(alpha)} == {"konto1", "konto2", "konto8"}
        # and: nothing of it went to the old folder only, or is missing from the new one
        assert alpha.run("verify", "--depth", "rebuild").ok().json["ok"] is True

    def test_damaged_and_half_written_copies_are_put_right(self, alpha: Device, new: Path) -> None:
        new.mkdir(parents=True)
        first, second, third = ours(alpha.folder)[:3]
        (new / first.name).write_bytes(flipped(first.read_bytes(), 500))
        (new / second.name).write_bytes(second.read_bytes()[:-100])
        (new / third.name).touch()
        (new / f"{third.stem} (1).otpk").write_bytes(third.read_bytes())
        move(alpha, new)
        assert {path.name: path.read_bytes() for path in ours(new)} == {
            p.name: p.read_bytes() for p in ours(alpha.folder)
        }

    def test_other_files_in_it_are_left_alone(self, alpha: Device, new: Path) -> None:
        new.mkdir(parents=True)
        (new / "photo.jpg").write_bytes(b"\xff\xd8")
        (new / "sub").mkdir()
        move(alpha, new)
        assert (new / "photo.jpg").read_bytes() == b"\xff\xd8"


class TestRefused:
    def refused(self, device: Device, directory: Path, code: int = 1) -> Result:
        before, old = place(device), contents(device.folder)
        done = device.run("folder", directory)
        assert (done.code, bool(done.error["hint"])) == (code, True), done
        assert (place(device), contents(device.folder)) == (before, old)
        assert device.add(uri(9))["backed_up"] is True
        return done

    def test_a_folder_of_another_vault(self, alpha: Device, new: Path, tmp_path: Path) -> None:
        Device(tmp_path / "other", new).init()
        there = contents(new)
        done = self.refused(alpha, new)
        assert "another vault" in done.error["message"]
        assert contents(new) == there

    def test_also_beside_files_of_this_one(self, alpha: Device, new: Path, tmp_path: Path) -> None:
        Device(tmp_path / "other", new).init()
        carry(alpha.folder, new)
        self.refused(alpha, new)

    def test_a_folder_with_files_that_can_t_be_told_yet(self, alpha: Device, new: Path) -> None:
        new.mkdir(parents=True)
        (new / f".{'a' * 32}.otpk.icloud").touch()
        assert "can't be read yet" in self.refused(alpha, new).error["message"]

    @pytest.mark.parametrize("inside", [".", "..", "sub/folder"])
    def test_a_place_among_otpkeep_s_own_data_or_around_it(self, alpha: Device, inside: str) -> None:
        self.refused(alpha, alpha.home / inside)

    def test_a_place_that_can_t_be_made_or_written(self, alpha: Device, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        done = self.refused(alpha, tmp_path / "file" / "sub", code=5)
        assert f"still {alpha.folder}" in done.error["message"]
        self.refused(alpha, tmp_path / "file", code=5)
        (tmp_path / "circle").symlink_to("circle")
        self.refused(alpha, tmp_path / "circle", code=5)
        self.refused(alpha, Path("/proc/otpkeep"), code=5)

    def test_while_backup_is_off(self, alpha: Device, new: Path) -> None:
        alpha.run("backup", "off").ok()
        done = alpha.run("folder", new)
        assert (done.code, "backup on" in done.error["hint"], new.exists()) == (1, True, False)
        assert place(alpha) == str(alpha.folder)


class TestInterrupted:
    def test_a_full_disk_in_mid_move_changes_nothing(self, alpha: Device, new: Path) -> None:
        need("strace")
        assert under_strace(alpha, "linkat", "folder", new, fault="error=ENOSPC:when=3+") == 5
        assert place(alpha) == str(alpha.folder)
        assert alpha.add(uri(3))["backed_up"] is True
        move(alpha, new)
        assert set(contents(alpha.folder)) == set(contents(new))
