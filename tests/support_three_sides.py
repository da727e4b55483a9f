"""Three devices of one vault, each with a running daemon and a Syncthing node that carries its folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support_cli import Device
from support_daemon_faults import asking
from support_syncthing import ARRIVES_WITHIN_S, Node
from support_system import eventually, need


@dataclass(frozen=True, slots=True)
class Side:
    """A device whose folder a node carries."""

    device: Device
    node: Node

    def ask(self, op: str, **args: Any) -> Any:
        """Return what the device's daemon answers."""
        with asking(self.device) as call:
            return call(op, args)

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Return the accounts by id, secrets included."""
        rows = self.ask("list", tag=None, deleted=False, secrets=True)
        return {row["id"]: row for row in rows}

    def log(self, account: str | None = None) -> list[dict[str, Any]]:
        """Return the log, newest first."""
        rows: list[dict[str, Any]] = self.ask("log", account=account, limit=None, device=None, since=None, until=None)
        return rows

    def folder_status(self) -> dict[str, Any]:
        """Return what `status` says of the folder."""
        row: dict[str, Any] = self.ask("status")["folder"]
        return row

    def problems(self, kind: str) -> list[str]:
        """Return the messages of the problems of a kind that `status` shows."""
        return [row["message"] for row in self.ask("status")["problems"] if row["kind"] == kind]

    def look(self, times: int = 3) -> None:
        """Have the daemon look at the folder so many times."""
        for _ in range(times):
            self.ask("backup", mode="now", here=False)

    def names(self) -> set[str]:
        """Return the names of all files with our ending, conflict copies included."""
        return {path.name for path in self.node.folder.glob("[!.~]*.otpk")}

    def files(self) -> dict[str, bytes]:
        """Return what is in these files, by name."""
        return {path.name: path.read_bytes() for path in self.node.folder.glob("[!.~]*.otpk")}

    def made(self) -> set[str]:
        """Return the names of the files that the device has made itself."""
        with sqlite3.connect(f"file:{self.device.home}/store.sqlite3?mode=ro", uri=True) as store:
            own = "SELECT name FROM files WHERE owner = (SELECT value FROM meta WHERE key = 'device')"
            names = {name for (name,) in store.execute(own)}
        store.close()
        return names

    def stamps(self) -> dict[str, tuple[int, int]]:
        """Return inode and time of change of each file: another one for each that was written."""
        stats = {path.name: path.stat() for path in self.node.folder.glob("[!.~]*.otpk")}
        return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}

    def conflicts(self) -> dict[str, bytes]:
        """Return the content of the files that Syncthing made of those that lost a conflict, by name."""
        return {path.name: path.read_bytes() for path in self.node.folder.glob("[!.~]*.sync-conflict-*.otpk")}

    def put_backs(self) -> list[str]:
        """Return the lines of the daemon's log that say that a file was put back."""
        log = self.device.home.parent / f"{self.device.home.name}.log"
        return [line for line in log.read_text().splitlines() if "put-back" in line]


def in_step(sides: Sequence[Side]) -> bool:
    """Tell whether all show the same accounts and log, and their nodes have carried every file to every folder."""
    return _are_alike(sides) and all(side.node.is_at_rest() for side in sides) and _are_alike(sides)


def _are_alike(sides: Sequence[Side]) -> bool:
    shown = [(side.files(), side.accounts(), side.log()) for side in sides]
    return all(one == shown[0] for one in shown)


def arrives(condition: Any, what: str) -> Any:
    """Return the first true value of a condition that waits for Syncthing."""
    return eventually(condition, what, ARRIVES_WITHIN_S)


@contextmanager
def three_sides(root: Path) -> Iterator[list[Side]]:
    """Yield three devices of one vault with running daemons, and running nodes that know each other."""
    need("syncthing")
    nodes = [Node(root / f"node-{name}", root / f"folder-{name}") for name in "abc"]
    sides = [
        Side(Device(root / name, node.folder), node)
        for name, node in zip(("alpha", "beta", "gamma"), nodes, strict=True)
    ]
    sides[0].device.init()
    with ExitStack() as running:
        for side in sides:
            side.node.configure(nodes)
            running.enter_context(side.node.running())
        for joining in sides[1:]:
            arrives(lambda: len({frozenset(side.names()) for side in sides}) == 1, "the vault is carried")
            joining.device.recover()
        for side in sides:
            (side.device.home / "config.toml").write_text("look_every_s = 1\n")
            running.enter_context(side.device.daemon())
        arrives(lambda: in_step(sides), "all three know each other")
        yield sides
