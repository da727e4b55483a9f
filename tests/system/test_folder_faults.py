"""What keys, folders and clients do to us: a clear word, the right exit code, and nothing else lost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otpkeep_protocol import sealing, slots
from otpkeep_protocol.naming import file_name
from support_cli import Device, secret_file
from support_system import eventually, listed, need, need_root, ours, status, uri

OTHER = "another passphrase of six words"


@pytest.fixture
def alpha(tmp_path: Path) -> Device:
    """A device with one account."""
    made = Device(tmp_path / "alpha", tmp_path / "folder")
    made.init()
    made.add(uri(1))
    return made


def heir(alpha: Device, name: str = "beta") -> Device:
    """Return a device that is not set up, beside `alpha` and with its folder."""
    return Device(alpha.home.parent / name, alpha.folder)


# keys


def test_a_wrong_passphrase_is_exit_3_everywhere_and_leaves_nothing_behind(alpha: Device, tmp_path: Path) -> None:
    wrong = {"OTPKEEP_PASSPHRASE_FILE": str(secret_file(tmp_path / "wrong", OTHER))}
    before = {path.name for path in alpha.folder.iterdir()}
    beta = heir(alpha)
    for device, words in (
        (alpha, ["list"]),
        (alpha, ["add", "-"]),
        (alpha, ["verify"]),
        (alpha, ["daemon", "run"]),
        (beta, ["recover", str(alpha.folder), "--device", "beta"]),
    ):
        done = device.run(*words, stdin=uri(2).encode(), env=wrong)
        assert (words, done.code, done.error["kind"]) == (words, 3, "wrong-passphrase")
        assert OTHER not in done.out + done.err
    # then: nothing was written, and the right passphrase goes on as if nothing had been
    assert {path.name for path in alpha.folder.iterdir()} == before
    beta.recover()
    assert listed(beta) == listed(alpha)


def test_no_passphrase_at_all_is_exit_3_and_names_how_to_give_one(alpha: Device) -> None:
    done = alpha.run("list", env={"OTPKEEP_PASSPHRASE_FILE": None})
    assert (done.code, done.error["kind"]) == (3, "locked")
    assert "OTPKEEP_PASSPHRASE_FILE" in done.error["hint"]


def test_the_recovery_code_recovers_and_sets_a_new_passphrase_for_everybody(tmp_path: Path) -> None:
    # given: a vault of which somebody has the recovery code, and not the passphrase
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    code = secret_file(tmp_path / "code", alpha.init()["recovery_code"].lower().replace("-", " ") + "\n")
    alpha.add(uri(1))
    beta = heir(alpha)
    new = secret_file(tmp_path / "new", OTHER)
    # when: a device recovers with it
    env = {"OTPKEEP_PASSPHRASE_FILE": None, "OTPKEEP_NEW_PASSPHRASE_FILE": str(new)}
    beta.run("recover", alpha.folder, "--device", "beta", "--code-file", code, env=env).ok()
    # then: the new passphrase opens it, a third device, the first one, and its own vault file
    with_new = {"OTPKEEP_PASSPHRASE_FILE": str(new)}
    assert [row["name"] for row in beta.run("list", env=with_new).ok().json] == ["konto1"]
    gamma = heir(alpha, "gamma")
    gamma.run("recover", alpha.folder, "--device", "gamma", env=with_new).ok()
    alpha.run("backup", "now").ok()
    alpha.run("list").ok()
    assert [row["name"] for row in alpha.run("list", env=with_new).ok().json] == ["konto1"]
    other = Device(tmp_path / "other", tmp_path / "elsewhere")
    other.init()
    done = other.run("import", beta.home / "vault.aegis.json", "--passphrase-file", new).ok().json
    assert len(done["added"]) == 1


@pytest.mark.parametrize(
    "wrong", ["", "00000-00000", "0000A-0000A-0000A-0000A-0000A-0000A-0000A-0000A", "not a code at all"]
)
def test_a_wrong_recovery_code_is_exit_3(alpha: Device, tmp_path: Path, wrong: str) -> None:
    code = secret_file(tmp_path / "code", wrong)
    env = {"OTPKEEP_NEW_PASSPHRASE_FILE": str(secret_file(tmp_path / "new", OTHER))}
    beta = heir(alpha)
    done = beta.run("recover", alpha.folder, "--device", "beta", "--code-file", code, env=env)
    assert done.code == 3, done
    assert done.error["hint"]
    beta.recover()


def test_a_flipped_byte_in_one_slot_locks_nobody_out_and_verify_names_the_file(alpha: Device) -> None:
    # given: one of the two passphrase slots has one byte changed, wherever in the file
    slot = _slots(alpha.folder, slots.PASSPHRASE)[0]
    whole = slot.read_bytes()
    for number, at in enumerate((50, 80, 109, 112, 130, len(whole) - 1)):
        slot.write_bytes(_flipped(whole, at))
        # then: a device recovers all the same
        beta = heir(alpha, f"beta{number}")
        assert len(beta.recover()["added"]) == 1
        # and: verify says so on a device that knew the file, and on one that did not
        for device in (alpha, beta):
            done = device.run("verify")
            assert done.code == 4
            assert slot.name in [problem["file"] for problem in done.json["problems"]]
            assert all(problem["message"] and problem["hint"] for problem in done.json["problems"])
    slot.write_bytes(whole)
    alpha.run("verify").ok()


def test_damage_to_both_passphrase_slots_leaves_the_recovery_code(tmp_path: Path) -> None:
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    code = secret_file(tmp_path / "code", alpha.init()["recovery_code"])
    for slot in _slots(alpha.folder, slots.PASSPHRASE):
        slot.write_bytes(_flipped(slot.read_bytes(), 300))
    beta = heir(alpha)
    done = beta.run("recover", alpha.folder, "--device", "beta")
    assert (done.code, done.error["kind"]) == (3, "wrong-passphrase")
    assert "damaged" in done.error["message"]
    env = {"OTPKEEP_NEW_PASSPHRASE_FILE": str(secret_file(tmp_path / "new", OTHER))}
    beta.run("recover", alpha.folder, "--device", "beta", "--code-file", code, env=env).ok()


# folders


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


# damaged files


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": _cut,
    "cut to its header": lambda data: data[: sealing.HEADER_SIZE],
    "cut to a few bytes": lambda data: data[:5],
    "empty": lambda _: b"",
    "one bit in the header": lambda data: _flipped(data, 60),
    "one bit in the content": lambda data: _flipped(data, len(data) - 40),
    "one bit in the magic": lambda data: _flipped(data, 3),
    "a longer tail": lambda data: data + b"\0",
    "zeroed": lambda data: bytes(len(data)),
    "garbage": lambda data: bytes((7 * n + 3) % 256 for n in range(len(data))),
}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Device, Device, Path]:
    """Two devices of one folder, and the one file that holds beta's only edit."""
    root = tmp_path_factory.mktemp("three")
    alpha, beta = Device(root / "alpha", root / "folder"), Device(root / "beta", root / "folder")
    alpha.init()
    alpha.add(uri(1))
    beta.recover()
    before = set(ours(alpha.folder))
    beta.add(uri(2))
    (file,) = set(ours(alpha.folder)) - before
    assert len(listed(alpha)) == 2
    return alpha, beta, file


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_and_nothing_else_is_lost(
    three: tuple[Device, Device, Path], damage: str, tmp_path: Path
) -> None:
    alpha, _, file = three
    whole = file.read_bytes()
    file.write_bytes(DAMAGE[damage](whole))
    try:
        # then: who has seen the file names it and its device, and has lost nothing
        problem = _the_problem(alpha, file.name)
        assert problem["device"] == "beta"
        assert [row["name"] for row in listed(alpha)] == ["konto1", "konto2"]
        assert file.read_bytes() == DAMAGE[damage](whole), "it is another's file"
        # and: who has not gets all the rest, and is told what is missing
        gamma = Device(tmp_path / "gamma", alpha.folder)
        recovered = gamma.recover()
        assert [row["name"] for row in listed(gamma)] == ["konto1"]
        assert _the_problem(gamma, file.name)["message"]
        assert recovered["waiting_for"] in ([{"device": "beta", "events": 1}], [])
    finally:
        file.write_bytes(whole)
    # and: as soon as it is whole, everybody has everything
    assert [row["name"] for row in listed(gamma)] == ["konto1", "konto2"]
    alpha.run("verify", "--depth", "rebuild").ok()


