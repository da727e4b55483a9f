"""Files of other programs, and the hands that change them."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support_system import OWN_EXPORTS, base32

Entry = dict[str, Any]
PLAIN = OWN_EXPORTS / "aegis-plain.json"
ENCRYPTED = OWN_EXPORTS / "aegis-encrypted.json"
PASSWORD = "test-only"


class AegisFile:
    """A plain Aegis file that another program rewrites, in place or, as most do, by a rename.

    It is written anew unless it is `there`.
    """

    def __init__(self, path: Path, *, entries: int | None = None, there: bool = False) -> None:
        self.path = path
        if there:
            return
        document = json.loads(PLAIN.read_text())
        if entries is not None:
            document["db"]["entries"] = [entry_of(n) for n in range(entries)]
        self.write(document)

    def read(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.path.read_text())
        return document

    def write(self, document: Any) -> None:
        """Replace the file as careful programs do, through a name that Syncthing does not carry."""
        unfinished = self.path.with_name(f"~syncthing~{self.path.name}.tmp")
        unfinished.write_text(json.dumps(document, ensure_ascii=False, indent=4))
        unfinished.rename(self.path)

    def change(self, act: Callable[[list[Entry]], object]) -> None:
        """Have `act` change the list of entries in place."""
        document = self.read()
        act(document["db"]["entries"])
        self.write(document)

    def entry(self, **wanted: Any) -> Entry:
        """Return the one entry with these values."""
        found = [e for e in self.read()["db"]["entries"] if all(e.get(k) == v for k, v in wanted.items())]
        assert len(found) == 1, found
        return found[0]

    @property
    def names(self) -> list[str]:
        return [entry["name"] for entry in self.read()["db"]["entries"]]


def entry_of(number: int, **values: Any) -> Entry:
    """Return the entry of an invented account; what Aegis might add some day is in it, too."""
    secret = f"Eintrag {number:012}".encode()
    info = {"secret": base32(secret), "algo": "SHA1", "digits": 6, "period": 30, "future": number}
    made = {
        "type": "totp",
        "uuid": uuid_of(number),
        "name": f"name{number}",
        "issuer": f"Firma {number}",
        "note": "",
        "favorite": False,
        "icon": None,
        "groups": [],
        "usage_count": number,
        "info": info,
    }
    return copy.deepcopy(made | values)


def uuid_of(number: int) -> str:
    return f"0b5e0000-0000-4000-9000-{number:012x}"


def in_place(path: Path, data: bytes) -> None:
    """Write over a file as careless programs do: the same inode, the old bytes gone first."""
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
