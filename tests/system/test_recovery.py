"""A vault comes back whole on another device, and its codes are those that others compute."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support_cli import Device, secret_file
from support_system import OWN_EXPORTS, SHARED_EXPORTS, base32, listed, need

MOMENTS = [0, 29, 30, 59, 1111111109, 1234567890, 1699999999, 2000000000, 4102444800, 20000000000]
OATHTOOL_DIGITS = (6, 7, 8)
STEAM = "23456789BCDFGHJKMNPQRTVWXY"
WHAT_STAYS = ("type", "issuer", "name", "algorithm", "digits", "period", "counter", "note", "tags", "favourite")


@pytest.fixture(params=["shared", "own"])
def export(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A real encrypted export and the file that holds its password."""
    password = secret_file(tmp_path / "password", "test" if request.param == "shared" else "test-only")
    if request.param == "own":
        return OWN_EXPORTS / "aegis-encrypted.json", password
    if not SHARED_EXPORTS.is_dir():
        pytest.skip(f"the shared exports are not at {SHARED_EXPORTS}")
    return SHARED_EXPORTS / "aegis_encrypted.json", password


def test_an_imported_export_comes_back_from_the_folder_with_the_codes_of_others(
    export: tuple[Path, Path], tmp_path: Path
) -> None:
    need("oathtool")
    file, password = export
    # given: a device that imports a real export
    first, second = Device(tmp_path / "first", tmp_path / "folder"), Device(tmp_path / "second", tmp_path / "folder")
    first.init()
    done = first.run("import", file, "--passphrase-file", password).ok().json
    assert len(done["added"]) >= 7
    assert {"totp", "hotp", "steam"} <= {account["type"] for account in listed(first)}
    # when: another one recovers
    recovered = second.recover()
    # then: it has all accounts, as they were, and makes everybody's codes
    assert sorted(recovered["added"]) == sorted(recovered["ready"]) == sorted(done["added"])
    assert recovered["needs_action"] == []
    assert listed(second) == listed(first)
    with second.daemon():
        for account in listed(second):
            _codes_are_those_of_others(second, account)


def test_the_own_vault_file_holds_the_same_accounts_for_a_third_device(
    export: tuple[Path, Path], tmp_path: Path
) -> None:
    file, password = export
    # given: a second device of a vault with imported accounts
    first, second = Device(tmp_path / "first", tmp_path / "folder"), Device(tmp_path / "second", tmp_path / "folder")
    first.init()
    first.run("import", file, "--passphrase-file", password).ok()
    second.recover()
    # when: a stranger to this vault gets nothing but its own vault file and the passphrase
    third = Device(tmp_path / "third", tmp_path / "elsewhere")
    third.init()
    done = third.run("import", second.home / "vault.aegis.json", "--passphrase-file", second.passphrase_file).ok().json
    # then: the accounts are the same, but for their ids
    assert done["skipped"] == []
    assert _values(listed(third)) == _values(listed(second))


def test_codes_equal_the_vectors_of_rfc_4226_and_6238_on_the_recovered_device(tmp_path: Path) -> None:
    # given: the accounts of the RFCs, written in one device and recovered on another
    first, second = Device(tmp_path / "first", tmp_path / "folder"), Device(tmp_path / "second", tmp_path / "folder")
    first.init()
    lines = [
        f"otpauth://totp/{algorithm}?secret={base32(_seed(size))}&algorithm={algorithm}&digits=8"
        for algorithm, size in SEEDS.items()
    ]
    lines.append(f"otpauth://hotp/RFC4226?secret={base32(_seed(20))}&counter=0")
    first.run("import", "-", stdin="\n".join(lines).encode()).ok()
    second.recover()
    with second.daemon():
        # then: time-based codes are those of RFC 6238, appendix B
        for algorithm, moment, expected in RFC6238:
            assert _code(second, algorithm, moment)["code"] == expected
        # and: counter-based ones those of RFC 4226, appendix D, each used up by showing it
        used = [second.run("code", "RFC4226").ok().json for _ in RFC4226]
    assert [(shown["code"], shown["counter"]) for shown in used] == [(c, n) for n, c in enumerate(RFC4226)]


