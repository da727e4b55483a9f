"""init, recover, and the daemon: from the first device to the second."""

import json
import shutil
from pathlib import Path

import pytest

from support_cli import PASSPHRASE, Device, secret_file

URI = "otpauth://totp/Acme:me?secret=JBSWY3DPEHPK3PXP"
MOMENT = "2033-05-18T03:33:20Z"


@pytest.fixture
def laptop(tmp_path: Path) -> Device:
    return Device(tmp_path / "laptop", tmp_path / "folder")


@pytest.fixture
def phone(tmp_path: Path, laptop: Device) -> Device:
    return Device(tmp_path / "phone", laptop.folder)


def test_init_without_a_folder_says_that_it_is_no_backup(laptop: Device) -> None:
    result = laptop.run("init").ok()
    assert Path(result.json["folder"]).is_relative_to(laptop.home)
    assert "not a backup" in result.err
    assert laptop.run("status").ok().json["folder"]["local_only"] is True


def test_init_off_a_terminal_names_the_clouds_and_the_command_for_each(laptop: Device, tmp_path: Path) -> None:
    home = tmp_path / "the home"
    for place in ("Dropbox", "Firma", ".dropbox"):
        (home / place).mkdir(parents=True)
    places = {"personal": {"path": str(home / "Dropbox")}, "business": {"path": str(home / "Firma")}}
    (home / ".dropbox/info.json").write_text(json.dumps(places))
    Device(tmp_path / "other", home / "Firma" / "otpkeep").init()
    env = {"HOME": str(home), "XDG_CONFIG_HOME": None, "XDG_STATE_HOME": None}
    result = laptop.run("init", env=env).ok()
    assert result.json.keys() == {"vault", "device", "folder", "recovery_code"}
    assert f"otpkeep folder '{home}/Dropbox/otpkeep'" in result.err
    assert f"otpkeep recover '{home}/Firma/otpkeep'" in result.err
    # and: that command does it
    laptop.run("folder", home / "Dropbox" / "otpkeep").ok()
    assert laptop.run("status").ok().json["folder"]["local_only"] is False


def test_init_shows_the_recovery_code_once_with_advice(laptop: Device) -> None:
    result = laptop.run("init", "--folder", laptop.folder, json=False).ok()
    assert "Write the recovery code down" in result.out


def test_a_short_passphrase_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    device = Device(tmp_path / "laptop", tmp_path / "folder", passphrase="short")
    told = device.run("init", "--folder", device.folder)
    assert (told.code, told.error["kind"]) == (1, "refused")
    assert list(device.folder.iterdir()) == []


def test_a_folder_that_holds_a_vault_is_not_overwritten(laptop: Device, phone: Device) -> None:
    laptop.init()
    before = sorted(laptop.folder.iterdir())
    told = phone.run("init", "--folder", phone.folder)
    assert (told.code, told.error["kind"]) == (1, "refused")
    assert "recover" in told.error["hint"]
    assert sorted(laptop.folder.iterdir()) == before


def test_a_second_device_gives_the_same_codes(laptop: Device, phone: Device) -> None:
    vault = laptop.init()["vault"]
    account = laptop.add(URI)["id"]
    recovered = phone.recover()
    assert (recovered["vault"], recovered["ready"], recovered["needs_action"]) == (vault, [account], [])
    codes = [device.run("code", "acme", "--at", MOMENT).ok().json for device in (laptop, phone)]
    assert codes[0] == codes[1]
    names = {row["name"]: row["this"] for row in phone.run("devices").ok().json}
    assert names == {"laptop": False, "phone": True}
    assert phone.run("devices", "list").ok().json == phone.run("devices").ok().json


def test_recover_says_what_gives_codes_and_what_needs_action(laptop: Device, phone: Device) -> None:
    laptop.init()
    laptop.add(URI)
    kept = laptop.add(URI.replace("Acme", "Bank").replace("PXP", "PXQ"), "--placeholder")["id"]
    text = phone.run("recover", phone.folder, json=False).ok().out
    found, _, result = text.partition("This device is")
    assert "2 accounts, 5 events." in found
    assert "5 events, the last at " in found
    assert "Digest: " in found
    assert "1 account gives codes now." in result
    assert f"{kept[:8]}  Bank (me): set up again" in result
    assert "set up again" in phone.run("list", json=False).ok().out
    told = phone.run("code", "bank")
    assert (told.code, bool(told.error["hint"])) == (1, True)


