"""Two real Syncthing nodes on this machine carry the folder between two daemons."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from support_cli import Device
from support_syncthing import Node, two_nodes
from support_system import eventually, listed, ours, picture, uri

ARRIVES_WITHIN_S = 60.0


@pytest.fixture
def nodes(tmp_path: Path) -> list[Node]:
    return two_nodes(tmp_path)


def test_edits_cross_by_themselves_and_both_devices_end_alike(nodes: list[Node], tmp_path: Path) -> None:
    here, there = nodes
    alpha, beta = Device(tmp_path / "alpha", here.folder), Device(tmp_path / "beta", there.folder)
    # given: a vault on one side, carried to the other, where a device recovers
    alpha.init()
    kept, changed, deleted, apart, later = (alpha.add(uri(n))["id"] for n in (1, 2, 3, 21, 22))
    with ExitStack() as daemons:
        with here.running(), there.running():
            _eventually(lambda: _names(here) == _names(there), "the vault is carried")
            assert beta.recover()["waiting_for"] == []
            for device in (alpha, beta):
                daemons.enter_context(device.daemon())
            # then: every edit of a running pair arrives by itself, whichever side made it
            added = alpha.add(uri(4))["id"]
            _eventually(lambda: added in _ids(beta), "an add of alpha arrives")
            beta.run("edit", changed, "--note", "from beta").ok()
            _eventually(lambda: _note(alpha, changed) == "from beta", "an edit of beta arrives")
            alpha.run("rm", deleted).ok()
            _eventually(lambda: deleted not in _ids(beta), "a delete of alpha arrives")
            beta.run("rm", apart).ok()
            _eventually(lambda: apart not in _ids(alpha), "a delete of beta arrives")
            back = beta.add(uri(5))["id"]
            _eventually(lambda: back in _ids(alpha), "an add of beta arrives")
        # when: both go on while one node, and then the other, is stopped
        _edit_apart(alpha, beta, kept, "one", uri(6))
        with here.running():
            _edit_apart(beta, alpha, kept, "two", uri(7))
            beta.run("rm", later).ok()
        with there.running():
            _edit_apart(alpha, beta, kept, "three", uri(8))
        assert picture(alpha) != picture(beta)
        # then: once both run again, both devices have all of it
        with here.running(), there.running():
            _eventually(lambda: picture(alpha) == picture(beta), "both show the same")
            assert [row["name"] for row in listed(beta) if "konto" in row["name"]][-3:] == [
                "konto6",
                "konto7",
                "konto8",
            ]
            assert not {deleted, apart, later} & _ids(alpha)
            assert {row["event"] for row in _notes(alpha, kept)} == {row["event"] for row in _notes(beta, kept)}
            assert len(_notes(alpha, kept)) == 6
            _eventually(lambda: _names(here) == _names(there), "both folders hold the same files")
            for device in (alpha, beta):
                assert device.run("verify", "--depth", "rebuild").ok().json["problems"] == []
    assert not [path for node in nodes for path in node.folder.rglob("*") if "sync-conflict" in path.name]


def _edit_apart(first: Device, second: Device, account: str, word: str, line: str) -> None:
    """Have one device add and both edit, while nothing crosses."""
    first.add(line)
    first.run("edit", account, "--note", f"{word} of first").ok()
    second.run("edit", account, "--note", f"{word} of second").ok()


def _eventually(condition: object, what: str) -> None:
    assert callable(condition)
    eventually(condition, what, ARRIVES_WITHIN_S)


def _names(node: Node) -> set[str]:
    return {path.name for path in ours(node.folder)}


def _ids(device: Device) -> set[str]:
    return {row["id"] for row in listed(device)}


def _note(device: Device, account: str) -> str:
    return next((str(row["note"]) for row in listed(device) if row["id"] == account), "")


def _notes(device: Device, account: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = device.run("log", account).ok().json
    return [row for row in rows if "note" in str(row["changes"])]
