"""A daemon that unlocks itself by the keychain: a real gnome-keyring, across reboots, locked, gone; no questions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from otpkeep_daemon.keychain import Keychain
from support_cli import PASSPHRASE, Device
from support_keyring import Session, session
from support_system import eventually, listed, need, ours, status, uri

KEYLESS = {"OTPKEEP_PASSPHRASE_FILE": None}


@pytest.fixture(autouse=True)
def programs() -> None:
    need("gnome-keyring-daemon", "dbus-run-session", "dbus-monitor")


@pytest.fixture
def device(tmp_path: Path) -> Device:
    made = Device(tmp_path / "alpha", tmp_path / "folder")
    (made.home / "config.toml").write_text("look_every_s = 1\n")
    return made


def remembering(device: Device, inside: Session) -> None:
    """Set the device up in a session, with one account."""
    words = ("init", "--folder", device.folder, "--remember", "keychain")
    assert "by the keychain" in device.run(*words, env=inside.env).ok().err
    device.add(uri(1))


@contextmanager
def daemon(device: Device, inside: Session | None) -> Iterator[None]:
    """Run a daemon that is given no passphrase, in a session or in none."""
    env = {"DBUS_SESSION_BUS_ADDRESS": "", **(inside.env if inside is not None else {})}
    with device.daemon(OTPKEEP_PASSPHRASE_FILE="", **env):
        yield


def waits(device: Device) -> list[Any]:
    """Return what `status` says of a daemon that is locked."""
    return [problem for problem in status(device)["problems"] if problem["kind"] == "locked"]


def test_after_a_reboot_the_daemon_is_unlocked_without_a_question(device: Device, tmp_path: Path) -> None:
    # given: a device whose keys the keychain remembers, and a login that has ended
    with session(tmp_path / "home") as inside:
        remembering(device, inside)
    # when: the machine is on again, the person logs in, and the daemon starts
    with session(tmp_path / "home") as inside:
        with daemon(device, inside):
            # then: it is unlocked, and whoever has no passphrase works with it
            assert not waits(device)
            assert status(device)["unlocks_by"] == "keychain"
            assert [row["name"] for row in device.run("list", env=KEYLESS).ok().json] == ["konto1"]
            # and: after `lock` it stays locked though the keychain is open, until `unlock`, which asks for nothing
            said = device.run("lock", json=False).ok().out
            assert "A restart unlocks it again, by the keychain" in said
            looks = _looks(device)
            eventually(lambda: _looks(device) > looks, "the daemon looks again")
            assert "`otpkeep lock` was run" in waits(device)[0]["message"]
            device.run("unlock", env=KEYLESS).ok()
            assert not waits(device)
            device.run("lock").ok()
        # and: a restart unlocks it again
        with daemon(device, inside):
            assert listed(device)
        assert inside.questions == []


def test_a_locked_or_missing_keychain_leaves_the_daemon_locked_and_mirroring_until_the_person_logs_in(
    device: Device, tmp_path: Path
) -> None:
    with session(tmp_path / "home") as inside:
        remembering(device, inside)
    # given: an edit that is not in the folder yet, and a file of ours that somebody removed from it
    device.run("backup", "off").ok()
    device.add(uri(2))
    device.run("backup", "on", env=KEYLESS).ok()
    before = ours(device.folder)
    whole = {path: path.read_bytes() for path in before}
    before[0].unlink()
    with session(tmp_path / "home", unlocked=False) as inside:
        # when: the daemon starts while the keychain is locked
        with daemon(device, inside):
            # then: it says so, with what to do, and asks nobody
            (problem,) = waits(device)
            assert "the keychain is locked" in problem["message"]
            assert "it waits" in problem["message"]
            assert "otpkeep unlock" in problem["hint"]
            assert device.run("list", env=KEYLESS).code == 3
            # and: it mirrors all the same
            eventually(lambda: status(device)["folder"]["pending"] == 0, "what waits is published")
            eventually(before[0].exists, "what is missing is put back")
            assert whole.items() <= {path: path.read_bytes() for path in ours(device.folder)}.items()
            assert inside.questions == []
            # when: the person logs in
            inside.start(unlocked=True)
            # then: it unlocks by itself
            eventually(lambda: not waits(device), "the daemon unlocks itself")
            assert len(device.run("list", env=KEYLESS).ok().json) == 2
    said = (device.home.parent / "alpha.log").read_text()
    assert 'event=locked reason="the keychain is locked"' in said
    assert 'event=unlocked by="the keychain' in said
    # and: without any keychain it is the same, and the passphrase opens it
    with daemon(device, None):
        assert "there is no keychain here" in waits(device)[0]["message"]
        device.run("unlock").ok()
        assert len(device.run("list", env=KEYLESS).ok().json) == 2


def test_an_entry_that_is_gone_or_another_leaves_the_daemon_locked(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(tmp_path / "home") as inside:
        remembering(device, inside)
        for name, value in inside.env.items():
            monkeypatch.setenv(name, value)
        entry = _entries()[0]
        # when: the entry holds something else
        Keychain(entry).keep("00" * 32)
        with daemon(device, inside):
            assert "is not the one that this store was given" in waits(device)[0]["message"]
        # when: it is gone
        Keychain(entry).forget()
        with daemon(device, inside):
            assert "no longer holds the key" in waits(device)[0]["message"]
            # and: choosing anew repairs it
            device.run("unlock", "--remember", "keychain").ok()
        with daemon(device, inside):
            assert not waits(device)


def test_forgetting_clears_the_keychain_and_choosing_anew_makes_another_key(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(tmp_path / "home") as inside:
        remembering(device, inside)
        for name, value in inside.env.items():
            monkeypatch.setenv(name, value)
        # then: what the keychain has is a random key, and nothing that a person knows
        (entry,) = _entries()
        key = Keychain(entry).read()
        assert len(bytes.fromhex(key)) == 32
        assert PASSPHRASE not in key
        # when: it is chosen again
        env = {**inside.env}
        assert device.run("unlock", "--remember", "keychain", env=env).ok().json == {"unlocks_by": "keychain"}
        (second,) = _entries()
        assert Keychain(second).read() != key
        # when: it is to be forgotten, for which nobody needs a passphrase
        assert device.run("unlock", "--forget", env={**env, **KEYLESS}).ok().json == {"unlocks_by": "none"}
        assert _entries() == []
        with daemon(device, inside):
            assert "nothing is remembered" in waits(device)[0]["message"]


def test_keychains_that_are_none_are_never_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "")
    for other in ("null.Keyring", "fail.Keyring", "chainer.ChainerBackend"):
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"keyring.backends.{other}")
        assert "there is no keychain here" in Keychain("anything").why_not()


def _entries() -> list[str]:
    """Return the names of the entries of otpkeep in the keychain of this process's session."""
    import secretstorage

    bus = secretstorage.dbus_init()
    found = [item.get_attributes() for item in secretstorage.Collection(bus).get_all_items()]
    bus.close()
    return [attributes["username"] for attributes in found if attributes.get("service") == "otpkeep"]


def _looks(device: Device) -> str:
    found: str = next(job["last"] for job in status(device)["jobs"] if job["name"] == "look")
    return found
