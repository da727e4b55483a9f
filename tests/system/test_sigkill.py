"""SIGKILL at random moments, of many processes at once: what was acknowledged stays, and nothing is half there.

Of one command alone, killed at each of its calls, test_faults.py knows more; here it is about commands beside each
other, and under a daemon that starts or works.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support_cli import Device
from support_seen import sound, whole
from support_system import (
    answers,
    base32,
    begin,
    eventually,
    launch,
    listed,
    logged,
    secret_of,
    uri,
)

SWEEP = os.environ.get("OTPKEEP_SWEEP") == "all"
HOMES = 4 if SWEEP else 2
KILLS_PER_HOME = 52 if SWEEP else 24
EDITORS = 3
STARTS_WITHIN_S = 60.0
LONGEST_S = {"start": 0.5, "daemon": 0.25, "command": 0.15, "alone": 0.6}
"""Up to when a process is killed: a starting daemon, one at work, a command with one, a command without."""


class Ordeal:
    """One device that is killed again and again; `acknowledged` is what its commands said they had done."""

    def __init__(self, device: Device, seed: int) -> None:
        self.device = device
        self.kills = 0
        self.acknowledged: dict[str, tuple[str, int]] = {}
        self.odd: list[str] = []
        self._chance = random.Random(seed)
        self._number = 0

    def run(self) -> None:
        self.device.init()
        while self.kills < KILLS_PER_HOME:
            self._kill_a_starting_daemon()
            for _ in range(2):
                self._kill_a_daemon_at_work()
            for _ in range(2):
                self._kill_a_command_alone()

    def _kill_a_starting_daemon(self) -> None:
        self._kill(launch(self.device), "start")

    def _kill_a_daemon_at_work(self) -> None:
        """Kill two commands that a daemon serves, and then the daemon under several others."""
        daemon = launch(self.device)
        eventually(lambda: answers(self.device) or self._ended(daemon), "the daemon answers", STARTS_WITHIN_S)
        for _ in range(2):
            process, number = self._begin_add()
            self._kill(process, "command")
            self._note(process, number)
        editors = [self._begin_add() for _ in range(EDITORS)]
        self._kill(daemon, "daemon")
        for process, number in editors:
            self._note(process, number)

    def _kill_a_command_alone(self) -> None:
        process, number = self._begin_add()
        self._kill(process, "alone")
        self._note(process, number)

    def _ended(self, daemon: subprocess.Popen[bytes]) -> bool:
        assert daemon.poll() is None, "the store did not open: the daemon ended at once"
        return False

    def _begin_add(self) -> tuple[subprocess.Popen[bytes], int]:
        self._number += 1
        process = begin(self.device, ["add", "-"])
        assert process.stdin is not None
        process.stdin.write(uri(self._number).encode())
        process.stdin.close()
        process.stdin = None
        return process, self._number

    def _kill(self, process: subprocess.Popen[bytes], what: str) -> None:
        """Kill a process at a random moment, which counts if it was still alive."""
        try:
            process.wait(self._chance.uniform(0, LONGEST_S[what]))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.kills += 1

    def _note(self, process: subprocess.Popen[bytes], number: int) -> None:
        """Remember what a command acknowledged; one that failed must have said so, as always."""
        out, err = process.communicate(timeout=120)
        if process.returncode == 0:
            said = json.loads(out)
            self.acknowledged[said["id"]] = (said["event"], number)
        elif process.returncode > 0 and (b"unexpected" in err or b"Traceback" in err or not _is_failure(out)):
            self.odd.append(f"exit {process.returncode}: {out!r} {err.decode()[-300:]}")


def _is_failure(out: bytes) -> bool:
    try:
        return bool({"kind", "message", "hint"} <= json.loads(out)["error"].keys())
    except (ValueError, KeyError):
        return False


@pytest.mark.sweep
def test_nothing_acknowledged_is_lost_in_many_kills(tmp_path: Path) -> None:
    # given: several devices that are edited and killed at random moments, side by side
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    ordeals = [Ordeal(Device(tmp_path / f"d{n}", tmp_path / f"folder-{n}"), seed + n) for n in range(HOMES)]
    with ThreadPoolExecutor(HOMES) as threads:
        for done in [threads.submit(ordeal.run) for ordeal in ordeals]:
            done.result()
    # then: it was often enough, in all ways, and something was acknowledged
    assert sum(ordeal.kills for ordeal in ordeals) >= HOMES * KILLS_PER_HOME
    assert sum(len(ordeal.acknowledged) for ordeal in ordeals) >= HOMES * KILLS_PER_HOME / 2
    # and: on each, what was acknowledged is there, and all of it
    with ThreadPoolExecutor(HOMES) as threads:
        for checked in [threads.submit(_check, ordeal, tmp_path / f"heir-{n}") for n, ordeal in enumerate(ordeals)]:
            checked.result()
    # and: a command whose daemon was killed under it said so in the usual way
    assert [odd for ordeal in ordeals for odd in ordeal.odd] == []


def _check(ordeal: Ordeal, heir: Path) -> None:
    device = ordeal.device
    whole(device.folder)
    with device.daemon():
        accounts, log = listed(device), logged(device)
        done = device.run("backup", "now").ok().json
        verified = device.run("verify", "--depth", "rebuild").ok().json
    _acknowledged_is_there(ordeal.acknowledged, accounts, log)
    _log_is_whole(accounts, log)
    assert (done["backed_up"], done["pending"]) == (True, 0)
    assert (verified["ok"], verified["events"]) == (True, len(log))
    sound(device.home / "store.sqlite3")
    whole(device.folder)
    other = Device(heir, device.folder)
    other.recover()
    assert listed(other) == accounts


def _acknowledged_is_there(
    acknowledged: dict[str, tuple[str, int]], accounts: list[dict[str, Any]], log: list[dict[str, Any]]
) -> None:
    added = {row["account"]: row["event"] for row in log if row["kind"] == "account.add"}
    shown = {row["id"]: row["secret"] for row in accounts}
    for account, (event, number) in acknowledged.items():
        assert added[account] == event
        assert shown[account] == base32(secret_of(number))


def _log_is_whole(accounts: list[dict[str, Any]], log: list[dict[str, Any]]) -> None:
    """Each writer counts without a hole, each event is valid, and each add has its account with all its fields."""
    seqs: dict[str, list[int]] = {}
    for row in log:
        writer, seq = row["event"].split(".")
        seqs.setdefault(writer, []).append(int(seq))
        assert "problem" not in row
    for found in seqs.values():
        assert sorted(found) == list(range(1, len(found) + 1))
    assert len(seqs) == 1, "a killed process is no reason for another writer"
    assert sorted(row["id"] for row in accounts) == sorted(r["account"] for r in log if r["kind"] == "account.add")
    assert all(row["issuer"] and row["name"] and row["secret"] and row["ready"] for row in accounts)