def test_recover_answers_in_stable_keys_and_nothing_else(laptop: Device, phone: Device) -> None:
    laptop.init()
    laptop.add(URI)
    kept = laptop.add(URI.replace("Acme", "Bank").replace("PXP", "PXQ"), "--placeholder")["id"]
    answer = phone.recover()
    assert answer.keys() >= {"added", "changed", "unchanged", "skipped", "ready", "needs_action", "backed_up"}
    assert answer.keys() >= {"vault", "device", "devices", "waiting_for", "digest"}
    (action,) = answer["needs_action"]
    assert (action["id"], action["issuer"], action["name"]) == (kept, "Bank", "me")
    assert action["reason"].startswith("set up again")
    assert (answer["backed_up"], answer["waiting_for"]) == (True, [])


def test_recover_says_what_is_missing_before_it_ends(laptop: Device, phone: Device, tmp_path: Path) -> None:
    # given: a folder without one of the first device's files, to which a later one refers, and with a damaged file
    laptop.init()
    before = set(laptop.folder.iterdir())
    laptop.add(URI)
    (withheld,) = set(laptop.folder.iterdir()) - before
    laptop.add(URI.replace("Acme", "Bank").replace("PXP", "PXQ"))
    shutil.copytree(laptop.folder, tmp_path / "part")
    (tmp_path / "part" / withheld.name).write_bytes(b"")
    digest = laptop.run("status", "--digest", f"0-{'0' * 16}").json["digest"]
    told = phone.run("recover", tmp_path / "part", "--digest", digest, json=False)
    assert told.code == 4  # it is set up all the same
    found, _, result = told.out.partition("This device is")
    for part in (found, result):
        assert "Incomplete: waiting for 1 event of laptop" in part
        assert "! this device lacks at least 1 event of that digest\n  Let both devices sync" in part
    assert "1 file can't be read yet" in found
    assert "1 account gives codes now." in result


def test_the_digest_that_recover_shows_first_is_that_of_a_device_in_step(laptop: Device, phone: Device) -> None:
    laptop.init()
    laptop.add(URI)
    with laptop.daemon():
        digest = laptop.run("status").ok().json["digest"]
    text = phone.run("recover", phone.folder, "--digest", digest, json=False).ok().out
    found, _, result = text.partition("This device is")
    assert f"Digest: {digest}." in found
    assert "the same: this device holds exactly the events of that digest" in found
    assert "that digest" not in result
    # and: the phone is ahead by what it wrote itself, until the laptop has that as well
    later = phone.run("status", "--digest", digest).ok().json
    assert (later["comparison"]["verdict"], later["comparison"]["events"], later["complete"]) == ("ahead", 2, True)
    behind = laptop.run("status", "--digest", later["digest"], json=False).ok().out
    assert "Digest: the same: this device holds exactly the events of that digest" in behind
    # and: a digest of a vault that nobody knows here is doubtful, and what is none is no question
    other = laptop.run("status", "--digest", "2-0123456789abcdef")
    assert (other.code, other.json["comparison"]["verdict"]) == (4, "unclear")
    assert laptop.run("status", "--digest", "0123").code == 2
    # and: there is nothing to accept
    assert "There was nothing to accept." in laptop.run("accept-rollback", json=False).ok().out


def test_the_recovery_code_sets_a_new_passphrase(laptop: Device, phone: Device, tmp_path: Path) -> None:
    code = laptop.init()["recovery_code"]
    laptop.add(URI)
    code_file = secret_file(tmp_path / "code", code.lower().replace("-", " "))
    fresh = secret_file(tmp_path / "fresh", "a wholly different passphrase")
    words = ["recover", str(phone.folder), "--code-file", str(code_file)]
    phone.run(*words, env={"OTPKEEP_NEW_PASSPHRASE_FILE": str(fresh)}).ok()
    assert phone.run("list", env={"OTPKEEP_PASSPHRASE_FILE": str(fresh)}).ok().json
    third = Device(tmp_path / "third", laptop.folder, passphrase="a wholly different passphrase")
    assert len(third.recover()["ready"]) == 1


