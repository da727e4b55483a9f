"""`devices` as a person uses it: retire one, make it active again, give it another name."""

from __future__ import annotations

from pathlib import Path

from support_cli import Device


def test_a_device_is_retired_renamed_and_active_again(tmp_path: Path) -> None:
    # given
    laptop, phone = (Device(tmp_path / name, tmp_path / "folder") for name in ("laptop", "phone"))
    laptop.init()
    phone.recover()
    laptop.run("devices").ok()
    # when
    done = laptop.run("devices", "retire", "phone", json=False).ok()
    # then: it says what that means
    assert "phone (" in done.out
    assert "is now retired." in done.out
    assert "It keeps its keys" in done.err
    assert {row["name"]: row["state"] for row in laptop.run("devices").ok().json} == {
        "laptop": "active",
        "phone": "retired",
    }
    back = laptop.run("devices", "retire", "phone", "--undo").ok().json
    assert (back["name"], back["state"], back["backed_up"]) == ("phone", "active", True)
    assert laptop.run("devices", "rename", "phone", "old phone").ok().json["name"] == "old phone"
    # and: this very device only if that is meant
    refused = laptop.run("devices", "retire", "laptop")
    assert (refused.code, refused.error["kind"]) == (2, "usage")
    assert "--yes" in refused.error["hint"]
