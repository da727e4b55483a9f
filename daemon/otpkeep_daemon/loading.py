"""Taking in a whole folder on a new device: first what shows the accounts, then the history that proves them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from otpkeep_daemon.collecting import no_search
from otpkeep_daemon.device import is_slot_of
from otpkeep_daemon.folder_file import FolderFile
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


def take_in_snapshots(replica: Replica, files: Collection[FolderFile]) -> int:
    """Take in the snapshots among `files`, so that the accounts are there at once. Return how many there were.

    Of each file only the first chunk is read to learn what it is, so a long history costs no more than a short one.
    """
    largest = sorted(files, key=lambda file: file.size, reverse=True)[:LARGEST]
    found = [data for file in largest if _is_snapshot(replica.keys, file) and (data := file.read()) is not None]
    return sum(verdict.kind == "ok" for verdict in replica.ingest(found))


def take_in(replica: Replica, files: Collection[FolderFile], progress: Callable[[int, int], None]) -> None:
    """Take in what is not here yet, the largest first: what others have replaced is seen to be so before it is read.

    Slots come twice: they are believed only once the statement that names them is there.
    """
    done = 0
    with no_search(), replica.store.ordered_later():
        for batch in _batches(sorted(files, key=lambda file: file.size, reverse=True)):
            _ingest(replica, batch)
            done += len(batch)
            progress(done, len(files))
    _ingest(replica, [file for file in files if is_slot_of(file.start, replica.keys.keyring.vault)])


def _ingest(replica: Replica, files: Iterable[FolderFile]) -> None:
    contents = [data for file in files if (data := file.read()) is not None]
    replica.ingest([data for data in contents if not replica.store.has(sha256(data))])


def _batches(files: Iterable[FolderFile]) -> Iterator[list[FolderFile]]:
    batch: list[FolderFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) == BATCH_FILES or size + file.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch


def _is_snapshot(keys: Keys, file: FolderFile) -> bool:
    try:
        return content.kind_of(keys.open_start(file.first_chunk())) == "snapshot"
    except (Malformed, NotAuthentic, UnknownVersion):
        return False
