"""Compaction on the real process: killed at each of its system calls, and under load with a reader beside it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from support_cli import Device
from support_system import (
    bounded,
    calls_of,
    carry,
    eventually,
    heir,
    listed,
    logged,
    need,
    ours,
    pair,
    picture,
    under_strace,
    uri,
)

pytestmark = pytest.mark.xdist_group("compaction-kills")  # they share one template
CALLS = ("linkat", "unlink", "unlinkat", "fsync", "fdatasync", "pwrite64")
KILLS = 2
"""At how many calls of a kind the process is killed, but in a full sweep."""
ACCOUNTS = 20


def short_quarantine(device: Device) -> None:
    (device.home / "config.toml").write_text("quarantine_s = 1\n")


def removable_after_the_quarantine(device: Device) -> set[str]:
    """Wait until the files that were replaced first may go, and return their names."""

    def removed() -> list[str]:
        found: list[str] = device.run("compact", "--dry-run").ok().json["removed"]
        return found

    return set(eventually(removed, "a quarantine of a second is over"))


class Template:
    """A device with replaced files that may go, and further runs to merge; `reset` brings it all back."""

    def __init__(self, root: Path) -> None:
        self.device = Device(root / "alpha", root / "folder")
        self.device.init()
        for number in range(ACCOUNTS // 2):
            self.device.add(uri(number))
        self.device.run("compact").ok()
        short_quarantine(self.device)  # only now: else a slow compaction sees the end of it and removes them itself
        for number in range(ACCOUNTS // 2, ACCOUNTS):
            self.device.add(uri(number))
        self.removable = removable_after_the_quarantine(self.device)
        self.accounts, self.log = picture(self.device)
        self._kept = root / "kept"
        for path in (self.device.home, self.device.folder):
            shutil.copytree(path, self._kept / path.name)

    def reset(self) -> None:
        for path in (self.device.home, self.device.folder):
            shutil.rmtree(path)
            shutil.copytree(self._kept / path.name, path)


def check_whole(template: Template, heir_home: str) -> None:
    """Check that the device goes on as if nothing had been, and that a fresh one recovers from the folder as it is."""
    device = template.device
    for path in ours(device.folder):
        assert path.name == hashlib.sha256(path.read_bytes()).hexdigest()[:32] + ".otpk"
    fresh = heir(device, heir_home)
    recovered = fresh.recover()
    assert recovered["waiting_for"] == []
    assert listed(fresh) == template.accounts
    assert listed(device) == template.accounts
    events = {row["event"] for row in logged(device)}
    assert {row["event"] for row in template.log} <= events == {row["event"] for row in logged(fresh)}
    assert device.run("verify", "--depth", "rebuild").ok().json["problems"] == []


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("compaction"))


@pytest.mark.parametrize("call", CALLS)
def test_a_compaction_killed_at_any_system_call_loses_nothing(template: Template, tmp_path: Path, call: str) -> None:
    need("strace")
    # given: a compaction that is not disturbed, and does its work
    places = calls_of(template.device, [call], tmp_path / "calls", "compact")
    check_whole(template, f"{call}-0")
    assert not template.removable & {path.name for path in ours(template.device.folder)}
    for _, at in bounded(places, KILLS):
        # when: it is killed at one of its calls
        template.reset()
        assert under_strace(template.device, call, "compact", fault=f"signal=SIGKILL:when={at}") == -9
        # then: nothing is lost
        check_whole(template, f"{call}-{at}")
    template.reset()


def test_compaction_under_load_loses_nothing_and_a_fresh_device_recovers_at_every_moment(tmp_path: Path) -> None:
    # given: a daemon that compacts every second while commands edit, and another device that reads meanwhile
    alpha, beta = pair(tmp_path)
    for device in (alpha, beta):
        (device.home / "config.toml").write_text("quarantine_s = 1\ncompact_every_s = 1\n")
    made: list[str] = []
    known: set[str] = set()
    with alpha.daemon(), beta.daemon():
        for number in range(48):
            made.append(alpha.add(uri(number))["id"])
            carry(alpha.folder, beta.folder)
            carry(beta.folder, alpha.folder)
            known = _follow_deletes(known, alpha.folder, beta.folder)
            if number % 12 == 11:
                # when: at this moment somebody recovers from a copy of the folder
                copy = tmp_path / f"copy-{number}"
                shutil.copytree(alpha.folder, copy)
                fresh = Device(tmp_path / f"fresh-{number}", copy)
                # then: everything acknowledged is there
                assert fresh.recover()["waiting_for"] == []
                assert {row["id"] for row in listed(fresh)} == set(made)
        eventually(lambda: _packs(alpha) > 1, "the daemon has compacted more than once")

        def both_alike() -> bool:
            carry(alpha.folder, beta.folder)
            carry(beta.folder, alpha.folder)
            return picture(alpha) == picture(beta)

        eventually(both_alike, "both devices show the same")
        assert {row["id"] for row in listed(beta)} == set(made)
    for device in (alpha, beta):
        assert device.run("verify", "--depth", "rebuild").ok().json["problems"] == []


def _packs(device: Device) -> int:
    return sum(row["kind"] == "pack" for row in logged(device))


def _follow_deletes(known: set[str], source: Path, target: Path) -> set[str]:
    """Delete in `target` what was known in `source` and is gone, as a cloud client does. Return what is there now."""
    now = {path.name for path in ours(source)}
    for gone in known - now:
        (target / gone).unlink(missing_ok=True)
    return now
