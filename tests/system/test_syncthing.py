"""Two real Syncthing nodes on this machine carry the folder between two daemons."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support_cli import Device
from support_system import eventually, killed_at_the_end, listed, need, ours, picture, uri

FOLDER = "otpkeep-test"
ARRIVES_WITHIN_S = 60.0
OFF = {
    "globalAnnounceEnabled": "false",
    "localAnnounceEnabled": "false",
    "relaysEnabled": "false",
    "natEnabled": "false",
    "crashReportingEnabled": "false",
    "startBrowser": "false",
    "autoUpgradeIntervalH": "0",
    "urAccepted": "-1",
    "reconnectionIntervalS": "1",
}


class Node:
    """One Syncthing node with a home of its own, which carries one folder."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.port, self.gui = _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        words = ["syncthing", "generate", f"--home={home}", "--no-default-folder"]
        subprocess.run(words, env=self._env, capture_output=True, check=True, timeout=60)
        self._config = home / "config.xml"
        device = ElementTree.parse(self._config).getroot().find("device")  # noqa: S314 - our own node wrote it
        assert device is not None
        self.id = device.attrib["id"]

    @property
    def _env(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.home), "STNOUPGRADE": "1", "STNODEFAULTFOLDER": "1"}

    def configure(self, nodes: list[Node]) -> None:
        """Let this node know these nodes, of which it is one, and nobody else in the world."""
        tree = ElementTree.parse(self._config)  # noqa: S314 - as above
        root = tree.getroot()
        for old in [*root.findall("device"), *root.findall("folder")]:
            root.remove(old)
        folder = ElementTree.SubElement(root, "folder", id=FOLDER, label=FOLDER, path=str(self.folder))
        folder.attrib |= {"type": "sendreceive", "rescanIntervalS": "3600", "fsWatcherEnabled": "true"}
        folder.attrib |= {"fsWatcherDelayS": "1", "ignorePerms": "false", "autoNormalize": "true"}
        for node in nodes:
            ElementTree.SubElement(folder, "device", id=node.id)
            device = ElementTree.SubElement(root, "device", id=node.id, name=node.id[:7], compression="never")
            ElementTree.SubElement(device, "address").text = f"tcp://127.0.0.1:{node.port}"
        self._set_options(root)
        tree.write(self._config)

    def _set_options(self, root: ElementTree.Element) -> None:
        address = root.find("gui/address")
        options = root.find("options")
        assert address is not None
        assert options is not None
        address.text = f"127.0.0.1:{self.gui}"
        for name, value in {**OFF, "listenAddress": f"tcp://127.0.0.1:{self.port}"}.items():
            for old in options.findall(name):
                options.remove(old)
            ElementTree.SubElement(options, name).text = value

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the node until the end of the block."""
        with (self.home / "node.log").open("ab") as log:
            process = subprocess.Popen(
                ["syncthing", "serve", f"--home={self.home}", "--no-browser", "--no-restart"],
                env=self._env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            with killed_at_the_end(process):
                eventually(lambda: self._is_up(process), "Syncthing answers", 60.0)
                yield
                process.send_signal(signal.SIGTERM)
                process.wait(60)

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, (self.home / "node.log").read_text()[-2000:]
        with socket.socket() as knock:
            return knock.connect_ex(("127.0.0.1", self.port)) == 0


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def nodes(tmp_path: Path) -> list[Node]:
    """Two nodes that know each other and don't run yet."""
    need("syncthing")
    made = [Node(tmp_path / f"node-{name}", tmp_path / f"folder-{name}") for name in "ab"]
    for node in made:
        node.folder.mkdir()
        node.configure(made)
    return made


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
