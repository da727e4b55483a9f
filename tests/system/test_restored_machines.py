"""Real processes on a disk that was restored, in part or whole, and on the disk of a device that was copied."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest

from otpkeep_protocol import sealing
from otpkeep_protocol.ids import sha256
from support_cli import Device, secret_file
from support_system import carry, dots, eventually, listed, logged, ours, pair, picture, status, uri

pytestmark = pytest.mark.xdist_group("restored")


class Ever:
    """Every file that was in one of these folders at any look."""

    def __init__(self, *devices: Device) -> None:
        self._folders = [device.folder for device in devices]
        self._files: dict[bytes, bytes] = {}

    def look(self) -> None:
        for folder in self._folders:
            for path in ours(folder):
                data = path.read_bytes()
                self._files[sha256(data)] = data

    def assert_no_salt_repeats(self) -> None:
        self.look()
        salts = [sealing.read_header(data).salt for data in self._files.values()]
        assert len(salts) > 8
        assert len(set(salts)) == len(salts)


def save(device: Device, place: Path) -> None:
    shutil.copytree(device.home, place / "home", symlinks=True)
    shutil.copytree(device.folder, place / "folder")


def restore(device: Device, place: Path, *parts: str) -> None:
    """Put the home, the folder or both back to what they were, in the same directories."""
    for part, directory in (("home", device.home), ("folder", device.folder)):
        if part in parts:
            for path in directory.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(place / part, directory, dirs_exist_ok=True, symlinks=True)


def names(device: Device) -> set[str]:
    return {account["name"] for account in listed(device)}


def kinds(device: Device) -> set[str]:
    return {problem["kind"] for problem in device.run("status").ok().json["problems"]}


def test_a_restored_disk_loses_no_edit_that_anybody_has_and_repeats_nothing(tmp_path: Path) -> None:
    alpha, beta = pair(tmp_path)
    ever = Ever(alpha, beta)
    expected: set[str] = set()
    for number, parts in enumerate((("home",), ("folder",), ("home", "folder"))):
        # given: edits since the backup, of which the other device has seen all but one
        save(alpha, tmp_path / f"backup {number}")
        alpha.add(uri(10 * number))
        carry(alpha.folder, beta.folder)
        beta.add(uri(10 * number + 1))
        alpha.add(uri(10 * number + 2))
        ever.look()
        # when: the store, the folder or both are restored, and used again
        restore(alpha, tmp_path / f"backup {number}", *parts)
        alpha.add(uri(10 * number + 3))
        if parts == ("folder",):
            assert alpha.run("accept-rollback").ok().json["backed_up"]
        for source, target in ((beta, alpha), (alpha, beta), (beta, alpha)):
            ever.look()
            carry(source.folder, target.folder)
            listed(target)
        # then: only what nobody has any more is gone
        kept = (0, 1, 2, 3) if len(parts) == 1 else (0, 1, 3)
        expected |= {f"konto{10 * number + kept}" for kept in kept}
        assert names(alpha) == expected
    assert picture(alpha) == picture(beta)
    assert not {"fork", "gap", "copied"} & (kinds(alpha) | kinds(beta))
    ever.assert_no_salt_repeats()
    # and: a number of an event stands twice only where both the lost and the later edit came back
    made = dots(alpha)
    twice = {dot for dot in made if made.count(dot) > 1}
    assert len(twice) <= 4
    alpha.add(uri(99))
    made = dots(alpha)
    assert {dot for dot in made if made.count(dot) > 1} == twice


def test_a_home_that_was_copied_goes_on_on_both_machines_and_both_are_told(tmp_path: Path) -> None:
    # given: the home of a device, taken to another machine with a folder of its own; its socket is not copied
    alpha, beta = pair(tmp_path)
    account = alpha.add(uri(0))["id"]
    twin = Device(tmp_path / "twin", tmp_path / "folder-twin")
    shutil.copytree(alpha.home, twin.home, dirs_exist_ok=True)
    carry(alpha.folder, twin.folder)
    secret_file(twin.home.parent / "twin.passphrase", alpha.passphrase_file.read_text())
    twin.run("folder", twin.folder).ok()
    everybody = (alpha, twin, beta)
    ever = Ever(*everybody)
    # when: both machines write, by commands alone, and then under daemons that see each other's files
    first = alpha.run("edit", account, "--note", "of alpha").ok().json["event"]
    second = twin.run("edit", account, "--note", "of twin").ok().json["event"]
    assert first == second  # the same number in the same history, which nobody knows yet
    with alpha.daemon(), twin.daemon():
        for device in (alpha, twin):
            device.run("unlock").ok()
        for number in (10, 11, 20, 21, 30):
            (alpha, twin)[number % 2].add(uri(number))
            _exchange(*everybody)
            ever.look()
            eventually(lambda: f"konto{number}" in names(alpha) & names(twin), "both have it")  # noqa: B023
        eventually(lambda: _told(alpha) and _told(twin), "both are told of the copy")
        eventually(lambda: _alike(alpha, twin, beta), "all show the same")
        # then: both values of the edit that was made twice are there, each under a name of its own
        (conflict,) = [item["conflict"] for item in listed(alpha) if item["id"] == account]
        assert {value["value"] for value in conflict["note"]} | {"of alpha", "of twin"} == {"of alpha", "of twin"}
        refused = alpha.run("undo", first)
        assert (refused.code, refused.error["kind"]) == (2, "usage")
        twice = [line["event"] for line in logged(alpha, account) if line["event"].startswith(f"{first}.")]
        assert len(twice) == 2
        assert all(name in refused.error["hint"] for name in twice)
        assert alpha.run("undo", twice[0], "--force").ok().json["event"]
        # and: it is accepted
        assert alpha.run("accept-rollback").ok().json["copies"] == ["alpha"]
        assert not _told(alpha)
    assert {f"konto{number}" for number in (0, 10, 11, 20, 21, 30)} == names(alpha)
    ever.assert_no_salt_repeats()
    made = dots(alpha)
    assert {made.count(dot) for dot in made} == {1, 2}
    assert sum(made.count(dot) == 2 for dot in set(made)) <= 3


def _exchange(*devices: Device) -> bool:
    for source, target in itertools.permutations(devices, 2):
        carry(source.folder, target.folder)
    return True


def _told(device: Device) -> bool:
    return any(problem["kind"] == "copied" for problem in status(device)["problems"])


def _alike(alpha: Device, twin: Device, beta: Device) -> Any:
    _exchange(alpha, twin, beta)
    return picture(alpha) == picture(twin) == picture(beta)
