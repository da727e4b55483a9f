"""The names that cloud clients make in the folder, and those that nobody should."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otpkeep_protocol import sealing
from support_cli import Device
from support_system import heir, listed, of_type, ours, status, uri


@pytest.fixture
def alpha(tmp_path: Path) -> Device:
    """A device with one account."""
    made = Device(tmp_path / "alpha", tmp_path / "folder")
    made.init()
    made.add(uri(1))
    return made


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


@pytest.mark.parametrize("kind", [sealing.SEALED, sealing.SLOT], ids=["sealed", "slot"])
def test_conflict_copies_beside_their_files_change_nothing_and_damaged_ones_are_named(alpha: Device, kind: int) -> None:
    file = of_type(alpha.folder, kind)
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
        copy.write_bytes(whole[:-200])
    problems = alpha.run("verify").json["problems"]
    assert {problem["file"] for problem in problems} == {copy.name for copy in copies}
    # and: nothing else is lost, and none of them was touched
    assert len(listed(alpha)) == 1
    assert all(copy.read_bytes() == whole[:-200] for copy in copies)


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
    assert "not-here" in [problem["kind"] for problem in done.json["problems"]]
    assert file.name not in [problem["file"] for problem in done.json["problems"] if problem["kind"] == "missing"]
    listed(alpha)
    listed(alpha)
    assert not file.exists()
    # and: when it is there again, all is well
    stand_in.unlink()
    file.write_bytes(data)
    alpha.run("verify").ok()


@pytest.mark.parametrize("name", [b"\xff\xfe.otpk", b"a\nb\x1b[2J.otpk", b"x" * 250 + b".otpk", "ä 家 👪".encode()])
def test_no_name_in_the_folder_stops_anything(alpha: Device, name: bytes) -> None:
    # given: a damaged file under a name that no client should have made
    data = of_type(alpha.folder, sealing.SEALED).read_bytes()
    (alpha.folder / os.fsdecode(name)).write_bytes(data[:-1])
    # then: commands, the daemon and other devices work, and verify names the file for people and programs
    assert alpha.add(uri(2))["backed_up"] is True
    with alpha.daemon():
        assert alpha.add(uri(3))["backed_up"] is True
        assert alpha.run("status").ok().json["folder"]["reachable"]
        for as_json in (True, False):
            done = alpha.run("verify", json=as_json)
            assert (done.code, "defect" in done.err) == (4, False), done
            assert "\x1b" not in done.out
    assert len(heir(alpha).recover()["added"]) == 3


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
