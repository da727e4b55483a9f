"""Watched files with real parts: the daemon, real Aegis files, processes that are killed while they write."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otpkeep_daemon.formats import aegis
from otpkeep_daemon.formats.entry import Rewrite
from otpkeep_protocol.errors import OtpkeepError
from support_cli import Device, secret_file
from support_system import (
    SHARED_EXPORTS,
    eventually,
    listed,
    logged,
    status,
)
from support_watch import ENCRYPTED, PASSWORD, PLAIN, AegisFile, Entry, entry_of

WITHIN_S = 20.0


@pytest.fixture
def alpha(tmp_path: Path) -> Device:
    device = Device(tmp_path / "alpha", tmp_path / "folder")
    device.init()
    return device


@pytest.fixture
def file(tmp_path: Path) -> AegisFile:
    (tmp_path / "apps").mkdir()
    return AegisFile(tmp_path / "apps" / "aegis.json")


def events(device: Device) -> list[tuple[str, list[str]]]:
    """Return (kind, fields) of all account events, oldest first."""
    rows = [row for row in logged(device) if row["kind"].startswith("account.")]
    return [(row["kind"], sorted(row["changes"])) for row in reversed(rows)]


def holds(device: Device) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = device.run("review").ok().json
    return found


@pytest.mark.parametrize("made_by", ["this project", "aegis"])
def test_a_hand_edit_becomes_exactly_its_events(alpha: Device, file: AegisFile, made_by: str) -> None:
    if made_by == "aegis":
        if not (SHARED_EXPORTS / "aegis_plain.json").exists():
            pytest.skip("the exports of real applications are not here")
        shutil.copy(SHARED_EXPORTS / "aegis_plain.json", file.path)
    alpha.run("watch", file.path).ok()
    with alpha.daemon():
        imported = len(events(alpha))

        def act(entries: list[Entry]) -> None:
            entries[0] |= {"issuer": "Anders", "name": "anders"}
            entries[1] |= {"note": "neu", "unknown": {"kept": True}}
            del entries[2]
            entries.reverse()
            entries.append(entry_of(1))

        # when: entries are renamed, changed, deleted, added and reordered, and get fields that nobody knows
        file.change(act)
        written = file.path.read_bytes()
        eventually(lambda: len(events(alpha)) >= imported + 4, "the edits arrive", WITHIN_S)
        # then: exactly that has happened, and the file is as the other program left it
        assert sorted(events(alpha)[imported:]) == [
            ("account.add", ["issuer", "name", "otp"]),
            ("account.delete", []),
            ("account.edit", ["issuer", "name"]),
            ("account.edit", ["note"]),
        ]
        assert file.path.read_bytes() == written
        assert status(alpha)["problems"] == []


def test_an_encrypted_file_is_watched_with_its_password(alpha: Device, tmp_path: Path) -> None:
    path = tmp_path / "aegis.json"
    shutil.copy(ENCRYPTED, path)
    password = secret_file(tmp_path / "password", PASSWORD)
    alpha.run("watch", path, "--two-way", "--passphrase-file", password).ok()
    key = aegis.master_key(path.read_bytes(), lambda: PASSWORD)
    with alpha.daemon():
        before = len(events(alpha))
        gone = frozenset({"entry 1"})
        path.write_bytes(aegis.rewrite(path.read_bytes(), key, Rewrite(removed=gone)))
        eventually(lambda: len(events(alpha)) == before + 1, "the delete arrives", WITHIN_S)
        # and: the other way
        account = listed(alpha)[0]["id"]
        alpha.run("edit", account, "--note", "von hier").ok()

        def notes() -> set[str | None]:
            return {e.account.note for e in aegis.read(path.read_bytes(), lambda: PASSWORD).entries}

        eventually(lambda: "von hier" in notes(), "the edit is in the file", WITHIN_S)
        assert len(events(alpha)) == before + 2


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_entries(data: bytes) -> bytes:
    document = json.loads(data)
    document["db"]["entries"] = []
    return json.dumps(document).encode()


WRONG: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "empty"),
    "zeros": (lambda data: bytes(len(data)), "unreadable"),
    "truncated": (truncated, "unreadable"),
    "foreign": (lambda _: b'{"accounts": []}', "unreadable"),
    "without entries": (without_entries, "empty"),
    "another format": (lambda _: b"otpauth://totp/a?secret=MFRGGZDF\n", "another-format"),
    "another key": (lambda _: ENCRYPTED.read_bytes(), "another-key"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_looks_like_an_accident_deletes_nothing_and_waits_with_the_reason(
    alpha: Device, file: AegisFile, what: str
) -> None:
    spoil, reason = WRONG[what]
    alpha.run("watch", file.path).ok()
    whole = file.path.read_bytes()
    with alpha.daemon():
        before = listed(alpha), events(alpha)
        file.path.write_bytes(spoil(whole))
        found = eventually(lambda: holds(alpha), "it is held", WITHIN_S)
        assert [hold["kind"] for hold in found] == [reason]
        assert {"held"} == {problem["kind"] for problem in status(alpha)["problems"]}
        assert status(alpha)["watched"][0]["held"] == [found[0]["id"]]
        # and: the right content ends it
        file.path.write_bytes(whole)
        eventually(lambda: not holds(alpha), "nothing waits any more", WITHIN_S)
        assert (listed(alpha), events(alpha)) == before


def test_an_older_file_undoes_nothing_and_waits(alpha: Device, file: AegisFile) -> None:
    alpha.run("watch", file.path).ok()
    older = file.read()
    with alpha.daemon():
        for number in range(2):
            count = len(events(alpha))
            file.change(lambda entries, n=number: entries[n].update(note=f"neu {n}"))  # type: ignore[misc]
            eventually(lambda count=count: len(events(alpha)) > count, "the edit arrives", WITHIN_S)  # type: ignore[misc]
        before = listed(alpha), events(alpha)
        file.write(older)
        found = eventually(lambda: holds(alpha), "it is held", WITHIN_S)
        assert (found[0]["kind"], len(found[0]["edits"])) == ("older", 2)
        assert (listed(alpha), events(alpha)) == before


def test_an_own_vault_file_replaced_by_an_export_waits_for_its_password(alpha: Device, tmp_path: Path) -> None:
    alpha.run("import", PLAIN).ok()
    with alpha.daemon():
        before = len(listed(alpha))
        own = alpha.home / "vault.aegis.json"
        pairs = [(bytes([n]) * 16, e.account) for n, e in enumerate(aegis.read(PLAIN.read_bytes(), None).entries[1:])]
        own.write_bytes(aegis.write_encrypted(pairs, "an Aegis password", _random).data)
        found = eventually(lambda: holds(alpha), "it is held", WITHIN_S)
        assert found[0]["kind"] == "another-key"
        assert alpha.run("review", found[0]["id"], "--accept").code == 3
        password = secret_file(tmp_path / "password", "an Aegis password")
        alpha.run("review", found[0]["id"], "--accept", "--passphrase-file", password).ok()
        # then: the difference is in the vault, and the file is under the vault's passphrase again
        assert len(listed(alpha)) == before - 1
        eventually(lambda: _opens(own, alpha), "it is written anew", WITHIN_S)
        assert holds(alpha) == []


def _random(size: int) -> bytes:
    return bytes(range(size))


def _opens(path: Path, device: Device) -> bool:
    try:
        return bool(aegis.read(path.read_bytes(), device.passphrase_file.read_text).entries)
    except OtpkeepError:
        return False
