"""The doctor: every finding is really caused, found, and gone once its repair is done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from otpkeep_protocol.naming import temporary_name
from support_cli import PROGRAM, Device, secret_file
from support_doctor import bound_row, findings, mounted, only_finding, repair, rows
from support_system import eventually, need, need_root, uri

DAY_S = 86_400
ROW = {"check", "ok", "message", "hint"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """A device with one account."""
    root = tmp_path_factory.mktemp("doctor")
    device = Device(root / "alpha", root / "folder")
    device.init()
    device.add(uri(1))
    return device


@pytest.fixture
def device(made: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    """That device, put back as it was, for a person whose home has no clients."""
    (tmp_path / "person").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    copy = Device(tmp_path / "alpha", tmp_path / "folder")
    for source, target in ((made.home, copy.home), (made.folder, copy.folder)):
        shutil.copytree(source, target, dirs_exist_ok=True)
        target.chmod(0o700)
    with sqlite3.connect(copy.home / "store.sqlite3") as store:
        store.execute("UPDATE meta SET value = ? WHERE key = 'folder'", (os.fsencode(copy.folder),))
    store.close()
    return copy


def failing(device: Device, **about: Any) -> set[str]:
    return {row["check"] for row in rows(device, **about) if row["ok"] is False}


def snapshot(*places: Path) -> dict[Path, tuple[int, bytes]]:
    found = [path for place in places for path in place.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mode, path.read_bytes()) for path in found}


# the whole


def test_a_machine_that_is_well_has_no_finding_but_that_no_daemon_runs(device: Device) -> None:
    before = snapshot(device.home, device.folder)
    done = device.run("doctor", env={"OTPKEEP_PASSPHRASE_FILE": None})
    # then: the report has its keys, and exit code 1 goes with a finding
    assert (done.code, done.json["ok"]) == (1, False)
    assert all(row.keys() == ROW for row in done.json["checks"])
    assert {row["check"] for row in done.json["checks"] if row["ok"] is False} <= {"daemon", "service"}
    # and: nothing was changed
    assert snapshot(device.home, device.folder) == before
    said = device.run("doctor", json=False).out.splitlines()
    assert said[0].startswith("! daemon: no daemon is running")
    assert "ok store: the store is whole" in said


def test_with_a_daemon_all_is_well_once_it_is_unlocked(device: Device, tmp_path: Path) -> None:
    with device.daemon(OTPKEEP_PASSPHRASE_FILE=""):
        # given: a locked daemon
        locked = next(row for row in findings(device, "daemon") if "locked" in row["message"])
        # when: the repair is done
        repair(device, locked["hint"])
        # then: nothing is left
        assert failing(device) <= {"service"}
        # and: what the daemon knows of is found as well
        file = tmp_path / "list.txt"
        file.write_text(f"{uri(2)}\n")
        device.run("watch", file).ok()
        file.write_text("")
        row = eventually(lambda: findings(device, "problems"), "the emptied file is found")[0]
        assert "otpkeep review" in row["hint"]


def test_where_nothing_is_set_up_that_is_the_finding(tmp_path: Path) -> None:
    device = Device(tmp_path / "alpha", tmp_path / "folder")
    assert failing(device) == {"set-up"}
    assert list(device.home.iterdir()) == []


def test_a_setting_up_that_was_interrupted_is_found(device: Device) -> None:
    with sqlite3.connect(device.home / "store.sqlite3") as store:
        store.execute("DELETE FROM meta WHERE key = 'ready'")
    store.close()
    assert "interrupted" in only_finding(device, "set-up")["message"]


def test_what_may_not_be_looked_at_is_said_and_stops_no_report(device: Device) -> None:
    device.home.chmod(0)
    row = bound_row(device, "store")
    assert (row["ok"], row["message"]) == (None, "it could not be checked: Permission denied")
    assert bound_row(device, "software")["ok"] is True
    device.home.chmod(0o700)
    assert bound_row(device, "store")["ok"] is True


# who can open it


@pytest.mark.parametrize(
    ("name", "mode"),
    [("", 0o750), ("", 0o777), ("store.sqlite3", 0o644), ("vault.aegis.json", 0o640), ("config.toml", 0o622)],
)
def test_files_that_others_can_open_are_found_and_closed(device: Device, name: str, mode: int) -> None:
    (device.home / name).chmod(mode)
    row = only_finding(device, "permissions")
    assert str(device.home / name) in row["message"]
    repair(device, row["hint"])
    assert not findings(device, "permissions")


def test_the_socket_of_a_daemon_is_looked_at(device: Device) -> None:
    with device.daemon():
        (device.home / "control.sock").chmod(0o666)
        row = only_finding(device, "permissions")
        assert "control.sock" in row["message"]
        repair(device, row["hint"])
        assert not findings(device, "permissions")


def test_a_directory_above_in_which_others_may_rename_is_found(device: Device) -> None:
    device.home.parent.chmod(0o777)
    row = only_finding(device, "permissions")
    assert "may exchange" in row["message"]
    repair(device, row["hint"])
    assert not findings(device, "permissions")
    # where only owners may rename, as in /tmp, it does no harm
    device.home.parent.chmod(0o1777)
    assert not findings(device, "permissions")


def test_files_of_another_user_are_found(device: Device) -> None:
    need_root("give files away")
    os.chown(device.home / "store.sqlite3", 65534, 65534)
    row = only_finding(device, "permissions")
    assert "another user" in row["message"]
    repair(device, row["hint"])
    assert not findings(device, "permissions")


def test_a_passphrase_file_that_others_can_open_or_that_is_gone_is_found(device: Device) -> None:
    device.passphrase_file.chmod(0o640)
    row = only_finding(device, "secret-files")
    repair(device, row["hint"])
    assert not findings(device, "secret-files")
    device.passphrase_file.unlink()
    assert "No such file" in only_finding(device, "secret-files")["message"]
    command = only_finding(device, "secret-files", OTPKEEP_PASSPHRASE_FILE="", OTPKEEP_PASSPHRASE_COMMAND="/nowhere x")
    assert "OTPKEEP_PASSPHRASE_COMMAND" in command["message"]
    assert "/nowhere" not in command["message"]


# settings and store


def test_every_mistake_in_the_settings_is_found_with_its_line_and_repaired(device: Device) -> None:
    (device.home / "config.toml").write_text("# mine\nlook_every_s = 0\nlook_evry_s = 5\n")
    first, second = findings(device, "config")
    assert "line 2" in first["message"]
    assert "line 3" in second["message"]
    repair(device, first["hint"])
    repair(device, second["hint"].partition("To take it out: ")[2])
    assert not findings(device, "config")
    assert (device.home / "config.toml").read_text() == "# mine\nlook_every_s = 60\n"


def test_a_damaged_store_is_found_and_the_rest_is_checked_all_the_same(device: Device) -> None:
    store = device.home / "store.sqlite3"
    data = bytearray(store.read_bytes())
    data[4096 : len(data)] = b"\xff" * (len(data) - 4096)
    store.write_bytes(data)
    assert "damaged" in findings(device, "store")[0]["message"]
    assert "recover" in findings(device, "store")[0]["hint"]
    found = {row["check"]: row["ok"] for row in rows(device)}
    assert found["permissions"] is True
    assert found["folder"] is None
    assert store.read_bytes() == data
    # and: what is no store at all
    store.write_bytes(b"no database" * 500)
    assert "damaged" in only_finding(device, "store")["message"]


def test_a_store_of_a_newer_otpkeep_is_found(device: Device) -> None:
    with sqlite3.connect(device.home / "store.sqlite3") as store:
        store.execute("PRAGMA user_version = 99")
    store.close()
    assert "newer" in only_finding(device, "store")["message"]


def test_the_log_that_a_killed_writer_left_stays_as_it_is(device: Device) -> None:
    with device.daemon() as daemon:
        device.add(uri(2))
        daemon.kill()
        daemon.wait()
    left = snapshot(device.home)
    assert device.home / "store.sqlite3-wal" in left
    assert "set-up" not in failing(device)
    after = snapshot(device.home)
    assert {path: after[path] for path in left if path.suffix != ".sqlite3-shm"} == {
        path: left[path] for path in left if path.suffix != ".sqlite3-shm"
    }


# the folder


def test_a_folder_that_is_gone_shared_or_only_here_is_found(device: Device) -> None:
    device.folder.chmod(0o777)
    row = only_finding(device, "folder")
    repair(device, row["hint"])
    assert not findings(device, "folder")
    device.folder.rename(device.folder.with_name("elsewhere"))
    assert "can't be reached" in only_finding(device, "folder")["message"]


def test_a_backup_that_is_off_is_found_and_turned_on(device: Device) -> None:
    device.run("backup", "off").ok()
    row = only_finding(device, "folder")
    assert "off" in row["message"]
    repair(device, row["hint"])
    assert not findings(device, "folder")


def test_a_plain_local_folder_is_no_backup(tmp_path: Path) -> None:
    device = Device(tmp_path / "alpha", tmp_path / "folder")
    device.run("init").ok()
    assert "not a backup" in only_finding(device, "folder")["message"]


def test_files_that_are_not_downloaded_are_found(device: Device) -> None:
    name = next(path.name for path in device.folder.iterdir() if path.suffix == ".otpk")
    (device.folder / name).rename(device.folder / f".{name}.icloud")
    assert name in only_finding(device, "downloads")["message"]


def test_a_full_or_read_only_disk_is_found(device: Device) -> None:
    with mounted("tmpfs", "none", device.folder, "size=1m,mode=700"):
        (device.folder / "films").write_bytes(bytes(1_000_000))
        assert "folder" in only_finding(device, "space")["message"]
        subprocess.run(["mount", "-o", "remount,ro", device.folder], check=True, timeout=60)
        assert "read-only" in only_finding(device, "folder")["message"]
        subprocess.run(["mount", "-o", "remount,rw,size=500m", device.folder], check=True, timeout=60)
        assert not findings(device, "folder")
        assert not findings(device, "space")


def test_a_store_in_memory_is_found(device: Device) -> None:
    with mounted("tmpfs", "none", device.home, "size=500m,mode=700"):
        assert "in memory" in only_finding(device, "store-place")["message"]


def test_a_folder_on_a_fuse_file_system_is_found_and_looked_at_more_often(device: Device, tmp_path: Path) -> None:
    need_root("mount for others")
    need("bindfs")
    shutil.copytree(device.folder, tmp_path / "real")
    if subprocess.run(
        ["bindfs", "-o", "nonempty", tmp_path / "real", device.folder], check=False, timeout=60
    ).returncode:
        pytest.skip("this machine has no FUSE")
    try:
        row = only_finding(device, "file-system")
        assert str(device.folder) in row["message"]
        repair(device, row["hint"])
        assert not findings(device, "file-system")
    finally:
        subprocess.run(["umount", "-l", device.folder], check=True, timeout=60)


def test_leftovers_of_a_crash_are_found_and_removed(device: Device) -> None:
    with sqlite3.connect(device.home / "store.sqlite3") as store:
        ((tag,),) = store.execute("SELECT value FROM meta WHERE key = 'tag'").fetchall()
    store.close()
    left = [device.folder / temporary_name(tag.decode(), "0011"), device.home / ".vault.aegis.json.0011"]
    others = [device.folder / temporary_name("otherdevice", "0011")]
    fresh = [device.home / ".config.toml.0011"]
    for path in (*left, *others, *fresh):
        path.touch(0o600)
    for path in (*left, *others):
        os.utime(path, (time.time() - DAY_S, time.time() - DAY_S))
    rows_found = findings(device, "temporaries")
    assert [row["message"].split()[0] for row in rows_found] == [str(path) for path in left]
    for row in rows_found:
        repair(device, row["hint"])
    assert not findings(device, "temporaries")
    assert all(path.exists() for path in (*others, *fresh))


# clients


def test_a_folder_that_two_clients_carry_is_found(device: Device, tmp_path: Path) -> None:
    home = tmp_path / "person"
    # given: Dropbox carries what is around the folder
    (home / ".dropbox").mkdir()
    (home / ".dropbox" / "info.json").write_text(f'{{"personal": {{"path": "{device.folder.parent}"}}}}')
    assert [
        row["message"] for row in findings(device, "sync") if "carries otpkeep's own data" not in row["message"]
    ] == []
    # when: Syncthing carries the folder as well
    (device.folder / ".stfolder").mkdir()
    # then: both are named
    said = [row["message"] for row in findings(device, "sync")]
    assert any("Dropbox" in message and "Syncthing" in message for message in said)


def test_a_store_that_a_client_carries_is_found(device: Device) -> None:
    assert not findings(device, "sync")
    (device.home / ".stfolder").mkdir()
    row = only_finding(device, "sync")
    assert "Syncthing carries otpkeep's own data" in row["message"]
    (device.home / ".stfolder").rmdir()
    assert not findings(device, "sync")


# watching


def test_watched_files_that_are_gone_or_closed_are_found(device: Device, tmp_path: Path) -> None:
    file = tmp_path / "lists" / "list.txt"
    file.parent.mkdir()
    file.write_text(f"{uri(2)}\n")
    device.run("watch", file, "--two-way").ok()
    assert not findings(device, "watched-files")
    # closed, for a user whom modes bind
    file.chmod(0)
    row = bound_row(device, "watched-files")
    assert "can't be read" in row["message"]
    repair(device, row["hint"])
    file.parent.chmod(0o500)
    row = bound_row(device, "watched-files")
    assert "can't be replaced" in row["message"]
    repair(device, row["hint"])
    assert bound_row(device, "watched-files")["ok"] is True
    # gone
    file.unlink()
    assert "is gone" in only_finding(device, "watched-files")["message"]


def test_a_system_without_watches_left_is_found_and_given_more(device: Device, tmp_path: Path) -> None:
    need_root("change what a process sees of the system's limits")
    need("unshare", "sysctl")
    for name in ("max_user_instances", "max_user_watches"):
        limit = tmp_path / name
        limit.write_text("1\n")
        doctor = " ".join([PROGRAM[0], "-c", f"'{PROGRAM[2]}'", "doctor", "--json"])
        place = f"/proc/sys/fs/inotify/{name}"
        script = (
            f'mount --bind {limit} {place} && {{ {doctor} > {tmp_path}/1; eval "$1"; {doctor} > {tmp_path}/2; true; }}'
        )
        hint = f"sysctl -q fs.inotify.{name}=100000"
        subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", hint], check=True, env=device.env, timeout=60)
        before, after = (_only(tmp_path / number, "inotify") for number in ("1", "2"))
        assert before["ok"] is False
        assert before["hint"].startswith(f"sudo sysctl fs.inotify.{name}=")
        assert after["ok"] is True


# the daemon


def test_a_daemon_that_lost_its_socket_is_found(device: Device) -> None:
    with device.daemon() as daemon:
        (device.home / "control.sock").unlink()
        row = only_finding(device, "daemon")
        assert f"process {daemon.pid}" in row["message"]
        assert "does not listen" in row["message"]
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0


def test_something_else_in_the_place_of_the_socket_is_found(device: Device) -> None:
    (device.home / "control.sock").write_text("")
    assert "in the way" in only_finding(device, "socket")["message"]


def test_a_clock_that_is_wrong_is_found(device: Device) -> None:
    assert not findings(device, "clock")
    assert "still to come" in only_finding(device, "clock", now_s=time.time() - 30 * DAY_S)["message"]
    assert "before otpkeep was written" in only_finding(device, "clock", now_s=1.0)["message"]


def test_a_secret_is_in_no_report(device: Device, tmp_path: Path) -> None:
    secret = secret_file(tmp_path / "pass", "a very secret passphrase")
    secret.chmod(0o644)
    said = device.run("doctor", json=False, env={"OTPKEEP_PASSPHRASE_FILE": str(secret)})
    assert str(secret) in said.out
    assert "a very secret passphrase" not in said.out + said.err


def _only(report: Path, check: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in json.loads(report.read_text())["checks"] if row["check"] == check)
    return found
