"""Files that were cut, flipped, zeroed or replaced: named, and nothing else is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otpkeep_protocol import sealing
from otpkeep_protocol.naming import file_name
from support_cli import Device
from support_system import eventually, flipped, listed, ours, uri


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": _cut,
    "cut to its header": lambda data: data[: sealing.HEADER_SIZE],
    "cut to a few bytes": lambda data: data[:5],
    "empty": lambda _: b"",
    "one bit in the header": lambda data: flipped(data, 60),
    "one bit in the content": lambda data: flipped(data, len(data) - 40),
    "one bit in the magic": lambda data: flipped(data, 3),
    "a longer tail": lambda data: data + b"\0",
    "zeroed": lambda data: bytes(len(data)),
    "garbage": lambda data: bytes((7 * n + 3) % 256 for n in range(len(data))),
}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Device, Device, Path]:
    """Two devices of one folder, and the one file that holds beta's only edit."""
    root = tmp_path_factory.mktemp("three")
    alpha, beta = Device(root / "alpha", root / "folder"), Device(root / "beta", root / "folder")
    alpha.init()
    alpha.add(uri(1))
    beta.recover()
    before = set(ours(alpha.folder))
    beta.add(uri(2))
    (file,) = set(ours(alpha.folder)) - before
    assert len(listed(alpha)) == 2
    return alpha, beta, file


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_and_nothing_else_is_lost(
    three: tuple[Device, Device, Path], damage: str, tmp_path: Path
) -> None:
    alpha, _, file = three
    whole = file.read_bytes()
    file.write_bytes(DAMAGE[damage](whole))
    try:
        # then: who has seen the file names it and its device, and has lost nothing
        problem = _the_problem(alpha, file.name)
        assert problem["device"] == "beta"
        assert [row["name"] for row in listed(alpha)] == ["konto1", "konto2"]
        assert file.read_bytes() == DAMAGE[damage](whole), "it is another's file"
        # and: who has not gets all the rest, and is told what is missing
        gamma = Device(tmp_path / "gamma", alpha.folder)
        recovered = gamma.recover()
        assert [row["name"] for row in listed(gamma)] == ["konto1"]
        assert _the_problem(gamma, file.name)["message"]
        assert recovered["waiting_for"] in ([{"device": "beta", "events": 1}], [])
    finally:
        file.write_bytes(whole)
    # and: as soon as it is whole, everybody has everything
    assert [row["name"] for row in listed(gamma)] == ["konto1", "konto2"]
    alpha.run("verify", "--depth", "rebuild").ok()


def _the_problem(device: Device, name: str) -> dict[str, Any]:
    """Return what verify says of one file, which must be wrong, as must be verify's exit code."""
    done = device.run("verify")
    assert done.code == 4, done
    found: list[dict[str, Any]] = [problem for problem in done.json["problems"] if problem["file"] == name]
    assert len(found) == 1, done.json
    assert found[0]["message"]
    assert found[0]["hint"]
    return found[0]


def test_a_file_over_the_mark_of_time_stays_pending_and_is_read_when_it_is_whole(
    three: tuple[Device, Device, Path], tmp_path: Path
) -> None:
    # given: a client that brings a file in two halves, and a daemon that looks in between
    alpha, _, file = three
    gamma = Device(tmp_path / "gamma", tmp_path / "slow")
    for path in alpha.folder.iterdir():
        if path != file:
            (gamma.folder / path.name).write_bytes(path.read_bytes())
    gamma.recover()
    with gamma.daemon():
        whole = file.read_bytes()
        with (gamma.folder / file.name).open("wb") as target:
            target.write(_cut(whole))
            target.flush()
            eventually(lambda: "pending" in _log(gamma) or file.name in _log(gamma), "the half was seen")
            assert [row["name"] for row in listed(gamma)] == ["konto1"]
            target.write(whole[len(_cut(whole)) :])
        # then: the edit is there as soon as the file is
        eventually(lambda: [row["name"] for row in listed(gamma)] == ["konto1", "konto2"], "the edit arrives")
    assert file_name((gamma.folder / file.name).read_bytes()) == file.name


def _log(device: Device) -> str:
    return (device.home.parent / f"{device.home.name}.log").read_text()