SEEDS = {"SHA1": 20, "SHA256": 32, "SHA512": 64}
RFC4226 = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
RFC6238 = [
    ("SHA1", 59, "94287082"),
    ("SHA256", 59, "46119246"),
    ("SHA512", 59, "90693936"),
    ("SHA1", 1111111109, "07081804"),
    ("SHA256", 1111111109, "68084774"),
    ("SHA512", 1111111109, "25091201"),
    ("SHA1", 1111111111, "14050471"),
    ("SHA256", 1111111111, "67062674"),
    ("SHA512", 1111111111, "99943326"),
    ("SHA1", 1234567890, "89005924"),
    ("SHA256", 1234567890, "91819424"),
    ("SHA512", 1234567890, "93441116"),
    ("SHA1", 2000000000, "69279037"),
    ("SHA256", 2000000000, "90698825"),
    ("SHA512", 2000000000, "38618901"),
    ("SHA1", 20000000000, "65353130"),
    ("SHA256", 20000000000, "77737706"),
    ("SHA512", 20000000000, "47863826"),
]


def _seed(size: int) -> bytes:
    return (b"1234567890" * 7)[:size]


def _code(device: Device, account: str, moment: int) -> dict[str, Any]:
    shown: dict[str, Any] = device.run("code", account, "--peek", "--at", _rfc3339(moment)).ok().json
    return shown


def _rfc3339(moment: int) -> str:
    done = subprocess.run(["date", "-u", "-d", f"@{moment}", "+%Y-%m-%dT%H:%M:%SZ"], capture_output=True, check=True)
    return done.stdout.decode().strip()


def _codes_are_those_of_others(device: Device, account: dict[str, Any]) -> None:
    if account["type"] == "hotp":
        shown = device.run("code", account["id"], "--peek").ok().json
        assert shown["counter"] == account["counter"]
        if account["digits"] in OATHTOOL_DIGITS:
            assert shown["code"] == _oathtool(account, account["counter"], "1s")
        return
    for moment in MOMENTS:
        shown = _code(device, account["id"], moment)
        if account["type"] == "totp" and account["digits"] in OATHTOOL_DIGITS:
            assert shown["code"] == _oathtool(account, moment, f"{account['period']}s")
        if account["type"] == "steam":
            assert shown["code"] == _steam(account, moment)


def _oathtool(account: dict[str, Any], moment: int, step: str) -> str:
    """Ask oathtool; HOTP at a counter is TOTP with steps of one second at that second."""
    words = ["oathtool", f"--totp={account['algorithm']}", "-s", step, "-N", f"@{moment}", "-d", str(account["digits"])]
    done = subprocess.run(
        [*words, "-b", "-"], input=str(account["secret"]).encode(), stdout=subprocess.PIPE, check=True
    )
    return done.stdout.decode().strip()


def _steam(account: dict[str, Any], moment: int) -> str:
    """Steam's code, written down from its public description and not from our own."""
    secret = base64.b32decode(account["secret"] + "=" * (-len(account["secret"]) % 8))
    mac = hmac.new(secret, (moment // account["period"]).to_bytes(8, "big"), hashlib.sha1).digest()
    at = mac[19] & 15
    number = int.from_bytes(mac[at : at + 4], "big") & 0x7FFFFFFF
    return "".join(STEAM[number // 26**place % 26] for place in range(5))


def _values(accounts: list[dict[str, Any]]) -> list[str]:
    kept = [{key: account[key] for key in (*WHAT_STAYS, "secret", "pin")} for account in accounts]
    return sorted(json.dumps(account, sort_keys=True) for account in kept)
