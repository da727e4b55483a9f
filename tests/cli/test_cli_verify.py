"""`otpkeep verify` as people and programs call it: exit codes, the shape of --json, and a repair."""

from __future__ import annotations

from pathlib import Path

from otpkeep_cli.render.health import status_text, verify_text
from support_cli import Device
from support_system import ours, uri

PROBLEM = {"file", "device", "kind", "message", "hint"}


def test_doubt_exits_4_and_a_repair_of_anothers_file_exits_0_with_and_without_a_daemon(tmp_path: Path) -> None:
    # given: a file of beta's, which alpha has read
    alpha, beta = Device(tmp_path / "alpha", tmp_path / "folder"), Device(tmp_path / "beta", tmp_path / "folder")
    alpha.init()
    alpha.add(uri(1))
    beta.recover()
    before = set(ours(alpha.folder))
    beta.add(uri(2))
    (file,) = set(ours(alpha.folder)) - before
    alpha.run("list").ok()
    whole = file.read_bytes()

    # when: it is cut short, then: that is named, and makes the exit code
    file.write_bytes(whole[:700])
    told = alpha.run("verify")
    assert told.code == 4
    assert told.json.keys() == {"ok", "depth", "files", "events", "problems"}
    (problem,) = told.json["problems"]
    assert problem.keys() == PROBLEM
    assert (problem["file"], problem["device"], problem["kind"]) == (file.name, "beta", "damaged")
    assert "verify --repair" in alpha.run("verify", json=False).out

    # when: it is repaired without a daemon
    done = alpha.run("verify", "--repair", json=False)
    assert done.code == 0, done
    assert f"{file.name}: put back from this device" in done.out
    assert file.read_bytes() == whole

    # when: it goes altogether, and a daemon that is locked repairs it, by names alone
    with alpha.daemon():
        alpha.run("lock").ok()
        file.unlink()
        assert alpha.run("verify", "--depth", "names").code == 4
        repaired = alpha.run("verify", "--repair", "--depth", "names", env={"OTPKEEP_PASSPHRASE_FILE": None}).ok().json
        assert [(row["file"], row["done"]) for row in repaired["repaired"]] == [(file.name, True)]
        assert file.read_bytes() == whole

    # and: what nobody here has is no success
    name = alpha.folder / f"{'ab' * 16}.otpk"
    name.write_bytes(whole[:-1])
    failed = alpha.run("verify", "--repair")
    assert failed.code == 4
    (row,) = failed.json["repaired"]
    assert (row["file"], row["done"]) == (name.name, False)
    assert "otpkeep verify --repair` on a device that has read it" in row["hint"]
    name.unlink()

    # and: a drill is kept for status, and leaves nothing in this device's home
    drill = alpha.run("verify", "--depth", "rebuild").ok().json["drill"]
    assert (drill["ok"], drill["accounts"]) == (True, 2)
    assert alpha.run("status").ok().json["drill"]["ok"] is True
    assert not list(alpha.home.rglob("drill"))


def test_what_was_found_and_done_is_readable() -> None:
    problem = {"file": "b.otpk", "device": "phone", "kind": "gap", "message": "It is gone.", "hint": "Start it there."}
    found = {
        "ok": False,
        "depth": "rebuild",
        "files": 2,
        "events": 9,
        "problems": [problem],
        "drill": {"ok": False, "duration_ms": 1234, "files": 2, "events": 9, "accounts": 1, "digest": "x"},
        "repaired": [
            {"file": "a.otpk", "device": "phone", "done": True, "message": "put back", "hint": ""},
            {"file": "b.otpk", "device": "phone", "done": False, "message": "not repaired", "hint": "Start it there."},
        ],
    }
    assert verify_text(found).splitlines() == [
        "a.otpk: put back.",
        "b.otpk: not repaired.",
        "! b.otpk of phone: It is gone.",
        "  Start it there.",
        "Looked at 2 files, 9 events.",
        "Restore drill: rebuilt 1 account from 2 files in 1.2 s, not the same as on this device.",
    ]
    assert "There was nothing to put back." in verify_text({**found, "repaired": []})
    drill = {"time": "2026-01-01T00:00:00.000Z", "duration_ms": 2100, "ok": True, "accounts": 3, "problems": 0}
    assert "2026-01-01T00:00:00.000Z, 3 accounts in 2.1 s: the same as here" in status_text({"drill": drill}, 100)
    assert "verify --depth rebuild" in status_text({"drill": None}, 100)
