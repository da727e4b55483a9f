"""The restore drill: rebuild the vault from the folder alone, as `recover` does, and compare it with what is here.

    folder ──read_all, take_in──▶ fresh store in a private directory ──fold──▶ state, digest, codes
                                                                     ═══ live state, digest, codes ?

The directory holds sealed files and nothing else; no passphrase is needed, since the keyring is here. Edits go on: what
was made since the drill began is taken over from the store before the two are compared.
"""

from __future__ import annotations

import hmac
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from otpkeep_daemon import store_faults, vault_findings
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.findings import Finding
from otpkeep_daemon.folder import Folder
from otpkeep_daemon.found import read_all
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.loading import take_in, take_in_snapshots
from otpkeep_daemon.lock import WriterLock, try_lock
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.store import Store
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import comparing
from otpkeep_protocol.account import Otp
from otpkeep_protocol.content import Author
from otpkeep_protocol.digests import digest
from otpkeep_protocol.errors import Busy, OtpkeepError, StoreUnwritable
from otpkeep_protocol.otp import code
from otpkeep_protocol.state import State, encode
from otpkeep_protocol.view import View, views

STEP = 8
"""Stored files that are taken over in one step, while edits wait."""
Codes = Mapping[bytes, str | None]


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a drill found: how long it took (ms), what it read, and what the folder alone gave."""

    took_ms: int
    files: int
    events: int
    accounts: int
    digest: str
    findings: tuple[Finding, ...]


class Drill:
    """One drill for one live vault. `catch_up` has that take in what is new in the folder; `step` may raise."""

    def __init__(
        self,
        live: Accounts,
        folder: Folder,
        lock: Turns,
        *,
        directory: Path,
        catch_up: Callable[[], None],
        step: Callable[[], None],
    ) -> None:
        self._live = live
        self._store = live.replica.store
        self._folder = folder
        self._lock = lock
        self._directory = directory
        self._catch_up = catch_up
        self._step = step
        self._findings: list[Finding] = []

    def run(self) -> Drilled:
        """Rebuild and compare. Unreachable if the folder is; Busy while another drill runs."""
        began = time.monotonic()
        with self._lock:
            waiting = self._store.outbox_events()
            before = {event for event, _ in self._store.marks()} - waiting
        with fresh_store(self._directory) as store, _told():
            rebuilt, files = self._rebuild(store)
            shown = views(rebuilt.state)
            row = (files, store.event_count(), sum(not view.deleted for view in shown), digest(rebuilt.chains))
            self._compare_with_folder(rebuilt, before)
            self._compare(rebuilt)
        return Drilled(int((time.monotonic() - began) * 1000), *row, tuple(self._findings))

    # from the folder alone

    def _rebuild(self, store: Store) -> tuple[Replica, int]:
        """Return a device's replica after it has recovered, and the number of files that it read."""
        files, _ = read_all(self._folder, self._progress)
        replica = Replica(store, self._stranger(), self._live.replica.around)
        take_in_snapshots(replica, files.values())
        take_in(replica, files.values(), self._progress)
        return replica, len(files)

    def _stranger(self) -> Keys:
        """Return the keys of a new device, which never writes and so needs no certificate."""
        ring, random = self._live.replica.keys.keyring, self._live.replica.around.random
        return Keys(ring, Author(random(32), random(16), []), random(32), random(32))

    def _progress(self, _done: int, _total: int) -> None:
        self._step()

    def _compare_with_folder(self, rebuilt: Replica, before: set[bytes]) -> None:
        """Report what the folder should have given and did not: events from before the drill that were published."""
        with self._lock:
            lost = self._lacking(rebuilt) & before
            if lost:
                pairs = list(comparing.compare(rebuilt.state, self._live.replica.memory.of_events))
                repairable = not all(map(self._store.is_replaced, self._store.files_with(lost)))
        if lost:
            lacks, differ = sum(pair.added for pair in pairs), sum(pair.changed or pair.removed for pair in pairs)
            self._findings.append(vault_findings.drill_lacks(len(lost), lacks, differ, repairable=repairable))

    # side by side

    def _compare(self, rebuilt: Replica) -> None:
        if self._untaken(rebuilt):
            self._catch_up()
        self._take_over(rebuilt)
        now = self._live.replica.around.now() / 1000
        with self._lock:
            self._take_over(rebuilt)  # what came meanwhile: an edit or two
            lacking, untaken, live = self._lacking(rebuilt), self._untaken(rebuilt), self._live.replica
            state, held, codes = encode(live.memory.of_events), digest(live.chains), self._live_codes(now)
        if untaken:
            self._findings.append(vault_findings.drill_untaken(len(untaken)))
        elif lacking and not self._findings:
            self._findings.append(vault_findings.drill_unreadable(len(lacking)))
        if untaken or lacking:
            return
        folded = rebuilt.memory.of_events
        if digest(rebuilt.chains) != held:
            self._findings.append(vault_findings.drill_differs("what this device says that it holds"))
        elif encode(folded) != state:
            self._findings.append(vault_findings.drill_differs("the state of this device"))
        self._findings += [
            vault_findings.drill_differs(f"the code of account {account.hex()[:6]} on this device")
            for account in differing(codes, codes_of(folded, now))
        ]

    def _untaken(self, rebuilt: Replica) -> set[bytes]:
        """Return the events of the folder that the live store does not have."""
        with self._lock:
            live = {event for event, _ in self._store.marks()}
        return {event for event, _ in rebuilt.store.marks()} - live

    def _lacking(self, rebuilt: Replica) -> set[bytes]:
        """Return the events of this device that the rebuilt vault lacks, or has without their body."""
        has = dict(rebuilt.store.marks())
        return {event for event, bodied in self._store.marks() if event not in has or bodied > has[event]}

    def _take_over(self, rebuilt: Replica) -> None:
        """Have the rebuilt vault take in those files of the store that have what it lacks, a few at a time."""
        with self._lock:
            lacking = self._lacking(rebuilt)
            files = self._store.files_with(lacking) if lacking else []
        for first in range(0, len(files), STEP):
            self._step()
            self._lock.give_way()
            with self._lock:
                held = [digest for digest in files[first : first + STEP] if self._store.has(digest)]
                data = [self._store.data(digest) for digest in held]
            rebuilt.ingest(data)

    def _live_codes(self, now: float) -> Codes:
        """Return what people get on this device now; without placeholders, whose secrets are nowhere else."""
        live = self._live
        if live.replica.memory.folded is None:
            return codes_of(live.replica.memory.of_events, now)
        shown = [view for view in live.views() if _has_code(view)]
        return {view.account: _code(live.otp(view), now) for view in shown}


