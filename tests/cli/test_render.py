"""Values as text for people."""

from typing import Any

from otpkeep_cli.render.accounts import list_text, show_text
from otpkeep_cli.render.code import code_text
from otpkeep_cli.render.health import devices_text, status_text, verify_text
from otpkeep_cli.render.history import log_text
from otpkeep_cli.render.recovery import recover_text
from otpkeep_cli.render.table import table
from otpkeep_cli.render.transfer import import_text

ITEM: dict[str, Any] = {
    "id": "3f2a91c0" + "0" * 24,
    "type": "totp",
    "issuer": "Git[red]Hub",
    "name": "me",
    "algorithm": "SHA1",
    "digits": 6,
    "period": 30,
    "counter": None,
    "note": "line one\nline \x1b[2Jtwo",
    "tags": ["work"],
    "favourite": True,
    "placeholder": False,
    "ready": True,
    "deleted": False,
    "created": "2026-05-01T12:00:00Z",
    "changed": "2026-05-02T12:00:00Z",
    "conflict": {"name": [{"value": "old\x1bme", "device": "phone", "time": "2026-05-02T11:00:00Z"}]},
}
ROW: dict[str, Any] = {
    "event": "9f86d0.17",
    "time": "2026-05-02T12:00:00Z",
    "device": "lap\x07top",
    "kind": "account.edit",
    "account": ITEM["id"],
    "issuer": "GitHub",
    "name": "me",
    "changes": {"name": ["a", "b"], "otp": [{"secret": "JBSWY3DP"}, {"secret": "KRSXG5A"}], "note": ["x", None]},
    "concurrent": True,
    "undone": False,
}


def test_list_shows_marks_and_the_losers_of_a_conflict() -> None:
    text = list_text([ITEM, {**ITEM, "conflict": None, "placeholder": True, "ready": False}], 200)
    assert "Git[red]Hub" in text
    assert "favourite, conflict" in text
    assert "favourite, set up again" in text
    assert "name was also set by phone at 2026-05-02T11:00:00Z: old\\x1bme" in text


def test_list_has_no_column_for_secrets_unless_there_are_some() -> None:
    assert "SECRET" not in list_text([ITEM], 200)
    assert "JBSWY3DP" in list_text([{**ITEM, "secret": "JBSWY3DP"}], 200)


def test_show_keeps_the_lines_of_a_note_and_no_escape() -> None:
    text = show_text({**ITEM, "history": [ROW]})
    assert "  line one\n  line \\x1b[2Jtwo" in text
    assert "totp, SHA1, 6 digits, 30 s" in text
    assert "9f86d0.17" in text


def test_log_reads_time_device_what_old_and_new_without_secrets() -> None:
    lines = log_text([ROW]).split("\n")
    assert lines[0].split("  ") == [
        "2026-05-02T12:00:00Z",
        "9f86d0.17",
        "lap\\x07top",
        "account.edit",
        "GitHub (me) 3f2a91c0",
        "[concurrent]",
    ]
    assert "    name: a -> b" in lines
    assert "    note: x -> unset" in lines
    assert "JBSWY3DP" not in log_text([ROW])
    assert "KRSXG5A" not in log_text([ROW])


def test_a_piped_code_is_the_code_alone() -> None:
    found = {
        "id": ITEM["id"],
        "issuer": "GitHub",
        "name": "me",
        "code": "012345",
        "valid_until": "1970-01-01T00:01:00Z",
    }
    assert code_text(found, None, at_given=False) == "012345"
    assert code_text(found, 42.5, at_given=False) == "012345   GitHub (me), 18 s left"


def test_a_counter_code_shows_its_counter() -> None:
    found = {"id": ITEM["id"], "issuer": "", "name": "me", "code": "012345", "counter": 7}
    assert code_text(found, 0.0, at_given=False) == "012345   me, counter 7"


def test_tables_fold_to_the_width_and_lose_nothing() -> None:
    text = table(["a"], [["0123456789" * 5]], 20)
    assert max(map(len, text.splitlines())) <= 20
    assert "".join(text.splitlines()[1:]) == "0123456789" * 5


def test_status_names_problems_first_and_survives_what_is_unknown() -> None:
    locked = {
        "vault": "aa" * 16,
        "device": {"id": "bb" * 16, "name": "lap\x1btop"},
        "backup": False,
        "accounts": None,
        "events": 3,
        "last_event": None,
        "folder": {
            "path": "/x",
            "local_only": True,
            "reachable": False,
            "published": 1,
            "pending": 2,
            "waiting_for": None,
            "seen_by": None,
        },
        "devices": 1,
        "daemon": {"running": True, "pid": 7, "locked": True},
        "watched": [],
        "jobs": [{"name": "verify", "last": None, "next": "2026-01-01T00:00:00.000Z", "ok": False}],
        "verified": {"time": "2025-12-25T00:00:00.000Z", "depth": "content", "ok": False, "files": 8, "problems": 2},
        "problems": [{"kind": "stale", "message": "Nothing arrives.", "hint": "Look."}],
    }
    text = status_text(locked, 100)
    assert text.startswith("! Nothing arrives.\n  Look.\n")
    assert "off on this device" in text
    assert "/x (can't be reached; on this machine only: not a backup)" in text
    assert "lap\\x1btop" in text
    assert "process 7, locked" in text
    assert "2025-12-25T00:00:00.000Z, content, 8 files: problems: 2" in text
    assert text.splitlines()[-1].split() == ["verify", "never", "2026-01-01T00:00:00.000Z", "failed"]


def test_verify_names_file_and_device() -> None:
    problem = {"file": "ab.otpk", "device": "phone", "kind": "integrity", "message": "Cut short.", "hint": "Copy it."}
    text = verify_text({"ok": False, "depth": "content", "files": 2, "events": 9, "problems": [problem]})
    assert "! ab.otpk of phone: Cut short." in text
    assert verify_text({"ok": True, "depth": "names", "files": 2, "events": None, "problems": []}).startswith(
        "Everything"
    )


def test_devices_mark_this_one() -> None:
    devices = [
        {"id": "cd" * 16, "name": "a", "this": True, "joined": None, "last_seen": None, "events": 2, "state": "active"}
    ]
    assert "a (this device)" in devices_text(devices, 100)


def test_import_and_recover_give_a_reason_for_everything_left() -> None:
    result = {
        "added": ["a"],
        "changed": [],
        "unchanged": ["b", "c"],
        "skipped": [{"entry": "line 3", "reason": "unknown type x"}],
        "ready": ["a"],
        "needs_action": [{"id": "ff" * 16, "reason": "set up again"}],
        "backed_up": True,
    }
    text = import_text(result, dry_run=True)
    assert "1 would be added" in text
    assert "line 3: unknown type x" in text
    assert "ffffffff  set up again" in text
    more = {
        "vault": "v",
        "device": "d",
        "devices": [],
        "waiting_for": [{"device": "phone", "events": 2}],
        "digest": "x",
    }
    more |= {"digest": "0123456789abcdef", "replaced_passphrase": True}
    recovered = recover_text(result | more)
    assert "1 account gives codes now." in recovered
    assert "Digest: 0123456789abcdef" in recovered
    assert "was replaced on another device" in recovered
    assert "Incomplete: waiting for 2 events of phone" in recovered
