"""The archive: the events in the store, opened again. They were checked when they came in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from otpkeep_daemon.database import SET_ASIDE
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.store import NewFile, Store
from otpkeep_protocol import content
from otpkeep_protocol.content import Beat, Snapshot
from otpkeep_protocol.errors import IntegrityProblem, Malformed, NotAuthentic
from otpkeep_protocol.events import Event

BATCH_FILES = 32
BATCH_BYTES = 262_144
OPENED = 64
"""How many files stay opened, for a log that goes back and forth between them."""


class Archive:
    """Reads a store with keys. `note` keeps it current."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._invalid = store.invalid_events()
        self._opened = lru_cache(maxsize=OPENED)(self._open_file)

    def note(self, new: NewFile) -> None:
        """Take in that a file was stored: of invalid events every rule is checked again, in whatever file they are."""
        self._invalid |= {event.hash for event in new.events if event.problem is not None}

    def events(self) -> Iterator[Event]:
        """Yield every held event, in the order in which this device got them."""
        for batch in self.batches():
            yield from batch

    def batches(self, numbers: Iterable[int] | None = None) -> Iterator[list[Event]]:
        """Yield the events of the files of these numbers, or of all, many at a time, which is quicker."""
        contents = self._store.contents(("run",)) if numbers is None else self._store.contents_of(numbers)
        for files in _batches(contents):
            opened = [(digest, self._open(digest, data)) for digest, data in files]
            events = [event for _, found in opened for event in self._events_in(found)]
            yield [event for event in events if event.problem is not None or event.hash not in self._invalid]

    def beats(self) -> Iterator[Beat]:
        """Yield every beat."""
        for digest, data in self._store.contents(("beat",)):
            found = self._keys.read(self._open(digest, data))
            assert isinstance(found, Beat)
            yield found

    def snapshots(self) -> Iterator[tuple[bytes, Snapshot]]:
        """Yield hash and content of every snapshot, oldest first."""
        for digest, data in self._store.contents(("snapshot",)):
            found = content.reread_snapshot(self._open(digest, data))
            yield digest, found

    def statements(self) -> Iterator[Event]:
        """Yield the events that name slots."""
        for event_hash, file_hash in self._store.statement_events():
            yield self._opened(file_hash)[event_hash]

    def run(self, digest: bytes) -> bytes:
        """Return the content of a stored run."""
        return self._open(digest, self._store.data(digest))

    def log(self, account: bytes | None = None, *, newest: bool = True) -> Iterator[Event]:
        """Yield held events in log order, those without effect included."""
        for event_hash, file_hash in self._store.log(account, newest=newest):
            yield self._opened(file_hash)[event_hash]

    def find(self, writer_prefix: str, seq: int) -> list[Event]:
        """Return the events of that seq whose writer begins so."""
        return [self._opened(file)[digest] for digest, file in self._store.find_event(writer_prefix, seq)]

    def understood_now(self) -> list[Event]:
        """Return the events that needed a newer otpkeep when they came in, and no longer do."""
        waiting = self._store.events_that_need_update()
        found = (event for file in {file for _, file in waiting} for event in self._opened(file).values())
        wanted = {event_hash for event_hash, _ in waiting}
        return [event for event in found if event.held and event.hash in wanted]

    def _open_file(self, digest: bytes) -> Mapping[bytes, Event]:
        opened = self._open(digest, self._store.data(digest))
        return {event.hash: event for event in self._events_in(opened)}

    def _events_in(self, opened: bytes) -> list[Event]:
        return content.reread(opened, self._invalid, self._keys.read_event)

    def _open(self, digest: bytes, data: bytes) -> bytes:
        """Return the content of a stored file. IntegrityProblem if the disk has damaged it."""
        try:
            return self._keys.open(data)
        except (Malformed, NotAuthentic) as error:
            raise IntegrityProblem(
                f"the store is damaged: {digest.hex()[:32]}.otpk in it does not open; the folder is not affected",
                SET_ASIDE,
            ) from error


def _batches(files: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    """Cut (hash, bytes) pairs into batches that are small in memory."""
    batch: list[tuple[bytes, bytes]] = []
    size = 0
    for digest, data in files:
        batch.append((digest, data))
        size += len(data)
        if len(batch) == BATCH_FILES or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