def _the_problem(device: Device, name: str) -> dict[str, Any]:
    """Return what verify says of one file, which must be wrong, as must be verify's exit code."""
    done = device.run("verify")
    assert done.code == 4, done
    found: list[dict[str, Any]] = [problem for problem in done.json["problems"] if problem["file"] == name]
    assert len(found) == 1, done.json
    assert found[0]["message"]
    assert found[0]["hint"]
    return found[0]


# the names that clients make

CONFLICTS = [
    "{n} (Anna's conflicted copy 2026-01-02).otpk",
    "{n} (Case Conflict).otpk",
    "{n}-LAPTOP.otpk",
    "{n} (2).otpk",
    "{n}-HOST-safeBackup-0001.otpk",
    "{n} (1).otpk",
    "{n} 2.otpk",
    "{n}.sync-conflict-20260102-101112-ABCDEFG.otpk",
    "{n} (conflicted copy 2026-01-02 101112).otpk",
    "{n} (conflicted copy anna 2026-01-02 101112).otpk",
    "{n} (case clash from anna).otpk",
    "{n}.Conflict.otpk",
    "{n} [conflicted].otpk",
    "{n} (SFConflict anna@example.org 2026-01-02-10-11-12).otpk",
    "{n}.otpk.conflict1",
    "{n}.otpk..path1",
]
PASSED_OVER = [
    ".{n}.otpk.icloud",
    ".syncthing.{n}.otpk.tmp",
    "~syncthing~{n}.otpk.tmp",
    ".{n}.otpk.~1a2b3c",
    ".sync_1a2b3c.db",
    ".sync_1a2b3c.db-wal",
    ".owncloudsync.log.1",
    "{n}.otpk.part",
    "{n}.otpk.filepart",
    "{n}.otpk.rsls",
    "{n}.!sync",
    "{n}.otpk.sbak",
    "{n}.otpk.1a2B3c4D.partial",
    ".stignore",
]
DIRECTORIES = [".dropbox.cache", ".tmp.drivedownload", ".tmp.driveupload", ".stfolder", ".stversions", ".sync"]


