"""Every file system call of a command can fail or be the last: what was acknowledged stays, nothing is half there."""

from __future__ import annotations

from pathlib import Path

import pytest

from support_cli import Device, secret_file
from support_faults import Scene, Words, assert_withstands
from support_seen import add_accounts
from support_strace import KILL
from support_system import base32, eventually, heir, listed, ours, secret_of, uri
from support_watch import AegisFile

pytestmark = pytest.mark.sweep


def an_account_to_add(device: Device) -> Words:
    device.init()
    device.add(uri(1))
    secret = secret_file(device.home.parent / "new.passphrase", base32(secret_of(2)))
    return ("add", "--issuer", "Beispiel", "--name", "konto2", "--secret-file", secret)


def edits_that_wait_to_be_published(device: Device) -> Words:
    device.init()
    away = device.folder.rename(device.home.parent / "away")
    add_accounts(device, (1, 2))
    away.rename(device.folder)
    return ("backup", "now")


def a_folder_to_recover(device: Device) -> Words:
    other = Device(device.home.parent / "other", device.folder)
    other.init()
    other.add(uri(1))
    return ("recover", device.folder, "--device", "alpha")


def an_empty_folder(device: Device) -> Words:
    return ("init", "--folder", device.folder, "--device", "alpha")


def a_folder_to_move(device: Device) -> Words:
    """The old folder has an edit of another device, and the new one another, but lacks what the old one has."""
    new = device.home.parent / "cloud" / "otpkeep"
    device.init()
    add_accounts(device, (1, 2))
    beta = heir(device)
    beta.recover()
    add_accounts(beta, (5,))
    beta.run("folder", new).ok()
    add_accounts(beta, (6,))
    for path in ours(device.folder):
        (new / path.name).unlink()
    return ("folder", new)


def aegis_file(device: Device, *, there: bool = True) -> AegisFile:
    path = device.home.parent / "apps" / "aegis.json"
    path.parent.mkdir(exist_ok=True)
    return AegisFile(path, entries=3, there=there)


def a_watched_file(device: Device) -> Words:
    device.init()
    device.run("watch", aegis_file(device, there=False).path, "--two-way").ok()
    account = next(row["id"] for row in listed(device) if row["name"] == "name0")
    return ("edit", account, "--note", "from here")


def a_watched_file_that_the_other_program_has_changed(device: Device) -> Words:
    words = a_watched_file(device)
    change(device)
    return words


def change(device: Device) -> None:
    """Have the other program edit its file."""
    aegis_file(device).change(lambda entries: entries[1].update(note="from there"))


def notes(device: Device) -> list[tuple[str, str]]:
    return [(entry["name"], entry["note"]) for entry in aegis_file(device).read()["db"]["entries"]]


def files_to_merge_and_to_remove(device: Device) -> Words:
    """Some files were merged and may go, since their quarantine is over, and later ones are to be merged."""
    device.init()
    add_accounts(device, range(9))
    device.run("compact").ok()
    (device.home / "config.toml").write_text("quarantine_s = 1\n")
    add_accounts(device, range(9, 18))
    eventually(lambda: device.run("compact", "--dry-run").ok().json["removed"], "a quarantine of a second is over")
    return ("compact",)


SCENES = {
    "add": (an_account_to_add, 24),
    "publish": (edits_that_wait_to_be_published, 16),
    "recover": (a_folder_to_recover, 16),
    "init": (an_empty_folder, 16),
    "folder": (a_folder_to_move, 16),
    "compact": (files_to_merge_and_to_remove, 24),
}
"""Each with about how many faults are taken of it, but in a full sweep."""


@pytest.mark.parametrize("what", SCENES)
def test_a_command_that_is_killed_or_fails_at_any_call_loses_nothing_and_invents_nothing(
    tmp_path: Path, what: str
) -> None:
    prepare, most = SCENES[what]
    assert_withstands(Scene(tmp_path, prepare), most=most)


def test_a_store_that_the_disk_fails_to_read_is_not_called_damaged(tmp_path: Path) -> None:
    # SQLite calls it malformed, and who believes it sets a sound store aside
    scene = Scene(tmp_path, an_account_to_add)
    assert_withstands(scene, most=6, among=lambda fault: fault.what == "EIO" and fault.place.call == "pread64")


def test_a_capture_and_a_write_back_that_fail_anywhere_make_one_event_each_or_none(tmp_path: Path) -> None:
    scene = Scene(tmp_path, a_watched_file_that_the_other_program_has_changed, shown=notes)
    assert_withstands(scene, most=20)


def test_a_file_that_changes_after_a_write_back_was_cut_off_is_never_undone(tmp_path: Path) -> None:
    scene = Scene(tmp_path, a_watched_file, meanwhile=change, shown=notes)
    assert_withstands(scene, most=10, among=lambda fault: fault.what == KILL and fault.place.call in WRITE_BACK)


WRITE_BACK = ("renameat2", "renameat", "linkat", "fsync", "fdatasync", "fchmod", "unlinkat")
"""The calls by which a write-back changes anything that outlives its process."""
