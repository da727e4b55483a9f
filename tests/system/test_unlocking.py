"""Unlocking by a key file, locking after a time without use, and a memory that others can't read: real daemons."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support_cli import PASSPHRASE, PROGRAM, Device
from support_system import answers, eventually, killed_at_the_end, need, status, uri

KEYLESS = {"OTPKEEP_PASSPHRASE_FILE": None}
PEEK = """
import sys
try:
    maps = open(f"/proc/{sys.argv[1]}/maps").read()
    memory = open(f"/proc/{sys.argv[1]}/mem", "rb")
except PermissionError:
    sys.exit(13)
"""


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "alpha", tmp_path / "folder")


def locked(device: Device) -> bool:
    found: bool = status(device)["daemon"]["locked"]
    return found


def test_a_key_file_is_only_made_on_a_plain_word_and_unlocks_every_start(device: Device, tmp_path: Path) -> None:
    # when: it is asked for without that word
    refused = device.run("init", "--folder", device.folder, "--remember", "file")
    assert (refused.code, refused.error["kind"]) == (2, "usage")
    assert "whoever can read your files" in refused.error["message"]
    assert "--yes" in refused.error["hint"]
    assert not (device.home / "store.sqlite3").exists()
    # when: with it
    device.run("init", "--folder", device.folder, "--remember", "file", "--yes").ok()
    device.add(uri(1))
    (file,) = device.home.glob("unlock-*.key")
    assert file.stat().st_mode & 0o777 == 0o600
    # then: a daemon that is given nothing works with the accounts, and again after a crash
    for _ in range(2):
        with device.daemon(OTPKEEP_PASSPHRASE_FILE="") as daemon:
            assert status(device)["unlocks_by"] == "file"
            assert device.run("list", env=KEYLESS).ok().json
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
    # and: what is on the disk is not the passphrase, and does not go to another device that recovers
    assert all(PASSPHRASE.encode() not in path.read_bytes() for path in device.home.iterdir() if path.is_file())
    beta = Device(tmp_path / "beta", device.folder)
    beta.recover()
    assert status(beta)["unlocks_by"] == "none"
    # when: the person changes their mind while the daemon runs
    with device.daemon(OTPKEEP_PASSPHRASE_FILE=""):
        assert device.run("unlock", "--remember", "none", env=KEYLESS).ok().json == {"unlocks_by": "none"}
        assert not file.exists()
        assert not locked(device)
    # then: the next one starts locked, and can be told to remember again as it is unlocked
    with device.daemon(OTPKEEP_PASSPHRASE_FILE=""):
        assert locked(device)
        device.run("unlock", "--remember", "file", "--yes").ok()
        assert not locked(device)
    with device.daemon(OTPKEEP_PASSPHRASE_FILE=""):
        assert not locked(device)


def test_a_daemon_that_nobody_uses_locks_itself_and_keeps_mirroring(device: Device) -> None:
    device.run("init", "--folder", device.folder, "--remember", "file", "--yes").ok()
    (device.home / "config.toml").write_text("lock_after_s = 1\nlook_every_s = 1\n")
    with device.daemon(OTPKEEP_PASSPHRASE_FILE=""):
        # then: it locks, though the key file is there, and says why
        eventually(lambda: locked(device), "it locks itself")
        (problem,) = [p for p in status(device)["problems"] if p["kind"] == "locked"]
        assert "nobody used it for 1 seconds" in problem["message"]
        assert "auto-lock" in [job["name"] for job in status(device)["jobs"]]
        # and: a command with the passphrase works, and what it made is in the folder
        assert device.add(uri(1))["backed_up"] is True
        assert locked(device)
        # and: without one, `unlock` takes the key file
        assert device.run("unlock", env=KEYLESS).ok().json == {"locked": False}


def test_no_other_process_of_the_user_reads_the_daemon_s_memory(device: Device) -> None:
    need("setpriv")
    device.init()
    # given: as root, without what lets root read every memory
    plain = ["setpriv", "--bounding-set=-sys_ptrace,-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    words = [*plain, *PROGRAM, "daemon", "run"]
    with killed_at_the_end(subprocess.Popen(words, env=device.env, stdin=subprocess.DEVNULL)) as daemon:
        eventually(lambda: answers(device), "the daemon answers")
        with killed_at_the_end(subprocess.Popen([*plain, "sleep", "60"])) as other:
            peek = [*plain, sys.executable, "-c", PEEK]
            assert subprocess.run([*peek, str(daemon.pid)], check=False).returncode == 13
            if plain:
                assert subprocess.run([*peek, str(other.pid)], check=False).returncode == 0
        # and: it publishes as it always does
        assert device.add(uri(1))["backed_up"] is True
        assert resource.prlimit(daemon.pid, resource.RLIMIT_CORE) == (0, 0)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(10) == 0
