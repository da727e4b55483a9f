"""Wrong keys, the recovery code, and slots that were damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from otpkeep_protocol import sealing, slots
from support_cli import Device, secret_file
from support_system import flipped, heir, listed, ours, uri

OTHER = "another passphrase of six words"


@pytest.fixture
def alpha(tmp_path: Path) -> Device:
    """A device with one account."""
    made = Device(tmp_path / "alpha", tmp_path / "folder")
    made.init()
    made.add(uri(1))
    return made


def test_a_wrong_passphrase_is_exit_3_everywhere_and_leaves_nothing_behind(alpha: Device, tmp_path: Path) -> None:
    wrong = {"OTPKEEP_PASSPHRASE_FILE": str(secret_file(tmp_path / "wrong", OTHER))}
    before = {path.name for path in alpha.folder.iterdir()}
    beta = heir(alpha)
    for device, words in (
        (alpha, ["list"]),
        (alpha, ["add", "-"]),
        (alpha, ["verify"]),
        (alpha, ["daemon", "run"]),
        (beta, ["recover", str(alpha.folder), "--device", "beta"]),
    ):
        done = device.run(*words, stdin=uri(2).encode(), env=wrong)
        assert (words, done.code, done.error["kind"]) == (words, 3, "wrong-passphrase")
        assert OTHER not in done.out + done.err
    # then: nothing was written, and the right passphrase goes on as if nothing had been
    assert {path.name for path in alpha.folder.iterdir()} == before
    beta.recover()
    assert listed(beta) == listed(alpha)


def test_no_passphrase_at_all_is_exit_3_and_names_how_to_give_one(alpha: Device) -> None:
    done = alpha.run("list", env={"OTPKEEP_PASSPHRASE_FILE": None})
    assert (done.code, done.error["kind"]) == (3, "locked")
    assert "OTPKEEP_PASSPHRASE_FILE" in done.error["hint"]


def test_the_recovery_code_recovers_and_sets_a_new_passphrase_for_everybody(tmp_path: Path) -> None:
    # given: a vault of which somebody has the recovery code, and not the passphrase
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    code = secret_file(tmp_path / "code", alpha.init()["recovery_code"].lower().replace("-", " ") + "\n")
    alpha.add(uri(1))
    beta = heir(alpha)
    new = secret_file(tmp_path / "new", OTHER)
    # when: a device recovers with it
    env = {"OTPKEEP_PASSPHRASE_FILE": None, "OTPKEEP_NEW_PASSPHRASE_FILE": str(new)}
    beta.run("recover", alpha.folder, "--device", "beta", "--code-file", code, env=env).ok()
    # then: the new passphrase opens it, a third device, the first one, and its own vault file
    with_new = {"OTPKEEP_PASSPHRASE_FILE": str(new)}
    assert [row["name"] for row in beta.run("list", env=with_new).ok().json] == ["konto1"]
    gamma = heir(alpha, "gamma")
    gamma.run("recover", alpha.folder, "--device", "gamma", env=with_new).ok()
    other = Device(tmp_path / "other", tmp_path / "elsewhere")
    other.init()
    done = other.run("import", beta.home / "vault.aegis.json", "--passphrase-file", new).ok().json
    assert len(done["added"]) == 1


def test_a_new_passphrase_opens_the_device_whose_old_one_was_forgotten(tmp_path: Path) -> None:
    # given: two devices, the passphrase forgotten, and a third one that set a new one by the recovery code
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    code = secret_file(tmp_path / "code", alpha.init()["recovery_code"])
    alpha.add(uri(1))
    new = secret_file(tmp_path / "new", OTHER)
    env = {"OTPKEEP_PASSPHRASE_FILE": None, "OTPKEEP_NEW_PASSPHRASE_FILE": str(new)}
    heir(alpha).run("recover", alpha.folder, "--device", "beta", "--code-file", code, env=env).ok()
    # then: the new one opens the first device too, though nobody has unlocked it since
    rows = alpha.run("list", env={"OTPKEEP_PASSPHRASE_FILE": str(new)}).ok().json
    assert [row["name"] for row in rows] == ["konto1"]


@pytest.mark.parametrize(
    "wrong", ["", "00000-00000", "0000A-0000A-0000A-0000A-0000A-0000A-0000A-0000A", "not a code at all"]
)
def test_a_wrong_recovery_code_is_exit_3(alpha: Device, tmp_path: Path, wrong: str) -> None:
    code = secret_file(tmp_path / "code", wrong)
    env = {"OTPKEEP_NEW_PASSPHRASE_FILE": str(secret_file(tmp_path / "new", OTHER))}
    beta = heir(alpha)
    done = beta.run("recover", alpha.folder, "--device", "beta", "--code-file", code, env=env)
    assert done.code == 3, done
    assert done.error["hint"]
    beta.recover()


def test_a_flipped_byte_in_one_slot_locks_nobody_out_and_verify_names_the_file(alpha: Device) -> None:
    # given: one of the two passphrase slots has one byte changed, wherever in the file
    slot = _slots(alpha.folder, slots.PASSPHRASE)[0]
    whole = slot.read_bytes()
    for number, at in enumerate((50, 80, 109, 112, 130, len(whole) - 1)):
        slot.write_bytes(flipped(whole, at))
        # then: a device recovers all the same
        beta = heir(alpha, f"beta{number}")
        assert len(beta.recover()["added"]) == 1
        # and: verify says so on a device that knew the file, and on one that did not
        for device in (alpha, beta):
            done = device.run("verify")
            assert done.code == 4
            assert slot.name in [problem["file"] for problem in done.json["problems"]]
            assert all(problem["message"] and problem["hint"] for problem in done.json["problems"])
    slot.write_bytes(whole)
    alpha.run("verify").ok()


def test_damage_to_both_passphrase_slots_leaves_the_recovery_code(tmp_path: Path) -> None:
    alpha = Device(tmp_path / "alpha", tmp_path / "folder")
    code = secret_file(tmp_path / "code", alpha.init()["recovery_code"])
    for slot in _slots(alpha.folder, slots.PASSPHRASE):
        slot.write_bytes(flipped(slot.read_bytes(), 300))
    beta = heir(alpha)
    done = beta.run("recover", alpha.folder, "--device", "beta")
    assert (done.code, done.error["kind"]) == (3, "wrong-passphrase")
    assert "damaged" in done.error["message"]
    env = {"OTPKEEP_NEW_PASSPHRASE_FILE": str(secret_file(tmp_path / "new", OTHER))}
    beta.run("recover", alpha.folder, "--device", "beta", "--code-file", code, env=env).ok()


def _slots(folder: Path, kind: int) -> list[Path]:
    found = []
    for path in ours(folder):
        data = path.read_bytes()
        if sealing.read_header(data).type == sealing.SLOT and slots.slot_kind(data) == kind:
            found.append(path)
    assert len(found) == 2
    return found
