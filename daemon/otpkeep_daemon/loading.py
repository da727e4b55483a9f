"""Taking in a whole folder on a new device: first what shows the accounts, then the history that proves them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from otpkeep_daemon.collecting import no_search
from otpkeep_daemon.device import is_slot_of
from otpkeep_daemon.folder_file import FolderFile
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.store import Looked
from otpkeep_protocol import content
from otpkeep_protocol.errors import Malformed, NotAuthentic, UnknownVersion
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.naming import hash_name

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
    """Take in files; those that are stored now, under the name that they have, need not be read by the next look."""
    store, now = replica.store, replica.around.now() // 1000
    contents = [(file, data, sha256(data)) for file in files if (data := file.read()) is not None]
    replica.ingest([data for _, data, digest in contents if not store.has(digest)])
    stored = [file for file, _, digest in contents if file.name == hash_name(digest) and store.has(digest)]
    with store.transaction():
        store.set_looked([Looked(file.name, file.size, file.mtime_ns, "ok", now, file.name) for file in stored])


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
