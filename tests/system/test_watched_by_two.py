"""Two daemons on two real Syncthing nodes watch one and the same Aegis file in the synced folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support_cli import Device
from support_syncthing import Node, two_nodes
from support_system import eventually, listed, logged, picture, status
from support_watch import AegisFile, Entry, entry_of

ARRIVES_WITHIN_S = 60.0
QUIET_LOOKS = 5
"""So many looks in a row must find nothing new before things count as settled."""


@pytest.fixture
def nodes(tmp_path: Path) -> list[Node]:
    return two_nodes(tmp_path)


class Side:
    """One machine: its node, its device, and the file as its applications see it."""

    def __init__(self, node: Node, device: Device) -> None:
        self.node, self.device = node, device
        self.path = node.folder / "aegis.json"

    def change(self, act: Callable[[list[Entry]], object]) -> None:
        """Have the other program on this machine rewrite the file."""
        file = AegisFile.__new__(AegisFile)
        file.path = self.path
        file.change(act)

    def accounts(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in listed(self.device)}

    def copies(self) -> list[str]:
        return sorted(path.name for path in self.node.folder.glob("aegis.sync-conflict-*"))


def _eventually(condition: Callable[[], object], what: str) -> None:
    eventually(condition, what, ARRIVES_WITHIN_S)


def settled(here: Side, there: Side) -> None:
    """Wait until both sides show the same, look after look."""
    seen: list[object] = []

    def quiet() -> bool:
        now = (picture(here.device), picture(there.device))
        seen.append(now)
        return now[0] == now[1] and len(seen) > QUIET_LOOKS and all(one == now for one in seen[-QUIET_LOOKS:])

    _eventually(quiet, "both sides come to rest alike")


def edit(number: int, **values: Any) -> Callable[[list[Entry]], object]:
    def act(entries: list[Entry]) -> None:
        next(entry for entry in entries if entry["name"] == f"name{number}").update(values)

    return act


@pytest.mark.parametrize("two_way", [False, True])
def test_one_file_watched_by_two_gives_one_account_an_entry(nodes: list[Node], tmp_path: Path, two_way: bool) -> None:
    here, there = (
        Side(node, Device(tmp_path / name, node.folder / "otpkeep"))
        for node, name in zip(nodes, ("alpha", "beta"), strict=True)
    )
    words = ["--two-way"] if two_way else []
    here.device.init()
    AegisFile(here.path, entries=6)
    with ExitStack() as daemons:
        with here.node.running(), there.node.running():
            _eventually(there.path.exists, "the file is carried")
            _eventually(lambda: any(there.device.folder.glob("*.otpk")), "the vault is carried")
            _eventually(lambda: there.device.run("recover", there.device.folder).code == 0, "beta recovers")
            for side in (here, there):
                daemons.enter_context(side.device.daemon())
                side.device.run("watch", side.path, *words).ok()
            # when: both sides edit while all runs
            here.change(edit(0, note="von alpha"))
            _eventually(lambda: there.accounts()["name0"]["note"] == "von alpha", "alpha's edit arrives")
            _eventually(lambda: "von alpha" in there.path.read_text(), "the file is carried")
            there.change(lambda entries: entries.append(entry_of(10)))
            _eventually(lambda: "name10" in here.accounts(), "beta's add arrives")
            _eventually(lambda: "name10" in here.path.read_text(), "the file is carried")
            here.change(lambda entries: entries.remove(next(e for e in entries if e["name"] == "name5")))
            _eventually(lambda: "name5" not in there.accounts(), "alpha's delete arrives")
            settled(here, there)
        # and: both edit the file while nothing is carried, so that Syncthing must make a conflict copy
        here.change(edit(1, note="nur alpha"))
        here.change(lambda entries: entries.append(entry_of(20)))
        there.change(edit(2, note="nur beta"))
        there.change(lambda entries: entries.append(entry_of(30)))
        _eventually(lambda: "name20" in here.accounts() and "name30" in there.accounts(), "both are captured")
        with here.node.running(), there.node.running():
            _eventually(lambda: here.copies() and there.copies(), "Syncthing makes a conflict copy")
            settled(here, there)
            # then: nothing is lost, and each entry is one account
            for side in (here, there):
                found = side.accounts()
                assert set(found) == {f"name{n}" for n in (0, 1, 2, 3, 4, 10, 20, 30)}
                assert [found[f"name{n}"]["note"] for n in range(3)] == ["von alpha", "nur alpha", "nur beta"]
                assert len(listed(side.device)) == len(found)
                assert {"held"} & {problem["kind"] for problem in status(side.device)["problems"]} == set()
            # and: no edit was made again and again
            kinds = Counter((row["account"], row["kind"], str(row["changes"])) for row in logged(here.device))
            assert max(times for (_, kind, _), times in kinds.items() if kind.startswith("account.")) <= 2
            conflicts = {problem["kind"] for problem in status(here.device)["problems"]}
            assert "conflict-copy" in conflicts
