"""Taking in a whole folder on a new device: first what shows the accounts, then the history that proves them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from otpkeep_daemon.device import is_slot_of
from otpkeep_daemon.keys import Keys
from otpkeep_daemon.replica import Replica
from otpkeep_protocol import content
from otpkeep_protocol.errors import Malformed, NotAuthentic, UnknownVersion
from otpkeep_protocol.ids import sha256

BATCH = 64
LARGEST = 256
"""Among so many of the largest files a snapshot is looked for."""


def take_in_snapshots(replica: Replica, files: Collection[bytes]) -> int:
    """Take in the snapshots among `files`, so that the accounts are there at once. Return how many there were.

    Of each file only the first chunk is opened to learn what it is, so a long history costs no more than a short one.
    """
    largest = sorted(files, key=len, reverse=True)[:LARGEST]
    found = [data for data in largest if _is_snapshot(replica.keys, data)]
    return sum(verdict.kind == "ok" for verdict in replica.ingest(found))


def take_in(replica: Replica, files: Collection[bytes], progress: Callable[[int, int], None]) -> None:
    """Take in what is not here yet, the largest first: what others have replaced is seen to be so before it is read.

    Slots come twice: they are believed only once the statement that names them is there.
    """
    contents = sorted((data for data in files if not replica.store.has(sha256(data))), key=len, reverse=True)
    for start in range(0, len(contents), BATCH):
        replica.ingest(contents[start : start + BATCH])
        progress(min(start + BATCH, len(contents)), len(contents))
    replica.ingest([data for data in contents if is_slot_of(data, replica.keys.keyring.vault)])


def _is_snapshot(keys: Keys, data: bytes) -> bool:
    try:
        return content.kind_of(keys.open_start(data)) == "snapshot"
    except (Malformed, NotAuthentic, UnknownVersion):
        return False