@pytest.mark.parametrize("code", ["81VX6", "not a code", "0" * 40, "\N{SNOWMAN}"])
def test_a_code_that_is_none_changes_nothing(laptop: Device, phone: Device, tmp_path: Path, code: str) -> None:
    laptop.init()
    told = phone.run("recover", phone.folder, "--code-file", secret_file(tmp_path / "code", code))
    assert told.code in {1, 3}, told.out
    assert told.error["hint"]
    assert phone.recover()["ready"] == []


def test_a_wrong_passphrase_exits_3_and_the_right_one_works_after(laptop: Device, tmp_path: Path) -> None:
    laptop.init()
    phone = Device(tmp_path / "phone", laptop.folder, passphrase="not the right one")
    told = phone.run("recover", phone.folder)
    assert (told.code, told.error["kind"]) == (3, "wrong-passphrase")
    secret_file(phone.passphrase_file, PASSPHRASE)
    phone.recover()


@pytest.mark.parametrize(("name", "code"), [("missing", 5), ("empty", 1)])
def test_a_folder_without_a_vault_is_told(phone: Device, tmp_path: Path, name: str, code: int) -> None:
    (tmp_path / "empty").mkdir()
    told = phone.run("recover", tmp_path / name)
    assert told.code == code, told.out
    assert told.error["hint"]


def test_a_folder_of_two_vaults_needs_a_choice(laptop: Device, phone: Device, tmp_path: Path) -> None:
    vault = laptop.init()["vault"]
    other = Device(tmp_path / "other", tmp_path / "second")
    other.init()
    for path in other.folder.glob("*.otpk"):
        (laptop.folder / path.name).write_bytes(path.read_bytes())
    told = phone.run("recover", phone.folder)
    assert (told.code, told.error["kind"]) == (2, "ambiguous")
    assert phone.run("recover", phone.folder, "--vault", vault).ok().json["vault"] == vault


def test_the_daemon_serves_every_command_and_stops_cleanly(laptop: Device) -> None:
    laptop.init()
    with laptop.daemon() as process:
        laptop.add(URI)
        status = laptop.run("status").ok().json
        assert (status["daemon"]["running"], status["daemon"]["locked"], status["accounts"]) == (True, False, 1)
        assert laptop.run("code", "acme", env={"OTPKEEP_PASSPHRASE_FILE": None}).ok().json["code"]
        told = laptop.run("daemon", "run")
        assert (told.code, bool(told.error["hint"])) == (1, True)
    assert process.returncode == 0
    assert len(laptop.run("list").ok().json) == 1


def test_a_locked_daemon_works_after_unlock_and_not_after_lock(laptop: Device) -> None:
    laptop.init()
    laptop.add(URI)
    keyless = {"OTPKEEP_PASSPHRASE_FILE": None}
    with laptop.daemon(OTPKEEP_PASSPHRASE_FILE=""):
        assert laptop.run("list", env=keyless).code == 3
        assert laptop.run("unlock").ok().json == {"locked": False}
        assert laptop.run("list", env=keyless).ok().json
        assert laptop.run("lock").ok().json == {"locked": True}
        assert laptop.run("list", env=keyless).code == 3
        assert laptop.run("list").ok().json


def test_code_through_the_daemon_loads_nothing_heavy(laptop: Device) -> None:
    laptop.init()
    laptop.add(URI)
    with laptop.daemon():
        loaded = laptop.run("code", "acme", env={"PYTHONPROFILEIMPORTTIME": "1"}).ok().err
    names = {line.rpartition("|")[2].strip().partition(".")[0] for line in loaded.splitlines()}
    assert "otpkeep_cli" in names
    assert not names & {"cryptography", "rich", "watchdog", "apscheduler", "sqlite3", "pyotp", "platformdirs.unix"}
