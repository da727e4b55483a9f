"""What lies about where otpkeep works gives nothing away: folder, store, logs, process lists, temporary files."""

from __future__ import annotations

import base64
import re
import sqlite3
import stat
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otpkeep_daemon.formats import aegis
from otpkeep_protocol import keyring, sealing, slots, wire
from otpkeep_protocol.keyring import Keyring
from support_cli import PASSPHRASE, Device
from support_scene import ORDINARY, PLACEHOLDERS, TEXTS, Scene, hotp_uri
from support_system import base32, listed, ours

pytestmark = pytest.mark.xdist_group("scene")  # one scene for all: another's commands show its labels

WINDOW = 6
"""Bytes in a row of a secret that count as a find."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    made = Scene(tmp_path_factory.mktemp("scene"))
    made.play()
    return made


def test_no_file_shows_secrets_names_notes_or_labels(scene: Scene) -> None:
    searched = {str(p): p.read_bytes() for place in _places(scene) for p in place.rglob("*") if p.is_file()}
    assert len([path for path in searched if path.endswith(".otpk")]) > 10
    assert any(path.endswith("store.sqlite3") for path in searched)
    assert _finds(searched, _needles(scene)) == []


def test_a_running_daemon_keeps_nothing_readable_in_its_write_ahead_log(scene: Scene) -> None:
    # given: a daemon with the store open and changes in its write-ahead log
    with scene.alpha.daemon(TMPDIR=str(scene.temporary)):
        scene.alpha.run("add", "-", "--placeholder", stdin=hotp_uri(b"another placeholder")).ok()
        searched = {str(p): p.read_bytes() for place in _places(scene) for p in place.rglob("*") if p.is_file()}
    assert any(path.endswith("-wal") for path in searched)
    needles = _needles(scene) | {f"late {how}": n for how, n in _spellings(b"another placeholder").items()}
    assert _finds(searched, needles) == []


def test_no_log_message_or_error_shows_them(scene: Scene) -> None:
    logs = {path.name: path.read_bytes() for path in scene.root.glob("*.log")}
    assert len(logs) == 2
    assert _finds(logs | {"standard error": scene.said.encode()}, _needles(scene)) == []


def test_no_process_list_shows_them(scene: Scene) -> None:
    assert any(b"daemon" in shown for shown in scene.processes.values())
    assert _finds(scene.processes, _needles(scene)) == []


def test_the_temporary_directory_is_left_empty(scene: Scene) -> None:
    assert list(scene.temporary.iterdir()) == []


def test_all_files_are_0600_and_all_directories_0700(scene: Scene) -> None:
    modes = {}
    for place in (scene.alpha.home, scene.beta.home, scene.root / "cloud"):
        for path in (place, *place.rglob("*")):
            modes[str(path.relative_to(scene.root))] = (path.is_dir(), stat.S_IMODE(path.stat().st_mode))
    wrong = {path: oct(mode) for path, (folder, mode) in modes.items() if mode != (0o700 if folder else 0o600)}
    assert wrong == {}
    assert len(modes) > 15


def test_names_and_sizes_in_the_folder_tell_nothing(scene: Scene) -> None:
    for path in scene.folder.iterdir():
        assert path.name == "README.txt" or re.fullmatch(r"[0-9a-f]{32}\.otpk", path.name)
        if path.name != "README.txt":
            header = sealing.read_header(path.read_bytes())
            assert sealing.is_whole(path.stat().st_size, header.type), "a size off the padding grid"


def test_the_secret_of_a_placeholder_is_in_no_file_and_no_other_store_even_when_all_is_decrypted(scene: Scene) -> None:
    ring = _ring(scene.folder)
    opened = _decrypted(scene, ring)
    # given: this search finds what it should, in every file that has it: an ordinary secret, and the local value
    assert [name for name in opened if ORDINARY[0] in opened[name]]
    local = _locals(scene.alpha, ring)
    assert all(any(secret in value for value in local.values()) for secret in PLACEHOLDERS)
    # then: nothing of a placeholder's secret is anywhere else
    needles = {
        f"{n} {how} {at}": spelt[at : at + size]
        for n, secret in enumerate(PLACEHOLDERS)
        for how, spelt in _spellings(secret).items()
        for size in (WINDOW if how == "raw" else 2 * WINDOW,)
        for at in range(max(1, len(spelt) - size + 1))
    }
    assert _finds(opened, needles) == []
    assert _locals(scene.beta, ring) == {}


def test_other_devices_know_that_a_placeholder_must_be_set_up_again(scene: Scene) -> None:
    rows = [row for row in listed(scene.beta) if row["placeholder"]]
    assert len(rows) >= 3
    assert {(row["ready"], row["secret"]) for row in rows} == {(False, None)}
    assert scene.beta.run("code", rows[0]["id"]).code == 1


def _places(scene: Scene) -> tuple[Path, ...]:
    return scene.alpha.home, scene.beta.home, scene.root / "cloud", scene.temporary


def _needles(scene: Scene) -> dict[str, bytes]:
    needles = {what: text.encode() for what, text in TEXTS.items()}
    needles |= {"recovery code": scene.code.encode(), "its first groups": scene.code[:11].encode()}
    for n, secret in enumerate([*ORDINARY, *PLACEHOLDERS]):
        needles |= {f"secret {n} {how}": spelt for how, spelt in _spellings(secret).items()}
    return needles


def _spellings(secret: bytes) -> Mapping[str, bytes]:
    """Return a secret as programs write it; base32 and base64 without what depends on the end."""
    upper = base32(secret).encode()
    whole = len(secret) - len(secret) % 3
    return {
        "raw": secret,
        "base32": upper,
        "lower base32": upper.lower(),
        "hex": secret.hex().encode(),
        "upper hex": secret.hex().upper().encode(),
        "base64": base64.b64encode(secret[:whole]),
        "url base64": base64.urlsafe_b64encode(secret[:whole]),
    }


def _finds(searched: Mapping[str, bytes], needles: Mapping[str, bytes]) -> list[tuple[str, str]]:
    return [(what, place) for place, data in searched.items() for what, needle in needles.items() if needle in data]


def _ring(folder: Path) -> Keyring:
    for path in ours(folder):
        data = path.read_bytes()
        if sealing.read_header(data).type == sealing.SLOT and slots.slot_kind(data) == slots.PASSPHRASE:
            return slots.open_slot(data, passphrase=PASSPHRASE)
    raise AssertionError("no slot")


def _decrypted(scene: Scene, ring: Keyring) -> dict[str, bytes]:
    """Return everything that the passphrase opens, opened: the folder, both stores, both own vault files."""
    opened = {f"folder/{path.name}": _opened(path.read_bytes(), ring) for path in ours(scene.folder)}
    for device in (scene.alpha, scene.beta):
        for name, data in _rows(device, "SELECT name, data FROM files"):
            opened[f"{device.home.name}/{name}"] = _opened(data, ring)
        (sealed,) = [row[0] for row in _rows(device, "SELECT value FROM meta WHERE key = 'secrets'")]
        opened[f"{device.home.name}/secrets"] = keyring.unwrap(ring.newest.key, ring.store_label(), sealed)
        own = (device.home / "vault.aegis.json").read_bytes()
        accounts = [entry.account.to_fields() for entry in aegis.read(own, lambda: PASSPHRASE).entries]
        opened[f"{device.home.name}/own vault"] = repr(accounts).encode() + wire.encode(accounts)
        opened[f"{device.home.name}/meta"] = b" ".join(row[0] for row in _rows(device, "SELECT value FROM meta"))
    return opened


def _opened(data: bytes, ring: Keyring) -> bytes:
    header = sealing.read_header(data)
    if header.type == sealing.SLOT:
        return data
    epoch = ring.epoch(header.epoch)
    assert epoch is not None
    return sealing.open_sealed(data, header, epoch.key)


def _locals(device: Device, ring: Keyring) -> dict[bytes, bytes]:
    """Return the secrets of placeholders that this device has enrolled, by account."""
    (sealed,) = [row[0] for row in _rows(device, "SELECT value FROM meta WHERE key = 'secrets'")]
    secrets = wire.decode(keyring.unwrap(ring.newest.key, ring.store_label(), sealed), 4096)
    label = b"otpkeep/v1/local" + ring.vault
    rows = _rows(device, "SELECT account, sealed FROM locals")
    return {account: keyring.unwrap(secrets["local_key"], label + account, data) for account, data in rows}


def _rows(device: Device, query: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{device.home}/store.sqlite3?mode=ro", uri=True)) as store:
        return store.execute(query).fetchall()
