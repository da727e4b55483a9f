"""Every file system call of a command can fail or be the last: what was acknowledged stays, nothing is half there."""

from __future__ import annotations

from pathlib import Path

import pytest

from support_cli import Device, secret_file
from support_faults import Scene, Words, assert_withstands
from support_seen import add_accounts
from support_system import base32, eventually, listed, secret_of, uri
from support_watch import AegisFile


def an_account_to_add(device: Device) -> Words:
    device.init()
    device.add(uri(1))
    secret = secret_file(device.home.parent / "new.passphrase", base32(secret_of(2)))
    return ("add", "--issuer", "Beispiel", "--name", "konto2", "--secret-file", secret)


def an_edit_that_waits_to_be_published(device: Device) -> Words:
    device.init()
    device.run("backup", "off").ok()
    device.add(uri(1))
    device.add(uri(2))
    return ("backup", "on")


def a_folder_to_recover(device: Device) -> Words:
    other = Device(device.home.parent / "other", device.folder)
    other.init()
    other.add(uri(1))
    return ("recover", device.folder, "--device", "alpha")


def an_empty_folder(device: Device) -> Words:
    return ("init", "--folder", device.folder, "--device", "alpha")


def a_folder_to_move(device: Device) -> Words:
    device.init()
    device.add(uri(1))
    return ("folder", device.home.parent / "cloud" / "otpkeep")


def a_watched_file_that_two_have_changed(device: Device) -> Words:
    device.init()
    apps = device.home.parent / "apps"
    apps.mkdir()
    file = AegisFile(apps / "aegis.json", entries=3)
    device.run("watch", file.path, "--two-way").ok()
    account = next(row["id"] for row in listed(device) if row["name"] == "name0")
    file.change(lambda entries: entries[1].update(note="from there"))
    return ("edit", account, "--note", "from here")


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
    "compact": (files_to_merge_and_to_remove, 24),
    "add": (an_account_to_add, 24),
    "publish": (an_edit_that_waits_to_be_published, 16),
    "recover": (a_folder_to_recover, 16),
    "init": (an_empty_folder, 16),
    "folder": (a_folder_to_move, 16),
    "capture": (a_watched_file_that_two_have_changed, 24),
}


@pytest.mark.parametrize("what", SCENES)
def test_a_command_that_is_killed_or_fails_at_any_call_loses_nothing_and_invents_nothing(
    tmp_path: Path, what: str
) -> None:
    prepare, most = SCENES[what]
    assert_withstands(Scene(tmp_path, prepare), most=most)