def test_a_conflict_copy_is_as_good_as_the_file_that_it_was(alpha: Device) -> None:
    # given: as many edits as there are spellings, and each edit's only file renamed to one of them
    alpha.run("import", "-", stdin=uri(900).encode()).ok()
    before = set(ours(alpha.folder))
    with alpha.daemon():
        for number in range(len(CONFLICTS)):
            alpha.add(uri(100 + number))
    for file, spelling in zip(sorted(set(ours(alpha.folder)) - before), CONFLICTS, strict=True):
        file.rename(file.with_name(spelling.format(n=file.stem)))
    # then: a fresh device has them all, and finds nothing wrong
    beta = heir(alpha)
    assert beta.recover()["waiting_for"] == []
    assert len(listed(beta)) == 2 + len(CONFLICTS)
    assert beta.run("verify").json["problems"] == []


def test_conflict_copies_beside_their_files_change_nothing_and_damaged_ones_are_named(alpha: Device) -> None:
    file = ours(alpha.folder)[0]
    whole = file.read_bytes()
    # given: a copy under every spelling
    copies = [file.with_name(spelling.format(n=file.stem)) for spelling in CONFLICTS]
    for copy in copies:
        copy.write_bytes(whole)
    # then: they are duplicates, and left where they are
    alpha.run("verify", "--depth", "rebuild").ok()
    assert len(heir(alpha).recover()["added"]) == 1
    # when: one after the other is cut short, then: verify names each
    for copy in copies:
        copy.write_bytes(_cut(whole))
    problems = alpha.run("verify").json["problems"]
    assert {problem["file"] for problem in problems} == {copy.name for copy in copies}
    # and: nothing else is lost, and none of them was touched
    assert len(listed(alpha)) == 1
    assert all(copy.read_bytes() == _cut(whole) for copy in copies)


