"""Two real Syncthing nodes on loopback, with everything off that would reach into the world."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from support_system import eventually, killed_at_the_end, need

FOLDER = "otpkeep-test"
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
        ElementTree.SubElement(folder, "maxConflicts").text = "-1"  # left out it means none, and the loser is gone
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


def two_nodes(root: Path) -> list[Node]:
    """Return two nodes that know each other and don't run yet."""
    need("syncthing")
    made = [Node(root / f"node-{name}", root / f"folder-{name}") for name in "ab"]
    for node in made:
        node.folder.mkdir()
        node.configure(made)
    return made
