"""Proof that the backup can be read: the folder's files against what they must be (`otpkeep verify`)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from otpkeep_daemon import findings
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.drill import STEP, Drill, Drilled
from otpkeep_daemon.engine import Engine
from otpkeep_daemon.file_check import FileCheck
from otpkeep_daemon.findings import Finding, Kept
from otpkeep_daemon.folder import Folder
from otpkeep_daemon.folder_content import FolderContent
from otpkeep_daemon.store import Store, StoredFile
from otpkeep_daemon.turns import Turns
from otpkeep_daemon.whole_check import WholeCheck
from otpkeep_protocol.ids import sha256

_CAUSES = ("damaged", "missing", "unreadable", "store")
"""Told first: what a broken file held may be why others are in doubt."""


class Verification:
    """One verification. `names` needs no key; `content` opens every file; `rebuild` makes a restore drill besides.

    It holds the lock for a file or a few at a time, and what needs no store is done without. `step` is called between
    two steps; it may raise to end the verification. `directory` is where a drill may work.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        folder: Folder,
        lock: Turns,
        *,
        accounts: Accounts | None,
        depth: str,
        directory: Path,
        step: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._engine = engine
        self._folder = folder
        self._accounts = accounts
        self._depth = depth
        self._lock = lock
        self._directory = directory
        self._step = step
        self._findings: list[Finding] = []
        self._spoiled: set[str] = set()
        self.repairable: list[str] = []
        """Names of the files of the store that could be put back, once it has run."""

    def run(self) -> dict[str, Any]:
        """Return {ok, depth, files, events, problems}, of a rebuild also `drill`. Unreachable if the folder is."""
        with self._lock:
            known = {file.name: file for file in self._store.files()}
        listing = self._engine.listed()
        whole = self._whole()
        files = FileCheck(self._store, self._folder, self._lock, known=known, whole=whole, label=self._label)
        files.look(listing, self._step)
        self._findings += files.findings
        self._check_store(known.values(), files.there.keys())
        self._report_broken(files, whole)
        if whole is not None:
            self._findings += WholeCheck(whole, files, self._store, self._lock, self._label, self._step).findings()
        drilled = self._drill() if self._depth == "rebuild" else None
        return self._answer(len(files.there), whole, drilled)

    def _whole(self) -> FolderContent | None:
        if self._depth == "names" or self._accounts is None:
            return None
        return FolderContent(self._accounts.replica.keys)

    def _label(self, device: bytes) -> str:
        """Return what people call a device; without keys nothing but its id is known."""
        if self._accounts is None:
            return device.hex()
        with self._lock:
            return self._accounts.names().label(device)

    def _check_store(self, known: Collection[StoredFile], there: Collection[bytes]) -> None:
        """See that this device's own copies are what they were: from them the folder is repaired."""
        files = list(known)
        for first in range(0, len(files), STEP):
            self._step()
            self._lock.give_way()
            for file in files[first : first + STEP]:
                if not self._is_whole(file):
                    self._spoiled.add(file.name)
                    device = self._label(file.owner) if file.owner is not None else None
                    self._findings.append(findings.store_copy(file.name, device, in_folder=file.hash in there))

    def _is_whole(self, file: StoredFile) -> bool:
        with self._lock:
            data = self._store.data(file.hash) if self._store.has(file.hash) else None
        return data is None or sha256(data) == file.hash

    def _report_broken(self, files: FileCheck, whole: FolderContent | None) -> None:
        """Report the files of the store that the folder lacks, but for those that compaction replaced meanwhile."""
        for name, (kind, what) in files.broken.items():
            kept = self._kept(name, whole)
            if kept is not None:
                self._findings.append(findings.broken(kind, what, kept))
                if kept.repairable and kind != "not-here":
                    self.repairable.append(name)

    def _kept(self, name: str, whole: FolderContent | None) -> Kept | None:
        with self._lock:
            file = self._store.file_named(name)
            if file is None or self._engine.is_superseded(file.hash):
                return None
            own, events = self._store.need("device"), self._store.events_in(file.hash)
            pieces, replaced = self._store.pieces_in(file.hash), self._store.is_replaced(file.hash)
        elsewhere = None if whole is None else all(whole.has(event, bodied=bodied) for event, bodied in events)
        device = self._label(file.owner) if file.owner is not None else None
        spoiled = name in self._spoiled
        return Kept(name, file.kind, device, file.owner == own, tuple(pieces), replaced, elsewhere, spoiled)

    def _drill(self) -> Drilled:
        assert self._accounts is not None
        drill = Drill(
            self._accounts,
            self._folder,
            self._lock,
            directory=self._directory,
            catch_up=self._catch_up,
            step=self._step,
        )
        drilled = drill.run()
        self._findings += drilled.findings
        return drilled

    def _catch_up(self) -> None:
        """Take in what the drill has found in the folder and this device has not read yet."""
        outcome = self._engine.run()
        if outcome.trouble is not None:
            raise outcome.trouble

    def _answer(self, files: int, whole: FolderContent | None, drilled: Drilled | None) -> dict[str, Any]:
        with self._lock:
            events = whole.count if whole is not None else self._store.event_count()
        self._findings.sort(key=lambda f: (f.kind not in _CAUSES, f.file is None, f.file or ""))
        answer = {
            "ok": findings.is_whole(self._findings),
            "depth": self._depth,
            "files": files,
            "events": events,
            "problems": [finding.row() for finding in self._findings],
        }
        if drilled is None:
            return answer
        drill = {
            "ok": not any(finding.kind in ("rebuild", "no-slot") for finding in self._findings),
            "duration_ms": drilled.took_ms,
            "files": drilled.files,
            "events": drilled.events,
            "accounts": drilled.accounts,
            "digest": drilled.digest,
        }
        return {**answer, "drill": drill}
