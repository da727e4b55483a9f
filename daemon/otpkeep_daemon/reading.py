"""Reading files out of the folder, and what is made of each: a verdict, which holds until the file changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from otpkeep_daemon import logs
from otpkeep_daemon.folder import Folder, Listing
from otpkeep_daemon.keys import Surroundings
from otpkeep_daemon.replica import Replica, Verdict
from otpkeep_daemon.retries import Retries
from otpkeep_daemon.store import Looked, Store
from otpkeep_daemon.turns import Turns
from otpkeep_protocol.errors import OtpkeepError
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.naming import EXTENSION, hash_name
from otpkeep_protocol.sealing import has_magic

UNTOLD = ("ok", "slot", "foreign")
"""Verdicts that leave no line in the log: there may be thousands of others' files."""
INTACT = ("ok", "pending", "newer")
"""Verdicts on bytes that may be sound, if their name says so."""
log = logging.getLogger(__name__)


class Reading:
    """Takes in what files hold, a batch at a time; `retries` says which that never open are left alone for a while."""

    def __init__(self, store: Store, around: Surroundings, lock: Turns, replica: Callable[[], Replica | None]) -> None:
        self.retries = Retries()
        self._store = store
        self._around = around
        self._lock = lock
        self._replica = replica

    def read(self, folder: Folder, names: Sequence[str], listing: Listing, earlier: Mapping[str, Looked]) -> int:
        """Read a batch of files and take in what they hold. Return how many were new.

        `listing` is the look that found them, `earlier` what was made of them before, by name.
        """
        self._lock.give_way()
        found = {f.name: f for f in listing.files}
        contents = {name: data for name in names if (data := read_one(folder, name)) is not None}
        with self._lock:
            replica = self._replica()
            if replica is None:
                return 0
            digests = {name: sha256(data) for name, data in contents.items()}
            fresh = {name: data for name, data in contents.items() if not self._store.has(digests[name])}
            verdicts = dict(zip(fresh, replica.ingest(list(fresh.values())), strict=True))
            now = self._around.now() // 1000
            with self._store.transaction():
                for name, digest in digests.items():
                    verdict = self._verdict(name, digest, verdicts.get(name, Verdict("ok")))
                    known = name in earlier and earlier[name].verdict == verdict.kind
                    since = earlier[name].since if known else now
                    if not known and verdict.kind not in UNTOLD:
                        log.info(logs.event("not-taken-in", file=name, verdict=verdict.kind, reason=verdict.detail))
                    content = hash_name(digest) if verdict.kind in INTACT else ""
                    self._store.set_looked(
                        [Looked(name, found[name].size, found[name].mtime_ns, verdict.kind, since, content)]
                    )
        return sum(verdict.kind == "ok" for verdict in verdicts.values())

    def _verdict(self, name: str, digest: bytes, verdict: Verdict) -> Verdict:
        stored = self._store.file_named(name)
        if stored is not None and stored.hash != digest:
            return Verdict("damaged", "its bytes are not those that its name stands for")
        if verdict.kind == "foreign" and EXTENSION in name:
            return Verdict("pending", "not the bytes of a file of otpkeep, or not yet")
        return verdict


def read_one(folder: Folder, name: str) -> bytes | None:
    """Return a file's bytes, None if it is gone or can't be read now: the next looks try again.

    Of a file that does not even say that it is otpkeep's, only the beginning.
    """
    try:
        head = folder.head(name)
        return folder.read(name) if has_magic(head or b"") or EXTENSION in name else head
    except OtpkeepError as error:
        log.warning(logs.event("left-alone", file=name, reason=error.message))
        return None
