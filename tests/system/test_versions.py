"""A command and a daemon that are not of the same otpkeep: the real program, and a changed copy of it as the other."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from otpkeep_daemon.version import VERSION
from otpkeep_protocol import control
from support_cli import ROOT, Device
from support_system import answers, eventually, killed_at_the_end, launch, listed

CONTROL = "protocol/otpkeep_protocol/control.py"
CALLS = "daemon/otpkeep_daemon/calls.py"
PROGRAM = "daemon/otpkeep_daemon/version.py"


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """A device that daemons of several versions serve in turn."""
    made = Device(tmp_path_factory.mktemp("versions") / "alpha", tmp_path_factory.mktemp("folder"))
    made.init()
    return made


@pytest.mark.parametrize(
    ("theirs", "older", "remedy"),
    [
        (control.VERSION - 1, "The running daemon is of an older otpkeep", "otpkeep service restart"),
        (control.VERSION + 1, "This command is of an older otpkeep", "Use the otpkeep that the daemon is of"),
    ],
    ids=["an older daemon", "a newer daemon"],
)
def test_another_version_of_the_control_protocol_is_named_and_nothing_is_done(
    device: Device, tmp_path: Path, theirs: int, older: str, remedy: str
) -> None:
    changed = {CONTROL: (f"\nVERSION = {control.VERSION}\n", f"\nVERSION = {theirs}\n")}
    with _daemon_of_another_version(device, tmp_path, changed):
        for words in (("list",), ("status",), ("compact",)):
            said = device.run(*words)
            assert said.code == 1
            assert said.error["kind"] == "unknown-version"
            assert older in said.error["message"]
            assert "nothing was changed" in said.error["message"]
            assert remedy in said.error["hint"]
            assert "otpkeep service restart" in said.error["hint"]


def test_an_older_daemon_says_so_when_it_is_asked_for_what_it_cannot_do(device: Device, tmp_path: Path) -> None:
    # given: a daemon from before there was a `compact`
    line = '    "compact": Operation(compaction.compact),\n'
    changed = {CALLS: (line, ""), PROGRAM: (f'"{VERSION}"', '"0.0.1"')}
    with _daemon_of_another_version(device, tmp_path, changed):
        # then: what it can do works, and status names the difference
        assert listed(device) == []
        found = device.run("status").ok().json
        assert found["daemon"]["version"] == "0.0.1"
        (problem,) = (row for row in found["problems"] if row["kind"] == "old-daemon")
        assert "0.0.1" in problem["message"]
        assert "otpkeep service restart" in problem["hint"]
        # and: what it can't do ends with 1 and the remedy
        said = device.run("compact", json=False)
        assert said.code == 1
        assert "otpkeep service restart" in said.err
        assert "Nothing was changed" in said.err


def test_a_daemon_of_the_same_version_is_no_problem(device: Device) -> None:
    with device.daemon():
        found = device.run("status").ok().json
    assert found["daemon"]["version"] == VERSION
    assert not [row for row in found["problems"] if row["kind"] == "old-daemon"]


@contextmanager
def _daemon_of_another_version(device: Device, place: Path, changed: Mapping[str, tuple[str, str]]) -> Iterator[None]:
    """Run the daemon of a copy of the program in which each of these files has one text exchanged for another."""
    homes = ("protocol", "daemon", "cli")
    for home in homes:
        shutil.copytree(ROOT / home, place / home, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in changed.items():
        text = (place / name).read_text()
        assert text.count(old) == 1, name
        (place / name).write_text(text.replace(old, new))
    path = os.pathsep.join(str(place / home) for home in homes)
    with killed_at_the_end(launch(device, PYTHONPATH=path)) as daemon:
        eventually(lambda: answers(device), "the daemon listens")
        yield
        daemon.terminate()
        daemon.wait(30)
