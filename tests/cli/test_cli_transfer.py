"""Accounts in from files and out to files."""

import json
from pathlib import Path

import pytest

from support_cli import Device, secret_file

URIS = [
    "otpauth://totp/Acme:me?secret=JBSWY3DPEHPK3PXP&digits=8",
    "otpauth://hotp/Bank:me?secret=KRSXG5CTMVRXEZLU&counter=41",
    "otpauth://steam/Steam:me?secret=GEZDGNBVGY3TQOJQ",
]
SECRETS = ["JBSWY3DPEHPK3PXP", "KRSXG5CTMVRXEZLU", "GEZDGNBVGY3TQOJQ"]
LIST = "\n".join([*URIS, "otpauth://sms/x?secret=JBSWY3DPEHPK3PXP", ""]).encode()
PASSWORD = "the password of the file"
REAL_EXPORTS = Path(__file__).parents[2].parent / "shared/fixtures/exports"


@pytest.fixture
def password(tmp_path: Path) -> Path:
    return secret_file(tmp_path / "password", PASSWORD)


def _secrets(device: Device) -> list[str]:
    return sorted(item["secret"] for item in device.run("list", "--show-secrets").ok().json)


def test_an_import_names_what_it_left_out(device: Device) -> None:
    result = device.run("import", "-", stdin=LIST).ok().json
    assert (len(result["added"]), result["changed"], result["unchanged"]) == (3, [], [])
    assert [left["entry"] for left in result["skipped"]] == ["line 4"]
    assert result["backed_up"] is True
    assert _secrets(device) == sorted(SECRETS)


def test_importing_again_changes_nothing(device: Device) -> None:
    device.run("import", "-", stdin=LIST).ok()
    again = device.run("import", "-", stdin=LIST, json=False).ok()
    assert "0 added, 0 changed, 3 unchanged." in again.out
    assert "line 4: unknown type sms" in again.out


def test_a_dry_run_changes_nothing(device: Device) -> None:
    before = device.run("log").ok().out
    assert len(device.run("import", "-", "--dry-run", stdin=LIST).ok().json["added"]) == 3
    assert device.run("log").ok().out == before


def test_imported_placeholders_stay_here(device: Device) -> None:
    device.run("import", "-", "--placeholder", stdin=LIST).ok()
    assert all(item["placeholder"] for item in device.run("list").ok().json)


@pytest.mark.parametrize("wanted", ["otpauth", "aegis", "aegis-encrypted"])
def test_an_export_reads_back_as_the_same_accounts(device: Device, tmp_path: Path, password: Path, wanted: str) -> None:
    device.run("import", "-", stdin=LIST).ok()
    target = tmp_path / "export"
    words = ["--format", wanted, "--yes", "--passphrase-file", str(password)]
    result = device.run("export", target, *words).ok().json
    assert result == {"file": str(target), "format": wanted, "accounts": 3, "left_out": []}
    assert target.stat().st_mode & 0o777 == 0o600
    assert any(secret.encode() in target.read_bytes() for secret in SECRETS) is (wanted != "aegis-encrypted")
    second = Device(tmp_path / "second", tmp_path / "elsewhere")
    second.init()
    second.run("import", target, "--passphrase-file", password).ok()
    assert _secrets(second) == _secrets(device)


def test_what_a_format_cannot_hold_is_named_before_anything_is_written(device: Device, tmp_path: Path) -> None:
    device.add(URIS[0], "--placeholder")
    kept = device.add(URIS[1])["id"]
    target = tmp_path / "export"
    shown = device.run("export", target, "--format", "otpauth", "--yes", json=False).ok()
    assert "Left out" in shown.err
    assert "1 account written" in shown.out
    assert kept[:8] not in shown.err
    result = device.run("export", target, "--format", "otpauth", "--yes", "--force").ok().json
    assert (result["accounts"], len(result["left_out"])) == (1, 1)


def test_a_clear_export_needs_a_yes_and_an_existing_file_a_force(device: Device, tmp_path: Path) -> None:
    target = tmp_path / "export"
    told = device.run("export", target, "--format", "aegis")
    assert (told.code, told.error["kind"]) == (2, "usage")
    assert not target.exists()
    target.write_text("precious")
    told = device.run("export", target, "--format", "aegis", "--yes")
    assert (told.code, told.error["kind"]) == (1, "refused")
    assert target.read_text() == "precious"


def test_an_encrypted_export_without_a_password_exits_3(device: Device, tmp_path: Path) -> None:
    told = device.run("export", tmp_path / "export")
    assert (told.code, told.error["kind"]) == (3, "locked")
    assert "--passphrase-file" in told.error["hint"]


def test_an_export_to_a_pipe_is_the_export_alone(device: Device) -> None:
    device.run("import", "-", stdin=LIST).ok()
    out = device.run("export", "-", "--format", "aegis", "--yes", json=False).ok().out
    assert len(json.loads(out)["db"]["entries"]) == 3


def test_a_wrong_password_of_a_file_exits_3_and_none_too(device: Device, tmp_path: Path, password: Path) -> None:
    device.add(URIS[0])
    target = tmp_path / "export"
    device.run("export", target, "--passphrase-file", password).ok()
    wrong = secret_file(tmp_path / "wrong", "another password")
    assert device.run("import", target, "--passphrase-file", wrong).error["kind"] == "wrong-passphrase"
    assert device.run("import", target).error["kind"] == "locked"
    assert device.run("import", target).code == 3


def test_a_real_aegis_export_is_imported_whole(device: Device, tmp_path: Path) -> None:
    real = REAL_EXPORTS / "aegis_encrypted.json"
    if not real.exists():
        pytest.skip("the real exports lie beside the checkout, and are not there")
    result = device.run("import", real, "--passphrase-file", secret_file(tmp_path / "test", "test")).ok().json
    assert (len(result["added"]), result["skipped"]) == (7, [])
