"""Time travel by the command line: looking back, undo and redo, restore."""

from __future__ import annotations

import json

from support_cli import Device, only

SECRET = "JBSWY3DPEHPK3PXP"
OTHER = "KRSXG5CTMVRXEZLU"
TOTP = f"otpauth://totp/Acme:me?secret={SECRET}"
HOTP = f"otpauth://hotp/Bank:me?secret={OTHER}&counter=7"


def edited(device: Device, *words: str) -> str:
    return str(device.run("edit", *words).ok().json["event"])


def test_an_account_deleted_by_mistake_comes_back_with_secret_note_tags_and_counter(device: Device) -> None:
    account = device.add(HOTP, "--note", "ask Anna", "--tag", "work", "--tag", "bank")["id"]
    device.run("code", account).ok()
    before = only(device, "--show-secrets")
    gone = device.run("rm", account).ok().json

    undone = device.run("undo").ok().json

    assert undone.keys() == {"id", "event", "backed_up"}
    assert (undone["id"], undone["backed_up"]) == (account, True)
    after = only(device, "--show-secrets")
    assert after | {"changed": ""} == before | {"changed": ""}
    assert (after["secret"], after["note"], after["tags"], after["counter"]) == (OTHER, "ask Anna", ["bank", "work"], 8)
    rows = {row["event"]: row for row in device.run("log", account).ok().json}
    assert (rows[gone["event"]]["undone"], rows[undone["event"]]["undone"]) == (True, False)
    assert rows[undone["event"]]["undoes"] == gone["event"]


def test_restore_brings_a_deleted_account_back_by_its_name(device: Device) -> None:
    added = device.add(HOTP, "--note", "ask Anna", "--tag", "work")
    device.run("code", "bank").ok()
    device.run("edit", "bank", "--note", "", "--tag", "").ok()
    device.run("rm", "bank").ok()

    dry = device.run("restore", "bank", "--to", added["event"], "--dry-run").ok().json
    assert device.run("list").ok().json == []
    restored = device.run("restore", "bank", "--to", added["event"]).ok().json

    assert restored.keys() == {"id", "event", "backed_up"}
    item = only(device, "--show-secrets")
    assert (item["secret"], item["note"], item["tags"], item["counter"]) == (OTHER, "ask Anna", ["work"], 8)
    assert [row["id"] for row in dry["added"]] == [added["id"]]
    assert (dry["removed"], dry["changed"]) == ([], [])
    assert device.run("restore", "bank", "--to", added["event"]).ok().json["event"] is None


def test_undo_walks_back_and_undoing_the_undos_walks_forth(device: Device) -> None:
    device.add(TOTP)
    edited(device, "acme", "--name", "two")
    edited(device, "acme", "--name", "three")

    undos = [device.run("undo").ok().json["event"] for _ in range(2)]
    assert only(device)["name"] == "me"
    device.run("undo", undos[1]).ok()
    assert only(device)["name"] == "two"
    device.run("undo", undos[0]).ok()
    assert only(device)["name"] == "three"
    assert sum(row["undone"] for row in device.run("log", "acme").ok().json) == 2


def test_undo_of_an_add_deletes_and_then_nothing_is_left_to_undo(device: Device) -> None:
    device.add(TOTP)

    device.run("undo").ok()

    assert device.run("list").ok().json == []
    assert only(device, "--deleted")["issuer"] == "Acme"
    left = device.run("undo")
    assert (left.code, left.error["kind"]) == (1, "not-found")


def test_a_later_edit_of_the_same_field_refuses_and_is_named(device: Device) -> None:
    device.add(TOTP)
    first = edited(device, "acme", "--name", "two")
    edited(device, "acme", "--note", "of another field")
    second = edited(device, "acme", "--name", "three")

    refused = device.run("undo", first)

    assert (refused.code, refused.error["kind"]) == (1, "refused")
    assert second in refused.error["message"]
    assert "--force" in refused.error["hint"]
    assert only(device)["name"] == "three"
    forced = device.run("undo", first, "--force").ok().json["event"]
    assert only(device)["name"] == "me"
    again = device.run("undo", second)
    assert (again.code, forced in again.error["message"]) == (1, True)
    assert device.run("undo", first).ok().json["event"] is None