def test_what_clients_keep_in_the_folder_for_themselves_is_passed_over(alpha: Device) -> None:
    file = ours(alpha.folder)[0]
    for spelling in PASSED_OVER:
        if not spelling.endswith(".icloud"):
            file.with_name(spelling.format(n="0" * 32)).write_bytes(b"otpkeep\0 half of something")
    for name in DIRECTORIES:
        (alpha.folder / name).mkdir()
        (alpha.folder / name / file.name).write_bytes(b"an older version")
    assert alpha.run("verify").ok().json["problems"] == []
    assert status(alpha)["problems"] == []
    assert len(heir(alpha).recover()["added"]) == 1


def test_a_file_that_is_not_downloaded_is_waited_for_and_never_opened(alpha: Device) -> None:
    # given: iCloud has put one file away and keeps a stand-in
    file = max(ours(alpha.folder), key=lambda path: path.stat().st_mtime_ns)
    data = file.read_bytes()
    stand_in = file.with_name(f".{file.name}.icloud")
    file.rename(stand_in)
    stand_in.write_bytes(b"bplist00 not our bytes")
    # then: it is said to be elsewhere, and neither published again nor called gone
    done = alpha.run("verify")
    assert done.code == 4
    assert "not downloaded" in done.json["problems"][0]["message"]
    listed(alpha)
    listed(alpha)
    assert not file.exists()
    # and: when it is there again, all is well
    stand_in.unlink()
    file.write_bytes(data)
    alpha.run("verify").ok()


def test_files_of_others_are_left_alone(alpha: Device) -> None:
    # given: a note, a picture, a link to nowhere, a pipe, and a file of another vault
    (alpha.folder / "note.txt").write_text("milk")
    (alpha.folder / "picture.jpg").write_bytes(b"\xff\xd8\xff" * 100)
    (alpha.folder / "link.otpk").symlink_to("/nowhere")
    other = Device(alpha.home.parent / "other", alpha.home.parent / "other-folder")
    other.init()
    foreign = ours(other.folder)[0]
    (alpha.folder / foreign.name).write_bytes(foreign.read_bytes())
    # then: everything works, and the other vault's file is named
    assert alpha.add(uri(2))["backed_up"] is True
    assert [p["file"] for p in alpha.run("verify").json["problems"]] == [foreign.name]
    with alpha.daemon():
        assert [problem["kind"] for problem in status(alpha)["problems"]] == ["other-vault"]
    # and: recovering asks which vault, and works once it is told
    beta = heir(alpha)
    done = beta.run("recover", alpha.folder, "--device", "beta")
    assert (done.code, done.error["kind"]) == (2, "ambiguous")
    beta.run("recover", alpha.folder, "--device", "beta", "--vault", status(alpha)["vault"]).ok()
    assert (alpha.folder / "note.txt").read_text() == "milk"


def test_a_file_over_the_mark_of_time_stays_pending_and_is_read_when_it_is_whole(
    three: tuple[Device, Device, Path], tmp_path: Path
) -> None:
    # given: a client that brings a file in two halves, and a daemon that looks in between
    alpha, _, file = three
    gamma = Device(tmp_path / "gamma", tmp_path / "slow")
    for path in alpha.folder.iterdir():
        if path != file:
            (gamma.folder / path.name).write_bytes(path.read_bytes())
    gamma.recover()
    with gamma.daemon():
        whole = file.read_bytes()
        with (gamma.folder / file.name).open("wb") as target:
            target.write(_cut(whole))
            target.flush()
            eventually(lambda: "pending" in _log(gamma) or file.name in _log(gamma), "the half was seen")
            assert [row["name"] for row in listed(gamma)] == ["konto1"]
            target.write(whole[len(_cut(whole)) :])
        # then: the edit is there as soon as the file is
        eventually(lambda: [row["name"] for row in listed(gamma)] == ["konto1", "konto2"], "the edit arrives")
    assert file_name((gamma.folder / file.name).read_bytes()) == file.name


def _log(device: Device) -> str:
    return (device.home.parent / f"{device.home.name}.log").read_text()


def _slots(folder: Path, kind: int) -> list[Path]:
    found = []
    for path in ours(folder):
        data = path.read_bytes()
        if sealing.read_header(data).type == sealing.SLOT and slots.slot_kind(data) == kind:
            found.append(path)
    assert len(found) == 2
    return found

