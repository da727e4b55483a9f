"""One pass between the store and the folder: look, plan, do.

The engine decides nothing: `plan` does. It works in small steps, each under the service's lock, so that an edit never
waits for a long pass. Locked, it publishes the sealed outbox and heals; unlocked, it reads as well.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from otpkeep_daemon import logs, newcomers, regressions, settling
from otpkeep_daemon.database import translated
from otpkeep_daemon.folder import Folder, Listing, Published
from otpkeep_daemon.healing import Healing
from otpkeep_daemon.keys import Surroundings
from otpkeep_daemon.reading import Reading, read_one
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.store import Looked, Store, StoredFile
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import plan
from otpkeep_protocol.context import covers
from otpkeep_protocol.errors import IntegrityProblem, OtpkeepError, StoreUnwritable, Unreachable
from otpkeep_protocol.ids import Dot, sha256
from otpkeep_protocol.naming import hidden_name
from otpkeep_protocol.plan import Known, Plan, Seen

BATCH = 32
PASSING = ("beat", "snapshot")
"""Of these only the newest of a device matters."""
BATCH_BYTES = 16_777_216
_SUPERSEDED = "slots.passed"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass did: files read and published, names missing from the folder, and why it could not go on.

    `warning` is what will stop the next write, though nothing has failed yet; `foreign` counts others' files.
    """

    read: int = 0
    published: int = 0
    missing: tuple[str, ...] = ()
    trouble: OtpkeepError | None = None
    warning: OtpkeepError | None = None
    foreign: int = 0


