"""A running daemon tells of what nobody looks for, once, and `status` has all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from otpkeep_protocol import sealing
from support_cli import Device
from support_system import eventually, flipped, heir, of_type, status


def hook(device: Device) -> Path:
    """Have the device's alarms written down, a document a line; return where."""
    told = device.home.parent / "told"
    script = device.home.parent / "hook"
    script.write_text(f"#!/bin/sh\ncat >> {told}\n")
    script.chmod(0o700)
    (device.home / "config.toml").write_text(f'on_problem = "{script}"\n')
    return told


def documents(told: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


def job(device: Device, name: str) -> dict[str, Any]:
    (row,) = [row for row in status(device)["jobs"] if row["name"] == name]
    return row


def test_a_new_device_and_a_job_are_told_of_once_across_restarts(tmp_path: Path) -> None:
    # given a device that was set up alone, and another one that joined its vault while no daemon ran
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    alpha.init()
    beta = heir(alpha)
    newcomer = beta.recover()["device"]
    told = hook(alpha)

    # when its daemon starts, and starts again
    with alpha.daemon():
        eventually(lambda: documents(told), "the new device is told of")
        eventually(lambda: status(alpha)["verified"], "the folder is verified")
    with alpha.daemon():
        before = documents(told)
        eventually(lambda: job(alpha, "alarms")["last"], "alarms are looked for again")
        found = status(alpha)
        text = alpha.run("status", json=False).ok().out

    # then
    assert documents(told) == before
    assert [(d["kind"], d["state"], d["subjects"]) for d in before] == [("new-device", "raised", [newcomer])]
    assert [(p["kind"], p["subject"]) for p in found["problems"]] == [("new-device", newcomer)]
    assert (found["verified"]["ok"], found["verified"]["depth"]) == (True, "content")
    assert {row["name"] for row in found["jobs"]} >= {"look", "beat", "compact", "verify", "alarms"}
    assert all(row["ok"] and row["next"] for row in found["jobs"])
    assert f'kind=new-device message="the device {newcomer[:8]} has joined' in (tmp_path / "alpha.log").read_text()
    assert "Verified:" in text
    assert "JOB" in text
    # and a device that has joined shows nothing of the kind about itself or those that it found
    assert status(beta)["problems"] == []


def test_damage_that_a_verification_finds_is_told_and_gone_once_one_finds_none(tmp_path: Path) -> None:
    # given a file of the folder that changed while no daemon ran, of the same size, so that no look sees it
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    alpha.init()
    told = hook(alpha)
    file = of_type(alpha.folder, sealing.SEALED)
    whole = file.read_bytes()
    file.write_bytes(flipped(whole, len(whole) - 1))

    with alpha.daemon():
        found = eventually(lambda: [d for d in documents(told) if d["kind"] == "verify"], "it is told of", 90)
        assert file.name in found[0]["message"]
        assert "verify" in {problem["kind"] for problem in status(alpha)["problems"]}

        # when it is put right, and somebody looks
        file.write_bytes(whole)
        assert alpha.run("verify").ok().json["ok"]

        assert "verify" not in {problem["kind"] for problem in status(alpha)["problems"]}
