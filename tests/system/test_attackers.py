"""What an attacker can do who has one of the things that a person can lose, with the real program."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from support_cli import PASSPHRASE, Device, Result, secret_file
from support_system import carry, heir, listed, status, uri

NEW = "a new passphrase of several words"
KEYLESS = {"OTPKEEP_PASSPHRASE_FILE": None}
NEEDING_KEYS = (["list"], ["code", "konto1"], ["log"], ["verify"])


def test_a_thief_of_the_disk_gets_nothing_out_of_it_without_the_passphrase(tmp_path: Path) -> None:
    # given: all that lay on a disk: home and folder, of a person who had nothing remembered
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    alpha.init()
    account = alpha.add(uri(1), "--note", "unter der Treppe")["id"]
    stolen = Device(tmp_path / "stolen", tmp_path / "copy", "guessed at")
    shutil.copytree(alpha.home, stolen.home, dirs_exist_ok=True)
    shutil.copytree(alpha.folder, stolen.folder, dirs_exist_ok=True)
    # then: no command gives anything away, neither without a passphrase nor with another
    for words in NEEDING_KEYS:
        for done in (stolen.run(*words, env=KEYLESS), stolen.run(*words)):
            assert done.code == 3, (words, done)
            assert "konto1" not in done.out + done.err
    thief = Device(tmp_path / "thief", stolen.folder, "guessed at")
    assert thief.run("recover", thief.folder, "--device", "thief").error["kind"] == "wrong-passphrase"
    # and: what the store shows are ids, counts, sizes and times, as SECURITY.md says
    with closing(sqlite3.connect(stolen.home / "store.sqlite3")) as store:
        assert store.execute("SELECT COUNT(*) FROM events WHERE account = ?", (bytes.fromhex(account),)).fetchone()[0]
    seen = b"".join(path.read_bytes() for path in stolen.home.rglob("*") if path.is_file())
    assert not [word for word in ("konto1", "Beispiel", "Treppe", PASSPHRASE) if word.encode() in seen]


def test_an_old_passphrase_opens_copies_of_then_and_no_device_that_has_seen_the_new_one(tmp_path: Path) -> None:
    # given: a copy of the folder as it was when somebody learned the passphrase
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    code = secret_file(tmp_path / "code", alpha.init()["recovery_code"])
    alpha.add(uri(1))
    copy = tmp_path / "copy"
    shutil.copytree(alpha.folder, copy)
    # when: the person sets a new one, and adds another account
    new = secret_file(tmp_path / "new", NEW)
    beta = heir(alpha)
    setting = {**KEYLESS, "OTPKEEP_NEW_PASSPHRASE_FILE": str(new)}
    beta.run("recover", alpha.folder, "--device", "beta", "--code-file", code, env=setting).ok()
    with_new = {"OTPKEEP_PASSPHRASE_FILE": str(new)}
    assert _names(alpha.run("list", env=with_new)) == {"konto1"}
    beta.run("add", "-", stdin=uri(2).encode(), env=with_new).ok()
    # then: the old one opens neither device that has seen the new one
    for device in (alpha, beta):
        assert device.run("list").code == 3
    # but: it opens the copy, and the folder itself, where the replaced slot stays; it is told, and so are the others
    thief = Device(tmp_path / "thief", copy)
    thief.recover()
    assert _names(thief.run("list")) == {"konto1"}
    again = Device(tmp_path / "again", alpha.folder)
    done = again.run("recover", alpha.folder, "--device", "again").ok()
    assert done.json["replaced_passphrase"] is True
    assert len(done.json["ready"]) == 2
    told = _problems(alpha, with_new)
    assert [row for row in told if row["kind"] == "new-device"]


def test_a_device_that_joins_is_told_of_on_every_other(tmp_path: Path) -> None:
    # given: two devices; when: somebody who knows the passphrase recovers elsewhere from a copy of the folder
    alpha, beta = Device(tmp_path / "alpha", tmp_path / "folder-a"), Device(tmp_path / "beta", tmp_path / "folder-b")
    alpha.init()
    carry(alpha.folder, beta.folder)
    beta.recover()
    stranger = Device(tmp_path / "stranger", tmp_path / "folder-c")
    carry(beta.folder, stranger.folder)
    joined = stranger.recover()["device"]
    # then: it is named by both, as soon as its files arrive
    for device in (alpha, beta):
        carry(beta.folder, device.folder)
        carry(stranger.folder, device.folder)
        assert joined in [row["subject"] for row in _problems(device, {}) if row["kind"] == "new-device"]


def test_an_import_can_t_change_an_account_unseen(tmp_path: Path) -> None:
    # given: an account, and a file that says otherwise about it
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    alpha.init()
    account = alpha.add(uri(1))["id"]
    before = listed(alpha)
    hostile = "\n".join([uri(1, more="&digits=8"), "otpauth://totp/x?secret=", "no uri at all", uri(3)])
    # when: it is imported
    answer: dict[str, Any] = alpha.run("import", "-", stdin=hostile.encode()).ok().json
    # then: every entry is accounted for, each change is an event, and undo brings all of it back
    assert len(answer["added"]) + len(answer["changed"]) + len(answer["unchanged"]) + len(answer["skipped"]) == 4
    assert len(answer["skipped"]) == 2
    changed = [*answer["added"], *answer["changed"]]
    assert {row["account"] for row in alpha.run("log").ok().json if row["account"]} == {account, *changed}
    for _ in changed:
        alpha.run("undo").ok()
    assert listed(alpha) == [{**row, "changed": now["changed"]} for row, now in zip(before, listed(alpha), strict=True)]


def _names(done: Result) -> set[str]:
    return {row["name"] for row in done.ok().json}


def _problems(device: Device, env: dict[str, str]) -> list[dict[str, str]]:
    """Return what `status` shows once a look at the folder was made, and the keys were there."""
    device.run("backup", "now", env=env).ok()
    found: list[dict[str, str]] = status(device)["problems"]
    return found