def test_list_and_show_at_a_moment_are_as_they_were(device: Device) -> None:
    added = device.add(TOTP, "--note", "old")
    seen = only(device, "--show-secrets")
    shown = device.run("show", "acme").ok().json
    device.add(HOTP)
    edited(device, "acme", "--note", "new")
    device.run("rm", "acme").ok()

    assert only(device, "--at", added["event"], "--show-secrets") == seen
    assert only(device, "--at", shown["changed"], "--show-secrets") == seen
    past = device.run("show", "acme", "--at", added["event"]).ok().json
    assert past == shown
    assert device.run("list", "--at", "2 hours ago").ok().json == []
    assert device.run("list", "--at", added["event"], "--deleted").ok().json == []
    assert only(device, "--at", "now", "--deleted")["note"] == "new"
    assert device.run("show", "bank", "--at", added["event"]).error["kind"] == "not-found"


def test_the_difference_of_two_moments_without_secrets(device: Device) -> None:
    kept = device.add(TOTP)
    device.run("edit", "acme", "--name", "you").ok()
    device.run("edit", "acme", "--secret-file", "-", stdin=OTHER.encode()).ok()
    other = device.add(HOTP)

    found = device.run("diff", kept["event"]).ok()

    assert [row["id"] for row in found.json["added"]] == [other["id"]]
    (changed,) = found.json["changed"]
    assert changed["id"] == kept["id"]
    assert changed["changes"]["name"] == ["me", "you"]
    assert changed["changes"].keys() == {"name", "otp"}
    backwards = device.run("diff", other["event"], kept["event"]).ok().json
    assert [row["id"] for row in backwards["removed"]] == [other["id"]]
    text = device.run("diff", kept["event"], json=False).ok().out
    assert "+ " in text
    assert "name: me -> you" in text
    for shown in (found.out, text, json.dumps(backwards)):
        assert SECRET not in shown
        assert OTHER not in shown
    assert device.run("diff", "now", json=False).ok().out == "Nothing changed.\n"


def test_restore_of_everything_is_one_commit_and_needs_a_yes(device: Device) -> None:
    first = device.add(HOTP, "--note", "n")
    device.add(TOTP)
    moment = edited(device, "acme", "--tag", "a")
    before = device.run("list").ok().json
    device.run("rm", "bank").ok()
    device.run("edit", "acme", "--name", "you", "--tag", "").ok()
    device.add(f"otpauth://totp/New:x?secret={SECRET}{SECRET}")

    refused = device.run("restore", "--to", moment)
    assert (refused.code, refused.error["kind"]) == (2, "usage")
    dry = device.run("restore", "--to", moment, "--dry-run").ok().json
    assert [row["id"] for row in dry["added"]] == [first["id"]]
    assert [row["issuer"] for row in dry["removed"]] == ["New"]
    assert dry["changed"][0]["changes"] == {"name": ["you", "me"], "tags": [None, ["a"]]}
    assert device.run("diff", moment).ok().json["removed"] != []
    restored = device.run("restore", "--to", moment, "--yes").ok().json

    assert restored.keys() == {"events", "backed_up"}
    assert len(restored["events"]) == 3
    after = device.run("list").ok().json
    assert [row | {"changed": ""} for row in after] == [row | {"changed": ""} for row in before]
    assert device.run("restore", "--to", moment, "--yes").ok().json["events"] == []
    assert device.run("diff", moment).ok().json == {"added": [], "removed": [], "changed": []}


def test_undone_events_are_marked_in_words_where_nothing_can_be_struck(device: Device) -> None:
    device.add(TOTP)
    event = edited(device, "acme", "--name", "you")
    device.run("undo", event).ok()

    lines = device.run("log", "acme", json=False).ok().out.splitlines()

    assert any(event in line and "[undone]" in line for line in lines)
    assert any(f"[undoes {event}]" in line for line in lines)
    assert "\x1b" not in "".join(lines)


def test_what_a_moment_is_not_is_told(device: Device) -> None:
    device.add(TOTP)

    assert device.run("diff", "tomorrow").code == 2
    assert device.run("list", "--at", "abcdef.99999").error["kind"] == "not-found"
    assert device.run("restore", "acme").code == 2
    missing = device.run("restore", "acme", "--to", "2 hours ago")
    assert (missing.code, missing.error["kind"]) == (1, "not-found")
