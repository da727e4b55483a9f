"""One device by its command line: add, edit, remove, look, compute codes."""

import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from support_cli import Device, environment, only, run_program

SECRET = "JBSWY3DPEHPK3PXP"
OTHER = "KRSXG5CTMVRXEZLU"
TOTP = f"otpauth://totp/Acme:me?secret={SECRET}"
HOTP = f"otpauth://hotp/Bank:me?secret={SECRET}&counter=7"
# RFC 4226, appendix D, for the ASCII secret 12345678901234567890.
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_CODES = ["755224", "287082", "359152", "969429", "338314"]


def test_what_was_added_is_listed_with_its_secret_only_on_request(device: Device) -> None:
    added = device.add(TOTP, "--note", "line", "--tag", "work", "--tag", "a")
    assert added.keys() == {"id", "event", "backed_up"}
    assert added["backed_up"] is True
    item = only(device)
    assert (item["issuer"], item["name"], item["type"], item["tags"]) == ("Acme", "me", "totp", ["a", "work"])
    assert "secret" not in item
    assert only(device, "--show-secrets")["secret"] == SECRET
    assert only(device, "--tag", "work")["id"] == added["id"]
    assert device.run("list", "--tag", "absent").ok().json == []


def test_an_account_can_be_described_by_options(device: Device, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(f" {SECRET[:8].lower()} {SECRET[8:]}== \n")
    words = ["--issuer", "Acme", "--name", "me", "--algorithm", "sha-256", "--digits", "8", "--period", "60"]
    device.run("add", *words, "--secret-file", secret).ok()
    item = only(device, "--show-secrets")
    assert (item["algorithm"], item["digits"], item["period"]) == ("SHA256", 8, 60)
    assert item["secret"] == SECRET


def test_an_edit_changes_what_was_named_and_an_empty_text_unsets(device: Device) -> None:
    account = device.add(TOTP, "--note", "line", "--tag", "work")["id"]
    device.run("edit", account[:6], "--name", "you", "--note", "", "--tag", "").ok()
    item = only(device)
    assert (item["issuer"], item["name"], item["note"] or "", item["tags"]) == ("Acme", "you", "", [])


def test_an_edit_that_changes_nothing_writes_no_event(device: Device) -> None:
    device.add(TOTP)
    assert device.run("edit", "acme", "--name", "me").ok().json["event"] is None
    assert len(device.run("log", "acme").ok().json) == 1


def test_a_secret_can_be_replaced_and_stays_out_of_the_log(device: Device) -> None:
    device.add(TOTP)
    device.run("edit", "acme", "--secret-file", "-", stdin=OTHER.encode()).ok()
    assert only(device, "--show-secrets")["secret"] == OTHER
    for result in (device.run("log"), device.run("log", json=False), device.run("show", "acme", json=False)):
        assert SECRET not in result.ok().out
        assert OTHER not in result.out


def test_a_removed_account_is_listed_as_deleted_only(device: Device) -> None:
    account = device.add(TOTP)["id"]
    removed = device.run("rm", "acme", json=False).ok()
    assert "history" in removed.out
    assert device.run("list").ok().json == []
    assert only(device, "--deleted")["id"] == account
    assert device.run("show", account).error["kind"] == "not-found"


def test_the_log_is_newest_first_and_names_old_and_new(device: Device) -> None:
    device.add(TOTP)
    device.run("edit", "acme", "--name", "you").ok()
    rows = device.run("log", "acme").ok().json
    assert [row["kind"] for row in rows] == ["account.edit", "account.add"]
    assert rows[0]["changes"]["name"] == ["me", "you"]
    assert device.run("event", rows[0]["event"]).ok().json == rows[0]
    assert "name: me -> you" in device.run("log", "--limit", "1", json=False).ok().out
    assert device.run("log", "--until", "2 hours ago").ok().json == []
    assert len(device.run("log", "acme", "--since", "an hour ago", "--device", "laptop").ok().json) == 2


@pytest.mark.skipif(shutil.which("oathtool") is None, reason="oathtool is not installed")
def test_a_code_of_a_moment_is_the_one_that_oathtool_computes(device: Device) -> None:
    device.add(TOTP)
    moment = "2033-05-18T03:33:20Z"
    expected = subprocess.run(
        ["oathtool", "--totp", "-b", "--now", moment, SECRET], capture_output=True, text=True, check=True
    ).stdout.strip()
    found = device.run("code", "acme", "--at", moment).ok().json
    assert found["code"] == expected
    window = [datetime.fromisoformat(found[key]) for key in ("valid_from", "valid_until")]
    assert window[0] <= datetime.fromisoformat(moment) < window[1]
    assert device.run("code", "acme", "--at", moment, json=False).ok().out == f"{expected}\n"


def test_a_counter_code_is_used_up_unless_peeked(device: Device) -> None:
    device.add(f"otpauth://hotp/Bank:me?secret={RFC_SECRET}&counter=0")
    peeked = device.run("code", "bank", "--peek").ok().json
    used = [device.run("code", "bank").ok().json for _ in range(3)]
    assert [peeked["code"], *(found["code"] for found in used)] == [RFC_CODES[0], *RFC_CODES[:3]]
    assert only(device)["counter"] == 3


def test_a_placeholder_gives_codes_here_and_says_so(device: Device) -> None:
    device.add(TOTP, "--placeholder")
    assert only(device)["placeholder"] is True
    assert device.run("code", "acme").ok().json["code"].isdecimal()
    assert "this device only" in device.run("list", json=False).ok().out


def test_ambiguous_words_exit_2_and_list_the_candidates(device: Device) -> None:
    first, second = device.add(TOTP)["id"], device.add(HOTP)["id"]
    told = device.run("code", "me")
    assert (told.code, told.error["kind"]) == (2, "ambiguous")
    assert {item["id"] for item in told.error["candidates"]} == {first, second}
    shown = device.run("code", "me", json=False)
    assert (shown.code, shown.out) == (2, "")
    assert f"{first[:8]}  Acme (me)" in shown.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["show", "nobody"], 1),
        (["code", "00000000"], 1),
        (["rm", "nobody"], 1),
        (["edit", "nobody", "--name", "x"], 1),
        (["edit", "acme", "--counter", "3"], 1),
        (["edit", "acme", "--type", "motp"], 2),
        (["edit", "acme", "--name", "x" * 5000], 1),
        (["edit", "acme", "--tag", "x" * 300], 1),
        (["edit", "acme", "--secret-file", "-"], 1),
        (["code", "acme", "--at", "1969-12-31T00:00:00Z"], 1),
        (["event", "nonsense"], 2),
        (["event", "abcdef.1"], 1),
        (["log", "nobody"], 1),
        (["import", "-", "--format", "csv"], 1),
        (["import", "-", "--passphrase-file", "missing"], 1),
        (["init"], 1),
        (["recover", "/nowhere"], 1),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_what_cannot_be_done_says_why_and_what_next(device: Device, words: list[str], code: int) -> None:
    device.add(TOTP)
    before = device.run("log").ok().out
    told = device.run(*words)
    assert told.code == code, (told.out, told.err)
    assert told.error["message"]
    assert told.error["hint"], told.error
    shown = device.run(*words, json=False)
    assert (shown.code, shown.out) == (code, "")
    assert shown.err.startswith("otpkeep: ")
    assert "Traceback" not in told.err + shown.err
    assert device.run("log").ok().out == before


