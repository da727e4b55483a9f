"""What an older otpkeep wrote must open for ever: a whole folder of each format version, with what is in it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from otpkeep_daemon.formats import aegis
from otpkeep_protocol import content, sealing, slots
from otpkeep_protocol.events import Event
from support_cli import Device
from support_system import ours

HERE = Path(__file__).parent
VERSIONS = sorted(HERE.glob("v*"))
pytestmark = pytest.mark.parametrize("golden", VERSIONS, ids=[path.name for path in VERSIONS])


def told(golden: Path, name: str) -> Any:
    return json.loads((golden / f"{name}.json").read_text())


def test_a_new_device_recovers_exactly_the_accounts_and_events_that_were_there(golden: Path, tmp_path: Path) -> None:
    # given: a copy of the folder, and nothing else but its passphrase
    keys = told(golden, "keys")
    shutil.copytree(golden / "files", tmp_path / "folder")
    device = Device(tmp_path / "heir", tmp_path / "folder", keys["passphrase"])

    # when: a device that knew nothing of it recovers
    recovered = device.run("recover", device.folder, "--device", "heir").ok().json

    # then: every account and every event is there, nothing is missing and nothing in doubt
    assert recovered["vault"] == keys["vault"]
    assert recovered["waiting_for"] == []
    rows = [row for more in ((), ("--deleted",)) for row in device.run("list", "--show-secrets", *more).ok().json]
    accounts = told(golden, "accounts")
    assert sorted(({key: row[key] for key in accounts[0]} for row in rows), key=lambda row: row["id"]) == accounts
    log = Counter((row["kind"], row["time"]) for row in device.run("log").ok().json if row["device"] != "heir")
    assert log == Counter((kind, time) for _, _, _, kind, time in told(golden, "log"))
    device.run("verify", "--depth", "rebuild").ok()


def test_its_recovery_code_opens_it_and_its_files_hold_the_same_bytes(golden: Path) -> None:
    keys = told(golden, "keys")
    files = [path.read_bytes() for path in ours(golden / "files")]
    slot = next(data for data in files if _is_slot(data) and slots.slot_kind(data) == slots.RECOVERY)
    ring = slots.open_slot(slot, code=slots.read_code(keys["code"]))
    kinds: Counter[str] = Counter()
    held: dict[tuple[str, int], Event] = {}
    for data in files:
        if _is_slot(data):
            kinds["slot"] += 1
            continue
        read = content.read(sealing.open_sealed(data, sealing.read_header(data), ring.newest.key), ring)
        kinds[type(read).__name__] += 1
        if isinstance(read, content.Run):
            held |= {(event.dot.writer.hex(), event.dot.seq): event for event in read.events}
    assert [[w, s, e.hash.hex(), e.kind] for (w, s), e in sorted(held.items())] == [r[:4] for r in told(golden, "log")]
    assert kinds.keys() == {"slot", "Run", "Beat", "Snapshot"}, "a golden folder has every kind of file"


def test_its_own_vault_file_opens_with_the_passphrase(golden: Path) -> None:
    read = aegis.read((golden / "own.aegis.json").read_bytes(), lambda: str(told(golden, "keys")["passphrase"]))
    living = [row for row in told(golden, "accounts") if not row["deleted"]]
    assert sorted(e.identity[1].replace("-", "") for e in read.entries if e.identity) == [row["id"] for row in living]
    assert sorted(e.account.name for e in read.entries) == sorted(row["name"] for row in living)


def _is_slot(data: bytes) -> bool:
    return sealing.read_header(data).type == sealing.SLOT