class Engine:
    """Carries files between one store and one folder.

    `beats` is whether a pass also writes the beat that is due: a daemon has a job for that. `progressed` is called
    after each step of a pass.
    """

    def __init__(self, store: Store, folder: Folder, around: Surroundings, lock: Turns) -> None:
        self.replica: Replica | None = None
        self.last = Outcome()
        self.beats = True
        self.progressed: Callable[[], None] = lambda: None
        self._store = store
        self._folder = folder
        self._around = around
        self._lock = lock
        self._superseded = self._superseded_before()
        self._unmarked: set[bytes] = set()
        self._own_writes: set[str] = set()
        self._reading = Reading(store, around, lock, lambda: self.replica)
        self._healing = Healing(store, around)

    # settings kept in the store

    @property
    def publishing(self) -> bool:
        """Whether this device publishes; `backup off` stops that and nothing else."""
        return self._store.get("backup") != b"off"

    def adopt_folder(self) -> None:
        """Take the folder as it is now for the right one: its disk, and everything to be published again."""
        with self._lock, self._store.transaction():
            self._unmarked.clear()
            listing = self._folder.look()
            self._folder.trust(listing)
            self._store.put("folder.device", str(listing.device).encode())
            there = {found.name for found in listing.files}
            gone = [file.hash for file in self._store.files() if file.published and file.name not in there]
            self._store.mark_unpublished(gone)

    def move_to(self, folder: Folder) -> None:
        """Work with another folder from now on, in which all that the store holds is known to be. Under the lock.

        A pass that is under way ends in the new one, where what it has planned for the old one does no harm.
        """
        self._folder = folder
        self._healing.forget()
        self._unmarked.clear()
        self._own_writes.clear()
        self._reading.retries.clear()
        self.last = Outcome()

    def wrote(self, name: str) -> bool:
        """Tell whether this engine has published `name` since its last pass: such a change is no news."""
        return name in self._own_writes

    # the pass

    def check(self) -> None:
        """Learn whether the folder is reachable, without a pass."""
        try:
            self._check_folder(self._folder.look())
            self.last = Outcome(missing=self.last.missing, warning=self._folder.unwritable(), foreign=self._foreign())
        except Unreachable as trouble:
            self.last = Outcome(trouble=trouble)

    def listed(self) -> Listing:
        """Return what the folder holds now. Unreachable unless it is the folder that it was."""
        listing = self._folder.look()
        with self._lock:
            self._check_folder(listing)
        return listing

    def clear_temporaries(self) -> None:
        """Remove unfinished files that a crash of this device left in the folder. Unreachable if it is."""
        self._folder.clear_temporaries()

    def run(self) -> Outcome:
        """Make one pass. A folder that can't be used, or a store that can't be written, is an outcome, not an error."""
        try:
            with translated():
                self.last = self._run()
        except (Unreachable, StoreUnwritable) as trouble:
            self.last = Outcome(trouble=trouble, foreign=self.last.foreign)
        return self.last

    def _run(self) -> Outcome:
        folder = self._folder
        listing = folder.look()
        sizes, seen = {found.name: found.size for found in listing.files}, _seen(listing)
        with self._lock:
            if folder is not self._folder:
                return Outcome()  # the mirror was moved just now, which prompts a look of its own
            self._store.mend()
            self._flush_marks()
            looked = self._store.looked()
            known, judged = self._check_folder(listing), _judged(looked)
            resting = self._reading.retries.resting(looked, self._around.now() // 1000)
            steps = self._plan(seen, _evicted(listing), known, judged, resting)
            self._own_writes.clear()
        read, stuck = self._take_in(listing, steps, looked, sizes)
        published = sum(self._publish_named(batch) for batch in _batches(steps.publish, sizes))
        with self._lock:
            known = self._known() if read else known
            judged = _judged(self._store.looked()) if steps.read else judged
        back = self._heal(listing, seen, known, judged, steps.missing)
        with self._lock:
            if stuck is None:
                stuck = self._speak()
            published += len(back) + self._publish_waiting()
            self._flush_marks()
            warning, foreign = self._folder.unwritable(), self._foreign()
        missing = [name for name in steps.missing if name in known and not known[name].claimed and name not in back]
        return Outcome(read, published, tuple(missing), stuck, warning, foreign)

    def _take_in(
        self, listing: Listing, steps: Plan, looked: Mapping[str, Looked], sizes: Mapping[str, int]
    ) -> tuple[int, StoreUnwritable | None]:
        """Read what is new. Return how many files were, and why the store takes no more: what waits goes out anyway."""
        read = 0
        try:
            if steps.forget:
                with self._lock, self._store.transaction():
                    self._store.forget_looked(steps.forget)
            known = self._statements()
            for batch in _batches(steps.read, sizes):
                read += self._read(batch, listing, looked)
            self._reading.retries.read(steps.read, self._around.now() // 1000)
            if self._statements() != known:
                read += self._read_slots(listing)
            if read:
                self._reading.retries.clear()
        except StoreUnwritable as trouble:
            return read, trouble
        return read, None

    def _note_regression(self, listing: Listing, missing: Sequence[str], due: Sequence[str]) -> None:
        """Note whether the folder has gone back in time, after what is new was read and before anything is put back."""
        now, names = self._around.now() // 1000, {found.name for found in listing.files} | _evicted(listing)
        all_read = self.replica is not None or not (missing and regressions.unread(names, self._store))
        with contextlib.suppress(StoreUnwritable):
            regressions.note(self._store, missing, names, set(due) & set(missing), now, all_read=all_read)

    def _speak(self) -> StoreUnwritable | None:
        """Write what a look gives reason for; return why the store takes nothing, if it does not."""
        try:
            if self.replica is not None:
                settling.settle(self.replica)
            newcomers.note(self._store, self._around.now())
            self._drop_older()
            if self.beats:
                self._beat()
        except StoreUnwritable as trouble:
            return trouble
        return None

    def _read(self, names: Sequence[str], listing: Listing, earlier: Mapping[str, Looked]) -> int:
        self.progressed()
        return self._reading.read(self._folder, names, listing, earlier)

    def _foreign(self) -> int:
        """Return how many files in the folder are known to be no business of otpkeep."""
        return self._store.count_looked("foreign")

    def _statements(self) -> int:
        """Return how many statements about slots are known."""
        return len(self.replica.slot_statements) if self.replica is not None else 0

    def _read_slots(self, listing: Listing) -> int:
        """Read again the slots that no statement had named before: one that has come just now may."""
        with self._lock:
            looked = self._store.looked()
        there = {found.name for found in listing.files}
        return self._read([v.name for v in looked.values() if v.verdict == "slot" and v.name in there], listing, looked)

    def _plan(
        self,
        seen: Mapping[str, Seen],
        evicted: frozenset[str],
        known: Mapping[str, Known],
        judged: Mapping[str, Seen],
        resting: frozenset[str],
    ) -> Plan:
        unlocked, publishing = self.replica is not None, self.publishing
        return plan.decide(
            seen, known, judged, evicted=evicted, unlocked=unlocked, publishing=publishing, resting=resting
        )

    def _check_folder(self, listing: Listing) -> dict[str, Known]:
        """Raise Unreachable unless this is the folder that it was. Return what the store knows."""
        known = self._known()
        last_device = int(self._store.need("folder.device"))
        there = {found.name for found in listing.files} | _evicted(listing)
        plan.check_folder(there, listing.device, known, last_device)
        if listing.device != last_device:
            self._check_back(listing, known)
        self._folder.trust(listing)
        return known

    def _known(self) -> dict[str, Known]:
        """Return what the store holds. A retired device leaves its own files to the others, who may pack them."""
        device, claimed = self._store.get("device"), self._store.claimed()
        replica = self.replica
        if replica is not None:
            self._remember_superseded(frozenset(replica.slot_hashes(superseded=True) - replica.slot_hashes()))
        retired = replica is not None and replica.retired
        return {
            f.name: Known(
                f.size,
                f.published,
                own=(f.owner is None and f.hash not in self._superseded) or (f.owner == device and not retired),
                passing=f.kind in PASSING or f.hash in self._superseded,
                claimed=f.hash in claimed,
            )
            for f in self._store.files()
        }

    def is_superseded(self, digest: bytes) -> bool:
        """Tell whether this is a slot that newer ones took the place of, though perhaps they have not arrived."""
        return digest in self._superseded

    def _superseded_before(self) -> frozenset[bytes]:
        kept = self._store.get(_SUPERSEDED) or b""
        return frozenset(kept[start : start + 32] for start in range(0, len(kept), 32))

    def _remember_superseded(self, superseded: frozenset[bytes]) -> None:
        """Keep them for a daemon that starts locked, and can't read the statements."""
        if superseded != self._superseded:
            with contextlib.suppress(StoreUnwritable), self._store.transaction():
                self._store.put(_SUPERSEDED, b"".join(sorted(superseded)))
            self._superseded = superseded

    def _check_back(self, listing: Listing, known: dict[str, Known]) -> None:
        """Accept another disk number, as removable disks get, once a known file reads back whole."""
        names = [found.name for found in listing.files if found.name in known and known[found.name].published]
        if not any(self._reads_back(name) for name in names):
            raise Unreachable(
                "the folder is on another disk, and no file known to be in it reads back; "
                "edits are saved on this device",
                "Wait until the folder is synced, or run `otpkeep backup now --here`.",
            )
        with self._store.transaction():
            self._store.put("folder.device", str(listing.device).encode())

    def _reads_back(self, name: str) -> bool:
        stored, data = self._store.file_named(name), read_one(self._folder, name)
        return stored is not None and data is not None and sha256(data) == stored.hash

    # publishing

    def publish(self) -> bool:
        """Publish what waits, at once. Return whether all of this device's edits are in the folder now.

        Called under the lock, after each edit. The store learns of it with the next pass: publishing twice does no
        harm, and the person need not wait for one more sync of the disk.
        """
        if not self.publishing:
            return False
        try:
            self._check_still_there()
            self._publish_waiting()
        except OtpkeepError as trouble:
            self.last = Outcome(trouble=trouble, foreign=self.last.foreign)
            return False
        self.last = replace(self.last, read=0, published=0, trouble=None, warning=self._folder.unwritable())
        return not self.waiting()

    def waiting(self) -> list[StoredFile]:
        """Return the files that are not in the folder yet."""
        return [file for file in self._store.outbox() if file.hash not in self._unmarked]

    def _check_still_there(self) -> None:
        """Raise Unreachable unless the folder is the one that it was: one known file is proof enough."""
        if self.last.trouble is None and any(self._folder.has(name) for name in self._store.published_sample()):
            return
        self._check_folder(self._folder.look())

    def _publish_waiting(self) -> int:
        if not self.publishing:
            return 0
        waiting = self.waiting()
        for file in waiting:
            self._publish_one(file)
        return len(waiting)

    def _publish_named(self, names: Sequence[str], *, healing: bool = False) -> int:
        self.progressed()
        self._lock.give_way()
        with self._lock:
            if not self.publishing:
                return 0
            files = [file for name in names if (file := self._store.file_named(name)) is not None]
            for file in files:
                self._publish_one(file)
            if healing and files:  # before another pass sees them there, and takes them for come back by themselves
                self._healing.put_back(names)
            return len(files)

    def _heal(
        self,
        listing: Listing,
        seen: Mapping[str, Seen],
        known: Mapping[str, Known],
        judged: Mapping[str, Seen],
        missing: Sequence[str],
    ) -> set[str]:
        """Put back what the folder lost or broke, as far as it is time. Return the names."""
        copies = {judged[name].content for name in seen.keys() & judged.keys()}
        missed = [name for name in missing if name not in copies]
        with self._lock:
            due = self._healing.due(seen, known, missed, judged, locked=self.replica is None)
            due = due if self.publishing else []
            self._note_regression(listing, missed, due)
        for batch in _batches(due, {name: known[name].size for name in due if name in known}):
            self._publish_named(batch, healing=True)
        with self._lock:
            if self.publishing:
                self._healing.end_of_pass(known)
        return set(due)

    def repair(self, name: str) -> None:
        """Put a file of the store back at once, whoever made it, over whatever has its name. Errors as the folder's.

        What a pack replaced, and what passes, is nothing to put back: nobody misses it.
        """
        self.progressed()
        with self._lock:
            file = self._store.file_named(name)
            if file is None or file.kind in PASSING or self._store.is_replaced(file.hash):
                return
            if self.is_superseded(file.hash):
                return
            if sha256(self._store.data(file.hash)) != file.hash:
                raise IntegrityProblem("this device's own copy is damaged, too", "Repair it on another device.")
            self._publish_one(file)

    def _publish_one(self, file: StoredFile) -> None:
        data = self._store.data(file.hash)
        self._own_writes.add(file.name)
        if self._folder.publish(file.name, data) is Published.TAKEN:
            log.warning(logs.event("replaced", file=file.name, reason="it held other bytes than its name stands for"))
            self._folder.restore(file.name, data)
        self._unmarked.add(file.hash)

    def _flush_marks(self) -> None:
        """Record what is in the folder; where the store can't be written, later: publishing again does no harm."""
        if self._unmarked:
            with contextlib.suppress(StoreUnwritable):
                with self._store.transaction():
                    self._store.mark_published(self._unmarked)
                self._unmarked.clear()

    def settle(self) -> None:
        """Write down what is only in memory: which files are in the folder."""
        with self._lock:
            self._flush_marks()

    # beats

    def beat(self) -> bool:
        """Put the beat that is due into the outbox; return whether there was one, which the next pass publishes.

        None is written while the folder can't be reached: nobody would see it, and they would pile up.
        """
        with self._lock, translated():
            return self.last.trouble is None and self._beat()

    def _beat(self) -> bool:
        replica = self.replica
        if replica is None or not self.publishing or replica.retired:
            return False
        author, chains = replica.keys.author.writer, replica.chains
        seen, last_word = chains.last_seen_by(author)
        held = [piece for piece in chains.seen() if piece.writer != author]
        news = any(not covers(seen, Dot(p.writer, p.last, p.hash), chains.forks) for p in held)
        due = plan.beat_due(self._around.now(), last_word, news=news)
        if due:
            replica.beat()
        return due

    def _drop_older(self) -> None:
        """Remove this device's beats and snapshots but the newest, once that one has been read back."""
        if self.replica is None or not self.publishing:
            return
        own = self._store.get("device")
        for kind in PASSING:
            made = [file for file in self._store.files_of(kind) if file.owner == own]
            newest = self.replica.newest([file.hash for file in made]) if len(made) > 1 else None
            if any(file.hash == newest and file.published for file in made):
                older = [file for file in made if file.hash != newest]
                for file in older:
                    self._folder.delete(file.name)
                with self._store.transaction():
                    self._store.drop([file.hash for file in older])


def _seen(listing: Listing) -> dict[str, Seen]:
    return {found.name: Seen(found.size, found.mtime_ns) for found in listing.files}


def _judged(looked: Mapping[str, Looked]) -> dict[str, Seen]:
    return {v.name: Seen(v.size, v.mtime_ns, v.verdict, v.since, v.content) for v in looked.values()}


def _evicted(listing: Listing) -> frozenset[str]:
    """Return the names of files that are in the folder though their bytes are elsewhere."""
    return frozenset(hidden_name(name) for name in listing.placeholders)


def _batches(names: Sequence[str], sizes: Mapping[str, int]) -> Iterator[Sequence[str]]:
    """Cut names into batches that are comfortable to hold in memory."""
    batch: list[str] = []
    total = 0
    for name in names:
        total += sizes.get(name, 0)
        if batch and (len(batch) == BATCH or total > BATCH_BYTES):
            yield batch
            batch, total = [], sizes.get(name, 0)
        batch.append(name)
    if batch:
        yield batch