def test_names_that_would_steer_the_terminal_do_not(device: Device) -> None:
    evil = "\x1b]0;owned\x07\u202eevil[red]"
    device.run("add", "--issuer", evil, "--note", f"a\n{evil}", "--secret-file", "-", stdin=SECRET.encode()).ok()
    for words in (["list"], ["show", "evil"], ["log"], ["code", "evil"]):
        out = device.run(*words, json=False).ok().out
        assert not {"\x1b", "\x07", "\u202e"} & set(out), words
    assert only(device)["issuer"] == evil


def test_without_any_passphrase_and_terminal_it_exits_3(device: Device) -> None:
    told = device.run("list", env={"OTPKEEP_PASSPHRASE_FILE": None})
    assert (told.code, told.error["kind"]) == (3, "locked")
    assert "OTPKEEP_PASSPHRASE_FILE" in told.error["hint"]


def test_a_wrong_passphrase_exits_3(device: Device, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.touch(0o600)
    wrong.write_text("not this one at all")
    told = device.run("list", env={"OTPKEEP_PASSPHRASE_FILE": str(wrong)})
    assert (told.code, told.error["kind"]) == (3, "wrong-passphrase")


def test_status_works_without_a_key_and_ends_with_0(device: Device) -> None:
    found = device.run("status", env={"OTPKEEP_PASSPHRASE_FILE": None}).ok().json
    assert found["daemon"] == {"running": False, "pid": None, "locked": None, "version": None}
    assert found["problems"] == []


@pytest.mark.parametrize(
    "words", [["list"], ["status"], ["verify"], ["add", "-"], ["backup", "now"], ["daemon", "run"]]
)
def test_a_device_that_is_not_set_up_says_how_to_begin(tmp_path: Path, words: list[str]) -> None:
    told = run_program([*words, "--json"], environment(OTPKEEP_HOME=str(tmp_path / "none")), TOTP.encode())
    assert told.code == 1
    assert "otpkeep init" in told.error["hint"]


def test_backup_off_records_and_on_publishes_what_waited(device: Device) -> None:
    device.run("backup", "off").ok()
    assert device.add(TOTP)["backed_up"] is False
    assert device.run("status").ok().json["folder"]["pending"] == 1
    on = device.run("backup", "on").ok().json
    assert (on["backup"], on["pending"]) == (True, 0)
    assert device.run("verify").ok().json["ok"] is True


def test_a_folder_that_is_gone_stops_no_edit_and_is_exit_5_where_it_matters(device: Device) -> None:
    device.folder.rename(device.folder.with_name("elsewhere"))
    added = device.run("add", "-", stdin=TOTP.encode(), json=False).ok()
    assert "not yet in the folder" in added.err
    for words in (["backup", "now"], ["verify"]):
        told = device.run(*words)
        assert (told.code, told.error["kind"]) == (5, "folder-unreachable")
    assert [problem["kind"] for problem in device.run("status").ok().json["problems"]] == ["folder-unreachable"]


def test_verify_exits_4_and_names_the_damaged_file(device: Device) -> None:
    device.add(TOTP)
    victim = max(device.folder.glob("*.otpk"), key=lambda path: path.stat().st_mtime_ns)
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    told = device.run("verify", "--depth", "names")
    assert (told.code, told.json["ok"]) == (4, False)
    assert victim.name in [problem["file"] for problem in told.json["problems"]]
    assert victim.name in device.run("verify", "--depth", "names", json=False).out
