"""Moving the mirror to another folder: the new one is proven complete before the old one is left.

    a pass over the old folder ─▶ all files of the store into the new one, each read back
      ─▶ what the new one had of this vault into the store ─▶ one transaction that names the new one

Until that transaction this device works with the old folder, and after it with the new; files that an interrupted move
has copied harm nobody, and the next attempt finds them there. Nothing in the old folder is removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from otpkeep_daemon.device import is_slot_of
from otpkeep_daemon.engine import Engine
from otpkeep_daemon.folder import Found, Listing, Published, RealFolder, create_folder
from otpkeep_daemon.home import check_apart, real
from otpkeep_daemon.readme import FOLDER_README
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.store import Store, StoredFile
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import sealing
from otpkeep_protocol.errors import Malformed, OtpkeepError, Refused, Unreachable
from otpkeep_protocol.naming import EXTENSION, NameKind, classify, hidden_name

_BATCH = 32
LOCAL_FOLDER = "folder"
"""The name of the plain local folder, the one place beside otpkeep's own data that may be a folder."""


class Relocation:
    """One move. The lock is taken in small steps; whoever calls may hold it, too."""

    def __init__(self, store: Store, engine: Engine, replica: Replica, lock: Turns, data: Path) -> None:
        """`data` is the directory of this device's own data."""
        self._store = store
        self._engine = engine
        self._replica = replica
        self._lock = lock
        self._data = data
        self._known: dict[str, int] = {}
        self._copied: set[bytes] = set()
        self._taken_in = 0

    def run(self, directory: Path, switch: Callable[[RealFolder], None]) -> dict[str, Any]:
        """Move to `directory`, which is made if it is missing; `switch` takes the folder, under the lock.

        Refused if it does not fit, Unreachable if it can't be used: then nothing has changed but for files that were
        copied there. Return {folder, old, moved, files, taken_in, left_behind, old_reachable, other_devices,
        local_only}.
        """
        with self._lock:
            self._check_place(directory)
            old = Path(os.fsdecode(self._store.need("folder")))
        answer = {"folder": shown_path(directory), "old": shown_path(old), "moved": not _same(old, directory)}
        trouble, left = None, 0
        if answer["moved"]:
            trouble = self._engine.run().trouble
            left = self._left_behind(old) if trouble is None else 0
            try:
                self._fill(directory, switch)
            except Unreachable as error:
                raise Unreachable(f"{error.message} The folder is still {shown_path(old)}.", error.hint) from error
        return answer | {"left_behind": left, "old_reachable": trouble is None} | self._facts()

    def _facts(self) -> dict[str, Any]:
        with self._lock:
            return {
                "files": len(self._store.files()),
                "taken_in": self._taken_in,
                "other_devices": len({*self._store.writers().values()} - {self._store.need("device")}),
                "local_only": self._store.get("folder.local") == b"yes",
            }

    def _check_place(self, directory: Path) -> None:
        if not self._engine.publishing:
            raise Refused(
                "backup is off on this device, and moving the folder publishes into the new one; nothing was changed",
                "Run `otpkeep backup on` first.",
            )
        check_apart(self._data, directory)
        inside, local = real(directory), real(self._data)
        if inside.is_relative_to(local) and inside != local / LOCAL_FOLDER:
            raise Refused(
                f"{shown_path(directory)} is among otpkeep's own data, which must stay on this device",
                "Choose a folder that a cloud client carries.",
            )

    def _left_behind(self, old: Path) -> int:
        """Return how many files of the old folder this device could not read, so that they stay behind."""
        with self._lock:
            looked = self._store.looked().values()
            names = {file.name for file in self._store.files()}
            hidden = map(hidden_name, RealFolder(old, self._store.need("tag").decode()).look().placeholders)
        unread = [name for name in hidden if EXTENSION in name and name not in names]
        return len(unread) + sum(verdict.verdict in ("pending", "damaged") for verdict in looked)

    def _fill(self, directory: Path, switch: Callable[[RealFolder], None]) -> None:
        with self._lock:
            folder = RealFolder(directory, self._store.need("tag").decode())
            self._known = {file.name: file.size for file in self._store.files()}
        create_folder(directory)
        listing = folder.look()
        folder.trust(listing)
        self._refuse_others(folder, listing)
        folder.clear_temporaries()
        self._take_in(folder, listing)
        folder.write_readme(FOLDER_README)
        with self._lock:
            files = self._store.files()
        for batch in _batches(files):
            self._lock.give_way()
            with self._lock:
                self._copy(folder, batch)
        with self._lock:
            self._copy(folder, self._store.files())
            self._switch(folder, switch)

    # what the new folder has

    def _refuse_others(self, folder: RealFolder, listing: Listing) -> None:
        """Refuse a folder with files of another vault, or with nothing but such that can't be told yet."""
        vault = self._replica.keys.keyring.vault
        found = [self._vault_of(folder, file) for file in listing.files]
        if any(other not in (None, vault) for other in found):
            raise Refused(
                f"{shown_path(folder.path)} holds another vault; nothing was changed",
                "Choose another folder: one folder, one vault.",
            )
        names = [*(file.name for file in listing.files), *map(hidden_name, listing.placeholders)]
        if vault not in found and any(classify(name) is NameKind.SEALED_NAME for name in names):
            raise Refused(
                f"{shown_path(folder.path)} holds files of a vault that can't be read yet; nothing was changed",
                "Wait until your cloud client has synced it, or choose another folder.",
            )

    def _vault_of(self, folder: RealFolder, file: Found) -> bytes | None:
        """Return the vault that a file says it belongs to, None if it says nothing."""
        if self._is_stored(file):
            return self._replica.keys.keyring.vault
        data = _read(folder, file.name)
        try:
            return None if data is None else sealing.read_header(data).vault
        except Malformed:
            return None

    def _is_stored(self, file: Found) -> bool:
        return self._known.get(file.name) == file.size

    def _take_in(self, folder: RealFolder, listing: Listing) -> None:
        """Read what the store does not hold; slots once more at the end, when the statements that name them are there.

        It is stored as not published, so that an interrupted move does not call it missing from the old folder.
        """
        with self._lock:
            vault, before = self._store.need("vault"), self._store.event_count()
        names = [file.name for file in listing.files if not self._is_stored(file)]
        slots: list[bytes] = []
        for batch in _batches(names):
            self._lock.give_way()
            contents = [data for name in batch if (data := _read(folder, name)) is not None]
            slots += [data for data in contents if is_slot_of(data, vault)]
            with self._lock:
                self._replica.ingest(contents, published=False)
        with self._lock:
            self._replica.ingest(slots, published=False)
            self._taken_in = self._store.event_count() - before

    # what goes there

    def _copy(self, folder: RealFolder, files: Sequence[StoredFile]) -> None:
        """Publish what was not yet copied, which reads each back; one that the store has dropped meanwhile is none."""
        for file in files:
            if file.hash in self._copied or not self._store.has(file.hash):
                continue
            data = self._store.data(file.hash)
            if folder.publish(file.name, data) is Published.TAKEN:
                folder.restore(file.name, data)
            self._copied.add(file.hash)

    def _switch(self, folder: RealFolder, switch: Callable[[RealFolder], None]) -> None:
        """Make the new folder the folder, once it is seen to hold every file of the store."""
        listing, files = folder.look(), self._store.files()
        there = {*(file.name for file in listing.files), *map(hidden_name, listing.placeholders)}
        gone = [file.name for file in files if file.name not in there]
        if gone:
            raise Unreachable(
                f"{len(gone)} files that were just written to {shown_path(folder.path)} are gone again.",
                "See what else works in that folder, and try again.",
            )
        with self._store.transaction():
            self._store.put("folder", os.fsencode(folder.path))
            self._store.put("folder.device", str(listing.device).encode())
            local = real(folder.path).is_relative_to(real(self._data))
            self._store.put("folder.local", b"yes" if local else b"no")
            self._store.mark_published([file.hash for file in files])
            self._store.forget_looked(list(self._store.looked()))
        switch(folder)


def shown_path(path: Path) -> str:
    """Return a path as text that any encoding takes: bytes that are none of a name's are escaped."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _read(folder: RealFolder, name: str) -> bytes | None:
    """Return the bytes of a file that says it is otpkeep's, None for any other and for one that can't be read."""
    try:
        return folder.read(name) if sealing.has_magic(folder.head(name) or b"") else None
    except Unreachable:
        raise
    except OtpkeepError:
        return None


def _is_slot(data: bytes) -> bool:
    try:
        return sealing.read_header(data).type == sealing.SLOT
    except Malformed:
        return False


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
