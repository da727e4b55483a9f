"""Proof that the backup can be read: the folder's files against what they must be (`otpkeep verify`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.engine import PASSING
from otpkeep_daemon.folder import Folder, Listing
from otpkeep_daemon.problem import counted
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.rows import Names
from otpkeep_daemon.store import Store, StoredFile
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import content, sealing
from otpkeep_protocol.chains import Chains
from otpkeep_protocol.content import Run
from otpkeep_protocol.errors import Malformed, NotAuthentic, OtpkeepError, Unreachable
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import event_name, sha256
from otpkeep_protocol.keyring import Keyring
from otpkeep_protocol.naming import EXTENSION, NameKind, classify, file_name, hidden_name
from otpkeep_protocol.state import State, encode, fold

STEP = 8
"""Stored files that are opened in one step, while edits wait."""


class Verification:
    """One verification. `names` needs no key; `content` opens every file; `rebuild` also folds them all anew.

    It holds the lock for a file or a few at a time, and what needs no store is done without. `step` is called between
    two steps; it may raise to end the verification.
    """

    def __init__(
        self,
        store: Store,
        folder: Folder,
        accounts: Accounts | None,
        depth: str,
        lock: Turns,
        *,
        step: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._folder = folder
        self._accounts = accounts
        self._depth = depth
        self._lock = lock
        self._step = step
        self._problems: list[dict[str, Any]] = []
        self._hashes: set[bytes] = set()
        self._chains = Chains()
        self._events: dict[bytes, Event] = {}

    def run(self) -> dict[str, Any]:
        """Return {ok, depth, files, events, problems}. Unreachable if the folder is."""
        with self._lock:
            known = {file.name: file for file in self._store.files()}
            waiting, numbers = self._store.outbox_events(), self._store.run_numbers()
        listing = self._folder.look()
        sound = [name for found in listing.files if (name := self._check(found.name, known.get(found.name)))]
        self._compare_names(known, listing, sound)
        if self._depth != "names" and self._accounts is not None:
            self._check_whole(self._accounts, waiting, numbers)
        with self._lock:
            events = len(self._hashes) if self._depth != "names" else self._store.event_count()
        return {
            "ok": not self._problems,
            "depth": self._depth,
            "files": len(sound),
            "events": events,
            "problems": self._problems,
        }

    def _compare_names(self, known: dict[str, StoredFile], listing: Listing, sound: list[str]) -> None:
        """Report what is missing from the folder, or not downloaded, of what the store knows."""
        evicted = {hidden_name(name) for name in listing.placeholders}
        there = {*sound, *(found.name for found in listing.files), *evicted}
        for name, file in known.items():
            if file.published and file.kind not in PASSING and name not in there:
                self._report(name, file, "missing", "it was in the folder and is gone", "Let the folder sync.")
        for name in sorted(evicted & known.keys()):
            self._report(name, known[name], "not-here", "it is not downloaded to this machine", "Download it.")

    def _check(self, name: str, file: StoredFile | None) -> str | None:
        """Check one file; return the name that its content stands for if it is sound."""
        self._step()
        try:
            if EXTENSION not in name and not sealing.has_magic(self._folder.head(name) or b""):
                return None
            data = self._folder.read(name)
        except Unreachable:
            raise
        except OtpkeepError as error:
            self._report(name, file, "unreadable", error.message, error.hint)
            return None
        return self._judge(name, file, data) if data is not None else None

    def _judge(self, name: str, file: StoredFile | None, data: bytes) -> str | None:
        true_name = file_name(data)
        if classify(name) is NameKind.SEALED_NAME and true_name != name:
            self._report(name, file, "damaged", f"its {len(data)} bytes are not those its name stands for", _DAMAGED)
            return None
        if self._depth == "names" and self._has(data):
            return true_name
        return true_name if self._opens(name, file, data) else None

    def _has(self, data: bytes) -> bool:
        self._lock.give_way()
        with self._lock:
            return self._store.has(sha256(data))

    def _opens(self, name: str, file: StoredFile | None, data: bytes) -> bool:
        try:
            header = sealing.read_header(data)
            if header.vault != self._vault():
                self._report(name, file, "other-vault", "it belongs to another vault", "Keep one vault in a folder.")
                return False
            sealing.check_version(header)
            if not sealing.is_whole(len(data), header.type):
                raise Malformed("a file cut short")
            if self._accounts is not None:
                self._check_content(self._accounts.replica, data, header)
        except OtpkeepError as error:
            self._report(name, file, error.kind, error.message, error.hint or _DAMAGED)
            return False
        return True

    def _vault(self) -> bytes:
        with self._lock:
            return self._store.need("vault")

    def _check_content(self, replica: Replica, data: bytes, header: sealing.Header) -> None:
        if header.type == sealing.SLOT:
            with self._lock:
                named = sha256(data) in replica.slot_hashes(superseded=True)
            if not named:
                raise NotAuthentic("a slot that no statement of this vault names, or a damaged copy of one")
        elif self._depth != "names":
            self._read(replica.keys.keyring, data, header)

    def _read(self, ring: Keyring, data: bytes, header: sealing.Header) -> None:
        epoch = ring.epoch(header.epoch)
        if epoch is None:
            raise NotAuthentic("it is sealed under keys that this device does not have")
        found = content.read(sealing.open_sealed(data, header, epoch.key), ring)
        if isinstance(found, Run):
            self._take_in(found.events)

    def _take_in(self, events: Iterable[Event]) -> None:
        """Count events that the folder has; they are kept, with all that they hold, only for a rebuild."""
        for event in events:
            self._hashes.add(event.hash)
            self._chains.add(event)
            if self._depth == "rebuild":
                self._events[event.hash] = event

    def _check_whole(self, accounts: Accounts, waiting: set[bytes], numbers: list[int]) -> None:
        for event in self._held(accounts, numbers):
            if event.hash not in self._hashes and event.hash not in waiting:
                name = event_name(event.dot.writer, event.dot.seq)
                self._report(None, None, "missing", f"event {name} is in no file of the folder", _SYNC)
        for writer, count in self._chains.missing().items():
            with self._lock:  # by its id: what is found first goes into an alarm, and so into the log
                device = Names(State(), self._store.writers()).of_writer(writer)
            message = f"waiting for {counted(count, 'event')} of {device}: others name them, the folder has them not"
            self._report(None, None, "gap", message, _SYNC)
        if self._depth == "rebuild":
            with self._lock:
                self._check_rebuild(accounts)

    def _held(self, accounts: Accounts, numbers: list[int]) -> Iterator[Event]:
        """Yield the events in these files of the store, which proves that those open, too."""
        for first in range(0, len(numbers), STEP):
            self._step()
            self._lock.give_way()
            with self._lock:
                events = [e for batch in accounts.replica.archive.batches(numbers[first : first + STEP]) for e in batch]
            yield from events

    def _check_rebuild(self, accounts: Accounts) -> None:
        replica = accounts.replica
        rebuilt = [replica.keys.checked(event) for event in self._events.values()]
        held = {event.hash: event for event in [*rebuilt, *replica.archive.events()]}
        if _state(rebuilt) != _state(held.values()) or not self._live_state_holds(accounts, held):
            message = "what can be rebuilt from the folder alone is not what this device has"
            self._report(None, None, "rebuild", message, "See the other problems; run `otpkeep backup now` first.")

    def _live_state_holds(self, accounts: Accounts, held: Mapping[bytes, Event]) -> bool:
        """Tell whether the live state is that of its events; it can't be asked while the folder has news for it."""
        replica = accounts.replica
        if any(not replica.chains.holds(event.dot) for event in held.values() if event.held):
            return True
        return encode(replica.state) == _state(held.values())

    def _report(self, name: str | None, file: StoredFile | None, kind: str, message: str, hint: str) -> None:
        device = None
        if file is not None and file.owner is not None:
            with self._lock:
                device = self._accounts.names().label(file.owner) if self._accounts is not None else file.owner.hex()
        self._problems.append({"file": name, "device": device, "kind": kind, "message": message, "hint": hint})


_DAMAGED = "If it is this device's, `otpkeep backup now` puts it right; else the device that made it does."
_SYNC = "Let the folder sync, or run `otpkeep backup now`."


def _state(events: Iterable[Event]) -> bytes:
    """Return the encoded state of events."""
    every = list(events)
    return encode(fold(every, Chains(every).forks))
