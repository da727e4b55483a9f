"""A scene in which two devices do all there is to do, for the tests that search what it left behind."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support_cli import PASSPHRASE, Device
from support_system import base32, eventually, listed, status

ORDINARY = [hashlib.sha256(f"ordinary {n}".encode()).digest()[:20] for n in range(3)]
PLACEHOLDERS = [hashlib.sha256(f"placeholder {n}".encode()).digest()[:20] for n in range(3)]
TEXTS = {
    "issuer": "Vertrauensbank-Ü",
    "name": "wilhelmine.mustermann",
    "note": "steht-nur-in-dieser-notiz",
    "tag": "schlagwort-für-niemanden",
    "label alpha": "Omas-Küchenrechner",
    "label beta": "Reise-Telefon-Ä",
    "passphrase": PASSPHRASE,
}
UUID = "0b5e0000-0000-4000-8000-00000000000{}"


class Scene:
    """Two devices that did all there is to do, with everything that the system showed of their processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.alpha, self.beta = Device(root / "a", root / "folder"), Device(root / "b", root / "folder")
        self.temporary = root / "tmp"
        self.temporary.mkdir(mode=0o700)
        self.folder = root / "cloud" / "new" / "folder"
        self.said = ""
        self.processes: dict[str, bytes] = {}
        self.code = ""

    def play(self) -> None:
        env = {"TMPDIR": str(self.temporary)}
        label, folder = TEXTS["label alpha"], self.folder
        self.code = self._run(self.alpha, "init", "--folder", folder, "--device", label)["recovery_code"]
        with self._watched(), self.alpha.daemon(**env, PYTHONUNBUFFERED="1"):
            self._run(self.alpha, "import", "-", stdin=export(ORDINARY[:2], 1, TEXTS["note"]))
            self._run(self.alpha, "import", "-", stdin=export(ORDINARY[:2], 1, TEXTS["note"] + " und mehr"))
            self._run(self.alpha, "import", "-", "--placeholder", stdin=export(PLACEHOLDERS[:2], 5, TEXTS["note"]))
            self._run(self.alpha, "add", "-", stdin=hotp_uri(ORDINARY[2]))
            added = self._run(self.alpha, "add", "-", "--placeholder", stdin=hotp_uri(PLACEHOLDERS[2]))["id"]
            self._run(self.alpha, "edit", added, "--digits", "8")
            for words in (
                ["code", added],
                ["list"],
                ["log"],
                ["status"],
                ["verify", "--depth", "rebuild"],
                ["devices"],
            ):
                self._run(self.alpha, *words)
            self._fail(self.alpha, "add", "-", stdin=hotp_uri(PLACEHOLDERS[2]))
            self._fail(self.alpha, "code", "nobody of this name", stdin=b"")
            self._fail(self.alpha, "add", "-", stdin=hotp_uri(ORDINARY[2]) + b"&digits=99")
            self._fail(self.alpha, "import", "-", stdin=export(ORDINARY, 1, TEXTS["note"])[:-5])
        self._run(self.beta, "recover", folder, "--device", TEXTS["label beta"])
        with self._watched(), self.beta.daemon(**env), self.alpha.daemon(**env):
            gone = next(row["id"] for row in listed(self.beta) if not row["placeholder"])
            self._run(self.beta, "rm", gone)
            eventually(lambda: len(listed(self.alpha)) == 5, "the delete arrives")
            self.said += json.dumps([status(self.alpha)["problems"], status(self.beta)["problems"]])

    def _run(self, device: Device, *words: str | Path, stdin: bytes | None = None) -> Any:
        done = device.run(*words, stdin=stdin, env={"TMPDIR": str(self.temporary)}).ok()
        self.said += done.err
        return done.json

    def _fail(self, device: Device, *words: str, stdin: bytes) -> None:
        done = device.run(*words, "-v", "-v", stdin=stdin, env={"TMPDIR": str(self.temporary)})
        assert done.code != 0
        self.said += done.out + done.err

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Collect command lines and environments of all other processes for as long as the block runs."""
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,))
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(0.01):
            for process in Path("/proc").glob("[0-9]*"):
                if process.name != str(os.getpid()):
                    for name in ("cmdline", "environ"):
                        try:
                            shown = (process / name).read_bytes()
                        except OSError:
                            continue
                        self.processes[f"{process.name} {name} {hash(shown)}"] = shown


def export(secrets: list[bytes], first: int, note: str) -> bytes:
    """Return a plain Aegis export with the texts that are searched for."""
    group = {"uuid": UUID.format(9), "name": TEXTS["tag"]}
    entries = [
        {
            "type": "totp",
            "uuid": UUID.format(first + n),
            "name": TEXTS["name"],
            "issuer": TEXTS["issuer"],
            "note": note,
            "icon": None,
            "favorite": False,
            "groups": [group["uuid"]],
            "info": {"secret": base32(secret), "algo": "SHA1", "digits": 6, "period": 30},
        }
        for n, secret in enumerate(secrets)
    ]
    db = {"version": 3, "entries": entries, "groups": [group]}
    return json.dumps({"version": 1, "header": {"slots": None, "params": None}, "db": db}).encode()


def hotp_uri(secret: bytes) -> bytes:
    return f"otpauth://hotp/{TEXTS['issuer']}:{TEXTS['name']}?secret={base32(secret)}&counter=3".encode()
