"""Taking in a whole folder on a new device: first what shows the accounts, then the history that proves them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from otpkeep_daemon.collecting import no_search
from otpkeep_daemon.device import is_slot_of
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.replica import Replica
from otpkeep_protocol import content
from otpkeep_protocol.errors import Malformed, NotAuthentic, UnknownVersion
from otpkeep_protocol.ids import sha256

BATCH_FILES = 64
BATCH_BYTES = 4_194_304
"""So much is taken in at a time, since all of its events are in memory until they are stored."""
LARGEST = 256
"""Among so many of the largest files a snapshot is looked for."""


def take_in_snapshots(replica: Replica, files: Collection[bytes]) -> int:
    """Take in the snapshots among `files`, so that the accounts are there at once. Return how many there were."""
    largest = sorted(files, key=len, reverse=True)[:LARGEST]
    found = [data for data in largest if _is_snapshot(replica.keys, data)]
    replica.ingest(found)
    return len(found)


def take_in(replica: Replica, files: Collection[bytes], progress: Callable[[int, int], None]) -> None:
    """Take in what is not here yet, the largest first: what others have replaced is seen to be so before it is read.

    Slots come twice: they are believed only once the statement that names them is there.
    """
    contents = sorted((data for data in files if not replica.store.has(sha256(data))), key=len, reverse=True)
    done = 0
    with no_search(), replica.store.ordered_later():
        for batch in _batches(contents):
            replica.ingest(batch)
            done += len(batch)
            progress(done, len(contents))
    replica.ingest([data for data in contents if is_slot_of(data, replica.keys.keyring.vault)])


def _batches(contents: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for data in contents:
        if batch and (len(batch) == BATCH_FILES or size + len(data) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(data)
        size += len(data)
    if batch:
        yield batch


def _is_snapshot(keys: Keys, data: bytes) -> bool:
    try:
        return content.kind_of(keys.open(data)) == "snapshot"
    except (Malformed, NotAuthentic, UnknownVersion):
        return False
