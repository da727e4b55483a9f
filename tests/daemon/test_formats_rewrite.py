"""Changing single entries of a file keeps everything else in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from otpkeep_daemon.formats import aegis, registry
from otpkeep_daemon.formats.entry import Rewrite
from otpkeep_protocol.account import Icon
from support_accounts import totp
from support_watch import ENCRYPTED, PASSWORD, PLAIN, entry_of

ID = b"\x01" * 16


def document(*entries: dict[str, Any], version: int = 3, **db: Any) -> bytes:
    content = {"version": version, "entries": list(entries), **db}
    return json.dumps({"version": 1, "header": {"slots": None, "params": None}, "db": content, "more": 1}).encode()


def rewritten(data: bytes, change: Rewrite) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(aegis.rewrite(data, None, change))
    return made


def test_nothing_to_change_changes_nothing() -> None:
    assert rewritten(PLAIN.read_bytes(), Rewrite()) == json.loads(PLAIN.read_bytes())


def test_a_changed_entry_keeps_its_place_its_uuid_and_what_nobody_knows() -> None:
    entries = [entry_of(n, future=[n], groups=["unknown"]) for n in range(3)]
    before = aegis.read(document(*entries), None).entries[1].account
    account = replace(before, note="n", tags=("t",), icon=Icon("image/png", b"x"))
    made = rewritten(document(*entries, groups=[{"uuid": "g", "name": "old"}]), Rewrite({"entry 2": (ID, account)}))
    entry = made["db"]["entries"][1]
    assert (made["more"], made["db"]["entries"][0], made["db"]["entries"][2]) == (1, entries[0], entries[2])
    assert (entry["uuid"], entry["future"], entry["info"]["future"]) == (entries[1]["uuid"], [1], 1)
    assert (entry["note"], entry["groups"][0]) == ("n", "unknown")
    assert made["db"]["groups"][0] == {"uuid": "g", "name": "old"}
    assert aegis.read(json.dumps(made).encode(), None).entries[1].account == account


def test_an_icon_that_aegis_can_t_hold_leaves_the_one_that_is_there() -> None:
    with_icon = entry_of(0, icon="eA==", icon_mime="image/png")
    account = replace(aegis.read(document(with_icon), None).entries[0].account, icon=Icon("image/tiff", b"y"))
    made = rewritten(document(with_icon), Rewrite({"entry 1": (ID, account)}))
    assert made["db"]["entries"][0]["icon"] == "eA=="


def test_text_that_no_unicode_encoding_holds_stays_as_the_escape_that_it_was() -> None:
    data = document(entry_of(0), entry_of(1, future="\udc6a ü"))
    made = aegis.rewrite(data, None, Rewrite(removed=frozenset({"entry 1"})))
    assert json.loads(made)["db"]["entries"] == json.loads(data)["db"]["entries"][1:]


def test_before_version_3_an_entry_has_one_group_by_name() -> None:
    old = entry_of(0, group="g")
    del old["groups"]
    account = replace(aegis.read(document(old, version=2), None).entries[0].account, tags=("a", "b"))
    made = aegis.rewrite(document(old, version=2), None, Rewrite({"entry 1": (ID, account)}))
    assert aegis.read(made, None).entries[0].account.tags == ("a",)


def test_equal_changes_of_an_encrypted_file_give_equal_bytes_and_others_another_nonce() -> None:
    data = ENCRYPTED.read_bytes()
    key = aegis.master_key(data, lambda: PASSWORD)
    one, again, other = (
        aegis.rewrite(data, key, Rewrite(added=[(ID, totp(name=name))])) for name in ("one", "one", "other")
    )
    assert one == again
    params = [json.loads(made)["header"]["params"]["nonce"] for made in (one, other, data)]
    assert len(set(params)) == 3
    assert json.loads(one)["header"]["slots"] == json.loads(data)["header"]["slots"]
    assert aegis.read(one, lambda: PASSWORD).entries[-1].account == totp(name="one")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_keeps_comments_encoding_and_parameters_that_nobody_knows(encoding: str) -> None:
    lines = ["# ü", "otpauth://totp/A:a?secret=MFRGGZDF&image=x", "", "junk", "otpauth://totp/b?secret=MFRGGZDG"]
    data = "\r\n".join(lines).encode(encoding)
    opened = registry.open_file(data, passphrase=None)
    account = replace(opened.parsed.entries[0].account, note="n")
    change = Rewrite({"line 2": (ID, account)}, frozenset({"line 5"}), [(ID, totp(name="neu"))])
    made = registry.rewrite(data, opened, change).decode(encoding).split("\r\n")
    assert (made[0], made[2:4]) == ("# ü", ["", "junk"])
    assert made[1].endswith("&image=x")
    read = registry.read("\n".join(made).encode(), format=None, passphrase=None)
    assert [e.account for e in read.entries] == [account, totp(name="neu")]
