"""Real Syncthing nodes on loopback, with everything off that would reach into the world."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from support_system import eventually, killed_at_the_end, need

FOLDER = "otpkeep-test"
KEY = "of-a-test"
"""What Syncthing's own interface asks of those who use it."""
ARRIVES_WITHIN_S = 90.0
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
        self._processes = ExitStack()
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
        address, key = root.find("gui/address"), root.find("gui/apikey")
        options = root.find("options")
        assert address is not None
        assert options is not None
        assert key is not None
        address.text, key.text = f"127.0.0.1:{self.gui}", KEY
        for name, value in {**OFF, "listenAddress": f"tcp://127.0.0.1:{self.port}"}.items():
            for old in options.findall(name):
                options.remove(old)
            ElementTree.SubElement(options, name).text = value

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the node until the end of the block."""
        with ExitStack() as processes:
            self._processes = processes
            self.start()
            try:
                yield
            finally:
                self.stop()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have a running node stopped during the block."""
        self.stop()
        yield
        self.start()

    def start(self) -> None:
        """Run the node from now on, inside a block of `running`."""
        with (self.home / "node.log").open("ab") as log:
            words = ["syncthing", "serve", f"--home={self.home}", "--no-browser", "--no-restart"]
            started = subprocess.Popen(words, env=self._env, stdout=log, stderr=log, start_new_session=True)
        self._process = self._processes.enter_context(killed_at_the_end(started))
        eventually(lambda: self._is_up(started), "Syncthing answers", ARRIVES_WITHIN_S)

    def stop(self) -> None:
        """Stop the node as the system would: from now on it learns of nothing, and nobody learns of it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, (self.home / "node.log").read_text()[-2000:]
        try:
            return bool(self._ask("GET", "system/ping"))
        except (urllib.error.URLError, ConnectionError):
            return False

    # its own interface (docs.syncthing.net/dev/rest.html)

    def ignore(self, *patterns: str) -> None:
        """Have the node leave files of these patterns alone from now on, by its `.stignore`; none ends that."""
        self._ask("POST", "db/ignores", {"ignore": patterns}, folder=FOLDER)

    def become(self, kind: str) -> None:
        """Make the node's folder one of `sendreceive` or `receiveonly`."""
        self._ask("PATCH", f"config/folders/{FOLDER}", {"type": kind})

    def revert(self) -> None:
        """Do what the button "Revert Local Changes" does."""
        self._ask("POST", "db/revert", folder=FOLDER)

    def is_at_rest(self) -> bool:
        """Scan the folder; return whether the node then neither has nor lacks anything that another one it sees has."""
        self._ask("POST", "db/scan", folder=FOLDER)
        row = self._ask("GET", "db/status", folder=FOLDER)
        others = self._ask("GET", "db/completion", folder=FOLDER)
        return (row["state"], row["needTotalItems"], others["completion"]) == ("idle", 0, 100)

    def local_changes(self) -> int:
        """Return how many files a receive-only node has that the others have not, or have otherwise."""
        return int(self._ask("GET", "db/status", folder=FOLDER)["receiveOnlyChangedFiles"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: str) -> Any:
        url = f"http://127.0.0.1:{self.gui}/rest/{path}?{urllib.parse.urlencode(query)}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, data, {"X-API-Key": KEY}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own node
            said = answer.read()
        return json.loads(said) if said else None


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
