"""Compaction of what this device wrote: runs are merged, the state is kept as a snapshot, replaced files go at last.

look at the folder ─▶ merge runs, say so by a pack event ─▶ snapshot ─▶ publish ─▶ remove what nobody needs any more
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from otpkeep_daemon.engine import Engine
from otpkeep_daemon.folder import Folder
from otpkeep_daemon.logs import event
from otpkeep_daemon.memory import digest_of
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.report import active_devices
from otpkeep_daemon.store import FOLDED
from otpkeep_protocol import compaction, content
from otpkeep_protocol.compaction import Leaving, Segment
from otpkeep_protocol.context import MOST_PIECES
from otpkeep_protocol.errors import OtpkeepError
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.naming import NameKind, classify, hash_name
from otpkeep_protocol.state import encode

PACKED_AND_PACK = 2
"""Files that a merge leaves: the merged one, and that of the pack event. Merging no more than these saves nothing."""
SNAPSHOT_LIMIT = 33_554_432
"""Bytes of an encoded state beyond which a snapshot costs more than it saves."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction does: groups of runs to merge, whether a snapshot is made, files that go, and that stay yet.

    `waiting` has the reasons, each with its number of files; `files` counts this device's current ones afterwards.
    """

    merged: Sequence[tuple[Segment, ...]]
    snapshot: bool
    removed: Sequence[str]
    waiting: dict[str, int]
    files: int


class Compactor:
    """Works for one unlocked replica and its folder, under the service's lock."""

    def __init__(self, engine: Engine, folder: Folder, replica: Replica, quarantine_s: int) -> None:
        """`quarantine_s` is how long a replaced file stays in the folder at least."""
        self._engine = engine
        self._folder = folder
        self._replica = replica
        self._store = replica.store
        self._quarantine_s = quarantine_s

    def run(self, *, fanout: int = compaction.FANOUT, dry_run: bool = False, clock_moved: bool = False) -> Compacted:
        """Compact, or with `dry_run` say what that would do. Unreachable if the folder is.

        While the `clock_moved` lately, nothing is removed: by it a quarantine may seem over, or a device long silent.
        """
        outcome = self._engine.run()
        if outcome.trouble is not None:
            raise outcome.trouble
        found = self._groups(fanout)
        groups = [group for group, _ in found]
        snapshot = self._snapshot() if not dry_run else self._snapshot_due()
        if not dry_run:
            self._merge(found)
            self._engine.publish()
            self._engine.settle()
        there = {found.name for found in self._folder.look().files}
        going, waiting = self.leaving(there)
        if clock_moved and going:
            waiting, going = {**waiting, "this machine's clock was moved": len(going)}, []
        if not dry_run and self._engine.publishing:
            for name in going:
                self._folder.delete(name)
        log.info(event("compacted", merged=sum(map(len, groups)), removed=len(going)))
        return Compacted(groups, snapshot, going, waiting, self._count(groups if dry_run else ()))

    # merging

    def _groups(self, fanout: int) -> list[tuple[tuple[Segment, ...], list[bytes]]]:
        """Return the runs to merge and what is in them; none while this device does not publish what takes their place.

        A file that holds other events than those that are read from it shares them with another, and is left alone.
        """
        forks = self._replica.chains.forks
        own = self._store.segments(self._replica.keys.author.device) if self._engine.publishing else []
        made = compaction.merges([segment for segment in own if segment.writer not in forks], fanout)
        groups = [group for group in made if len(group) > PACKED_AND_PACK]
        read = [(group, [self._replica.archive.run(segment.file) for segment in group]) for group in groups]
        return [(group, runs) for group, runs in read if all(map(_is_whole, group, runs))]

    def _merge(self, groups: Sequence[tuple[tuple[Segment, ...], list[bytes]]]) -> None:
        """Write each group as one file, and say so by a pack event."""
        if not groups:
            return
        merged = [(group, self._merged(runs)) for group, runs in groups]

        def replace_runs() -> None:
            for group, data in merged:
                self._replica.replace_runs(group, data)

        self._replica.commit([_pack(group, data) for group, data in merged], also=replace_runs)

    def _merged(self, runs: Sequence[bytes]) -> bytes:
        """Return the sealed file of neighbouring runs, once it has proved to be what others will accept."""
        self._engine.progressed()
        made = content.merge(runs)
        self._replica.keys.read(made)
        return self._replica.seal(made)

    def _count(self, groups: Sequence[tuple[Segment, ...]]) -> int:
        own = self._replica.keys.author.device
        current = sum(file.owner == own for file in self._store.files())
        return current - sum(len(group) - 1 for group in groups) + bool(groups)

    # snapshots

    def _snapshot_due(self) -> bool:
        memory, seen = self._replica.memory, self._replica.chains.seen()
        whole = memory.folded is not None and memory.chains.whole and self._store.all_bodied()
        if not whole or len(seen) > MOST_PIECES:
            return False
        mine = memory.own_snapshots()
        covered = sum(piece.last for piece in mine[-1].seen) if mine else 0
        last_size = len(mine[-1].state) if mine else 0
        return compaction.snapshot_due(sum(piece.last for piece in seen) - covered, last_size)

    def _snapshot(self) -> bool:
        """Keep the state as a file, if that is worth its bytes and all that is known of is held. Return whether."""
        if not self._snapshot_due():
            return False
        folded = self._replica.memory.folded
        assert folded is not None
        encoded = encode(folded)
        if len(encoded) > SNAPSHOT_LIMIT:
            return False
        keys = self._replica.keys
        made = content.make_snapshot(keys.author, keys.keyring.vault, encoded, self._replica.chains.seen())
        held = digest_of(self._store.index())
        self._replica.keep("snapshot", made, also=lambda digest: self._store.put(FOLDED, digest + held))
        return True

    # removing

    def leaving(self, there: set[str]) -> tuple[list[str], dict[str, int]]:
        """Return the names in the folder that may go now, and why others may not yet."""
        going: list[str] = []
        waiting: dict[str, int] = {}
        now, forks, state = self._replica.around.now(), self._replica.chains.forks, self._replica.state
        devices = active_devices(self._store, self._replica.chains, state, now)
        places = lru_cache(maxsize=None)(self._place)
        unknown = [n for n in there if classify(n) is NameKind.SEALED_NAME and self._store.file_named(n) is None]
        for old in self._store.replaced_among(sorted(unknown), self._replica.keys.author.device):
            latest = old.file if self._store.has(old.file) else self._store.latest(old.file)
            place = places(latest) if latest is not None else None
            if place is None:
                continue
            leaving = Leaving(old.since, old.writer, old.seq, *place)
            why = compaction.stays(leaving, now // 1000, self._quarantine_s, devices, forks)
            if why is None:
                going.append(hash_name(old.hash))
            else:
                waiting[why] = waiting.get(why, 0) + 1
        return going, waiting

    def _place(self, latest: bytes) -> tuple[tuple[bytes, int, int], bool] | None:
        """Return the events of the file that replaces others, and whether it reads back; None if it has none."""
        span = self._store.span(latest)
        return None if span is None else (span, self._reads_back(latest))

    def _reads_back(self, digest: bytes) -> bool:
        name = hash_name(digest)
        try:
            data = self._folder.read(name)
        except OtpkeepError as error:
            log.warning(event("not-read-back", file=name, reason=error.message))
            return False
        return data is not None and sha256(data) == digest


def _is_whole(segment: Segment, run: bytes) -> bool:
    return len(content.bodied(run)) == segment.last - segment.first + 1


def _pack(group: Sequence[Segment], data: bytes) -> Draft:
    replaced = sorted(segment.file for segment in group)
    return Draft("pack", extra={"replaced": replaced, "file": sha256(data)})
