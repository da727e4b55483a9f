"""The writer lock: one process at a time, whatever becomes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from otpkeep_daemon import lock
from otpkeep_daemon.lock import holder, try_lock, wait_for_lock
from otpkeep_protocol.errors import Busy

HOLD = """
import fcntl, sys
f = open(sys.argv[1], "w")
fcntl.flock(f, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def never() -> bool:
    return False


def test_only_one_holds_it(tmp_path: Path) -> None:
    first = try_lock(tmp_path / "lock", "tests")
    assert first is not None

    assert try_lock(tmp_path / "lock", "tests") is None
    first.release()
    again = try_lock(tmp_path / "lock", "tests")

    assert again is not None
    again.release()


def test_it_says_who_holds_it(tmp_path: Path) -> None:
    held = try_lock(tmp_path / "lock", "daemon")
    assert held is not None

    assert holder(tmp_path / "lock") == f"{os.getpid()} daemon"
    held.release()


def test_others_of_this_machine_can_t_read_it(tmp_path: Path) -> None:
    held = try_lock(tmp_path / "lock", "daemon")
    assert held is not None
    held.release()

    assert (tmp_path / "lock").stat().st_mode & 0o077 == 0


def test_it_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert try_lock(path, "tests") is None
        process.kill()
        process.wait()

    held = try_lock(path, "tests")

    assert held is not None
    held.release()


def test_waiting_gets_it_when_it_is_let_go(tmp_path: Path) -> None:
    held = try_lock(tmp_path / "lock", "tests")
    assert held is not None
    timer = threading.Timer(0.1, held.release)
    timer.start()

    waited = wait_for_lock(tmp_path / "lock", "tests", never)

    timer.join()
    assert waited is not None
    waited.release()


def test_waiting_ends_when_it_is_no_longer_needed(tmp_path: Path) -> None:
    held = try_lock(tmp_path / "lock", "tests")
    assert held is not None

    assert wait_for_lock(tmp_path / "lock", "tests", lambda: True) is None
    held.release()


def test_waiting_in_vain_names_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE_S", 0.05)
    held = try_lock(tmp_path / "lock", "daemon")
    assert held is not None

    with pytest.raises(Busy, match=str(os.getpid())):
        wait_for_lock(tmp_path / "lock", "tests", never)
    held.release()
