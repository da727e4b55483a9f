"""Compaction of what this device and the retired ones wrote: runs are merged, replaced files go at last.

look at the folder ─▶ merge runs, say so by a pack event ─▶ snapshot ─▶ publish ─▶ remove what nobody needs any more
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from otpkeep_daemon.duplicates import duplicates
from otpkeep_daemon.engine import Engine
from otpkeep_daemon.folder import Folder
from otpkeep_daemon.logs import event
from otpkeep_daemon.memory import digest_of
from otpkeep_daemon.packs import Replaced
from otpkeep_daemon.replica import Replica, covered
from otpkeep_daemon.report import active_devices, retired_devices
from otpkeep_daemon.store import FOLDED, Looked
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
        self._own = replica.keys.author.device
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
            self._drop_duplicates()
            self._engine.publish()
            self._engine.settle()
        there = {found.name for found in self._folder.look().files}
        going, waiting = self.leaving(there)
        if clock_moved and going:
            waiting, going = {**waiting, "this machine's clock was moved": len(going)}, []
        if not dry_run and self._engine.publishing:
            for name in going:
                self._folder.delete(name)
            self._drop_snapshots()
        log.info(event("compacted", merged=sum(map(len, groups)), removed=len(going)))
        return Compacted(groups, snapshot, going, waiting, self._count(groups if dry_run else ()))

    # merging

    def _groups(self, fanout: int) -> list[tuple[tuple[Segment, ...], list[bytes]]]:
        """Return the runs to merge and what is in them; none while this device does not publish what takes their place.

        They are this device's and, since those will not do it any more, the retired ones'.

        A file that holds other events than those that are read from it shares them with another, and is left alone.
        """
        forks = self._replica.chains.forks
        owners = [self._own, *self._retired()] if self._engine.publishing else []
        runs_of = [segment for owner in owners for segment in self._store.segments(owner)]
        made = compaction.merges([segment for segment in runs_of if segment.writer not in forks], fanout)
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
        content.read(made, self._replica.keys.keyring)
        return self._replica.keys.seal_merged(made)

    def _retired(self) -> list[bytes]:
        """Return the devices whose files any other one cares for, none if this one is retired itself."""
        return [] if self._replica.retired else retired_devices(self._store, self._replica.state)

    def _drop_duplicates(self) -> None:
        """Say by a pack event of a retired device's runs that another one has everything in them."""
        if not self._engine.publishing:
            return
        archive = self._replica.archive
        pairs = [pair for owner in self._retired() for pair in duplicates(self._store, archive, owner)]
        if not pairs:
            return

        def let_go() -> None:
            for old, new in pairs:
                self._store.move_events(old, new)

        self._replica.commit([Draft("pack", extra={"replaced": [o], "file": n}) for o, n in pairs], also=let_go)

    def _count(self, groups: Sequence[tuple[Segment, ...]]) -> int:
        current = sum(file.owner == self._own for file in self._store.files())
        mine = [group for group in groups if self._store.writers()[group[0].writer] == self._own]
        return current - sum(len(group) - 1 for group in mine) + bool(groups)

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

    def _drop_snapshots(self) -> None:
        """Remove retired devices' snapshots that cover no more than this one's: nobody misses them."""
        retired, made = set(self._retired()), list(self._replica.archive.snapshots())
        mine = max((covered(snapshot) for _, snapshot in made if snapshot.device == self._own), default=0)
        old = [digest for digest, snapshot in made if snapshot.device in retired and covered(snapshot) <= mine]
        if old:
            for digest in old:
                self._folder.delete(hash_name(digest))
            with self._store.transaction():
                self._store.drop(old)

    # removing

    def leaving(self, there: set[str]) -> tuple[list[str], dict[str, int]]:
        """Return the names in the folder that may go now, and why others may not yet."""
        going: list[str] = []
        waiting: dict[str, int] = {}
        now, forks, state = self._replica.around.now(), self._replica.chains.forks, self._replica.state
        devices = active_devices(self._store, self._replica.chains, state, now)
        places = lru_cache(maxsize=None)(self._place)
        unknown = [n for n in there if classify(n) is NameKind.SEALED_NAME and self._store.file_named(n) is None]
        for old in self._replaced(unknown):
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

    def _replaced(self, names: Sequence[str]) -> list[Replaced]:
        """Return which of these files this device may remove: those it replaced itself, or a retired one.

        Of the latter only what was read here and had nothing that the store lacks, or has been broken for as long as a
        quarantine.
        """
        mine, retired = self._store.replaced_among(sorted(names), [self._own]), self._retired()
        if not retired:
            return mine
        before = self._replica.around.now() // 1000 - self._quarantine_s
        judged = {name: verdict for name, verdict in self._store.looked().items() if name in names}
        useless = {n for n, v in judged.items() if v.verdict in ("ok", "replaced") or _is_broken(v, before)}
        left = sorted(useless - {hash_name(old.hash) for old in mine})
        return mine + self._store.replaced_among(left, retired)

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


def _is_broken(judged: Looked, before_s: int) -> bool:
    return judged.verdict in ("pending", "damaged") and judged.since <= before_s


def _pack(group: Sequence[Segment], data: bytes) -> Draft:
    replaced = sorted(segment.file for segment in group)
    return Draft("pack", extra={"replaced": replaced, "file": sha256(data)})