def codes_of(state: State, now: float) -> Codes:
    """Return the code of each living account that has one, by id."""
    shown = [view for view in views(state) if _has_code(view)]
    return {view.account: _code(_otp(view), now) for view in shown}


def differing(one: Codes, other: Codes) -> list[bytes]:
    """Return the accounts that do not give the same code in both."""
    return [
        account
        for account in sorted(one.keys() | other.keys())
        if not hmac.compare_digest(one.get(account) or "", other.get(account) or "")
    ]


def _has_code(view: View) -> bool:
    otp = view.values.get("otp")
    return not view.deleted and isinstance(otp, dict) and "placeholder" not in otp


def _otp(view: View) -> Otp:
    value = view.values["otp"]
    return Otp.from_wire({**value, "counter": view.counter} if view.counter is not None else value)


def _code(otp: Otp | None, now: float) -> str | None:
    if otp is None:
        return None
    return code(otp, now, otp.counter) if otp.type == "hotp" else code(otp, now)


# the place


@contextmanager
def fresh_store(directory: Path) -> Iterator[Store]:
    """Give an empty store in a directory of this user alone, which is removed in the end, and had a crash left it."""
    with _told():
        lock = _claimed(directory)
        store = Store(directory / "store.db", lock)
    try:
        yield store
    finally:
        store.close()
        shutil.rmtree(directory)


def _claimed(directory: Path) -> WriterLock:
    """Return the lock of the directory, which is empty but for it. Busy if another drill has it."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        directory.chmod(0o700)
        lock = try_lock(directory / "lock", "drill")
        if lock is None:
            raise Busy("another restore drill is running; this one was not begun", "Run it again when that is done.")
        for left in (path for path in directory.iterdir() if path.name != "lock"):
            left.unlink()
    except OSError as error:
        raise store_faults.refused(error, directory.parent, "its directory can't be made") from error
    return lock


@contextmanager
def _told() -> Iterator[None]:
    """Say of a disk that takes nothing that it is the drill that could not be made."""
    try:
        yield
    except StoreUnwritable as error:
        raise OtpkeepError(
            f"the restore drill found no room for its copy ({error.message}); nothing else was changed",
            error.hint or "Free some space beside the store, and run it again.",
        ) from error
