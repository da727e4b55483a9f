"""Writing two-way files: what is to be in them is committed first, then they are exchanged, then that is recorded.

    commit intended ──▶ write beside ──▶ exchange ──▶ what came out is what was read last?
                                                        yes: record, remove it      no: exchange back, look again

Killed at any moment, the next look knows from `pending` and the temporary file how far it came. A file that shows what
was intended is our own write and makes no event.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from otpkeep_daemon import capture, exchange
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.capture import Held, Item
from otpkeep_daemon.captures import Misread, items_of
from otpkeep_daemon.exchange import Places
from otpkeep_daemon.folder_faults import unwritten
from otpkeep_daemon.formats import aegis, registry
from otpkeep_daemon.formats.aegis import Under
from otpkeep_daemon.formats.registry import Opened
from otpkeep_daemon.intended import Living, is_empty, rewrite_of
from otpkeep_daemon.own_vault import exportable
from otpkeep_daemon.vault_files import read_stable, stamp_of
from otpkeep_daemon.watched import Watched
from otpkeep_daemon.watches import OWN, Watch
from otpkeep_protocol.errors import NotAuthentic, OtpkeepError
from otpkeep_protocol.ids import sha256


@dataclass(frozen=True, slots=True)
class Job:
    """One write: the vault as it was gathered, and the file's row."""

    accounts: Accounts
    watch: Watch
    version: int
    held: Held
    living: Living
    under: Under | None = field(repr=False)


class Writing:
    """Writes watched files. Called under the files' turn, never under the service's lock."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._cleared: set[Path] = set()

    def write(self, path: Path, *, strict: bool = False, anew: bool = False) -> bool:
        """Bring a file up to date; return whether that must be tried again soon.

        `strict` takes out entries that stand for no account here; `anew` does not keep what can't be read.
        """
        job = self._gather(path, strict=strict)
        if job is None:
            return False
        if stamp_of(path) is None:
            return self._create(job) if job.watch.format == OWN else False
        content = read_stable(path)
        if content is None or content.digest != job.watch.content:
            return True
        data = self._fresh(job) if anew else self._changed(job, content.data)
        if data is None:
            self._note_version(job)
            return False
        places = self._intend(job, data)
        return places is None or self._exchange(job, places, data)

    def _gather(self, path: Path, *, strict: bool) -> Job | None:
        """Return what to write with; None if there is nothing to do, or something waits for a person."""
        watched = self._watched
        with watched.lock:
            watch, accounts = watched.watches.get(path), watched.accounts()
            if watch is None or accounts is None or watch.pending is not None or watched.watches.holds(path):
                return None
            version = watched.store.event_count()
            if watch.version == version and not strict and stamp_of(path) is not None:
                return None
            held = watched.held(accounts, watch) or Held()
            return Job(accounts, watch, version, held, _living(accounts, held, strict=strict), _under(accounts, watch))

    def _changed(self, job: Job, data: bytes) -> bytes | None:
        """Return the file's bytes with what must be changed in them; None if nothing must."""
        watch = job.watch
        opened = self._watched.open(job.accounts, watch, data, any_format=watch.format == OWN)
        if isinstance(opened, Misread):
            raise OtpkeepError(
                f"the watched file {watch.path} can't be read ({opened.reason}), so it was not written",
                "`otpkeep review` shows what waits.",
            )
        change = rewrite_of(job.held, job.living, opened.parsed.format, own=watch.format == OWN)
        foreign = job.under is not None and not aegis.is_under(data, job.under.slot)
        if is_empty(change) and not foreign:
            return None
        made = registry.rewrite(data, opened, change, job.under)
        return made if foreign or self._differs(job, opened, made) else None

    def _differs(self, job: Job, opened: Opened, made: bytes) -> bool:
        """Tell whether a rewrite shows other values than before, and not only what the format can't hold."""
        return _values(items_of(self._read(job, made))) != _values(items_of(opened))

    def _read(self, job: Job, data: bytes) -> Opened:
        keys = [job.under.key] if job.under is not None else []
        opened = (
            self._watched.open(job.accounts, job.watch, data)
            if not keys
            else registry.open_file(data, passphrase=None, keys=keys)
        )
        if isinstance(opened, Misread):
            raise NotAuthentic(f"what was to be written to {job.watch.path} does not read back; it was not written")
        return opened

    def _fresh(self, job: Job) -> bytes:
        """Return a whole new file."""
        chosen = sorted(job.living.accounts.items())
        if job.under is not None:
            return aegis.write_with_master_key(chosen, job.under.key, job.under.slot, self._watched.around.random).data
        password = self._watched.password(job.accounts, job.watch)
        return registry.write(job.watch.format, chosen, passphrase=password, random=self._watched.around.random).data

    def _intend(self, job: Job, data: bytes) -> Places | None:
        """Commit what is about to be written; None if the vault or the file has changed meanwhile."""
        watched = self._watched
        intended = _held_after(job, self._read(job, data))
        places = watched.places(job.watch)
        with watched.lock:
            if watched.accounts() is not job.accounts or watched.watches.get(job.watch.path) != job.watch:
                return None
            sealed = watched.seal(job.accounts, job.watch.path, intended)
            with watched.store.transaction():
                watched.watches.put(
                    replace(job.watch, pending=sha256(data), pending_held=sealed, temporary=places.temporary)
                )
        return places

    def _exchange(self, job: Job, places: Places, data: bytes) -> bool:
        with _told(job.watch.path):
            exchange.prepare(places, data)
            try:
                exchange.exchange(places)
            except FileNotFoundError:
                self._drop(job.watch.path, places)
                return True
        return self._conclude(job.watch.path, places, job.version)

    def _create(self, job: Job) -> bool:
        """Write the own vault file where there is none."""
        data = self._fresh(job)
        places = self._intend(job, data)
        if places is None:
            return True
        with _told(job.watch.path):
            exchange.prepare(places, data)
            try:
                exchange.create(places)
            except FileExistsError:
                self._drop(job.watch.path, places)
                return True
        self._record(job.watch.path, job.version)
        return False

    # what came of it

    def recover(self, path: Path) -> None:
        """Find out how far a write came that was cut off, and end it."""
        with self._watched.lock:
            watch = self._watched.watches.get(path)
        if watch is None or watch.temporary is None:
            return
        places = self._watched.places(watch)
        if watch.pending is not None:
            with _told(path):
                out = exchange.swapped_out(places)
            if out is not None and sha256(out) != watch.pending:
                self._conclude(path, places, None)
            elif out is not None and _digest(path) == watch.pending:
                self._record(path, None)
                with _told(path):
                    exchange.clear(places)
            else:
                self._drop(path, places)
        elif path not in self._cleared:
            with _told(path):
                exchange.clear(places)
        self._cleared.add(path)

    def _conclude(self, path: Path, places: Places, version: int | None) -> bool:
        """Record a write if it replaced what was read; put back what it did not know. Return whether to look again."""
        with self._watched.lock:
            watch = self._watched.watches.get(path)
        with _told(path):
            out = exchange.swapped_out(places)
            if watch is not None and out is not None and sha256(out) != watch.content:
                self._put_back(places, watch)
                self._drop(path, places)
                return True
            self._record(path, version)
            exchange.clear(places)
        return False

    def _put_back(self, places: Places, watch: Watch) -> None:
        """Exchange back; should the other program have written once more in between, its last word stays."""
        exchange.exchange(places)
        out = exchange.swapped_out(places)
        if out is not None and sha256(out) != watch.pending:
            exchange.exchange(places)

    def _record(self, path: Path, version: int | None) -> None:
        """Take what was intended for what the file holds."""
        watched = self._watched
        with watched.lock, watched.store.transaction():
            watch = watched.watches.get(path)
            if watch is not None and watch.pending_held is not None:
                done = replace(watch, content=watch.pending, held=watch.pending_held, version=version)
                watched.watches.put(replace(done, pending=None, pending_held=None))

    def _drop(self, path: Path, places: Places) -> None:
        """Forget a write that did not happen, its temporary files first."""
        with _told(path):
            exchange.clear(places)
        watched = self._watched
        with watched.lock, watched.store.transaction():
            watch = watched.watches.get(path)
            if watch is not None:
                watched.watches.put(replace(watch, pending=None, pending_held=None))

    def _note_version(self, job: Job) -> None:
        watched = self._watched
        with watched.lock, watched.store.transaction():
            watch = watched.watches.get(job.watch.path)
            if watch is not None:
                watched.watches.put(replace(watch, version=job.version))


def _living(accounts: Accounts, held: Held, *, strict: bool) -> Living:
    shown = accounts.views()
    alive = dict(exportable(accounts).accounts)
    deleted = frozenset(view.account for view in shown if view.deleted)
    marked = frozenset(view.account for view in shown if accounts.is_placeholder(view))
    if strict:
        known = {item.account for item in held.items if item.account is not None}
        deleted |= {account for account in known if account not in alive}
    return Living(alive, deleted, marked)


def _under(accounts: Accounts, watch: Watch) -> Under | None:
    """Return the keys of the own vault file, None for any other. NotAuthentic while its slot has not arrived."""
    if watch.format != OWN:
        return None
    replica = accounts.replica
    return Under(replica.keys.keyring.own_master_key(), replica.slot_statement()["values"]["own"])


def _held_after(job: Job, opened: Opened) -> Held:
    """Return what the file will hold, each entry with its account: by its id, as it was before, or by what it holds."""
    items = items_of(opened)
    fresh = [Item("", None, account.to_fields(), ident) for ident, account in job.living.accounts.items()]
    known = {item.identity: item.account for item in job.held.items if item.identity is not None}
    pairs = capture.compare([*job.held.items, *_missing(job, fresh)], items).pairs
    became = {after.label: before.account for before, after in pairs}
    now = []
    for item in items:
        own = uuid.UUID(item.identity[1]).bytes if item.identity is not None else None
        account = (
            (known.get(item.identity) if item.identity else None)
            or (own if own in job.living.accounts else None)
            or became.get(item.label)
        )
        now.append(replace(item, account=account))
    return capture.holding(job.held, now, job.held.skipped, job.held.flips, ended=opened.parsed.ended)


def _missing(job: Job, fresh: Sequence[Item]) -> list[Item]:
    there = {item.account for item in job.held.items}
    return [item for item in fresh if item.account not in there]


def _values(items: Sequence[Item]) -> list[object]:
    return [(item.identity, item.fields) for item in items]


def _digest(path: Path) -> bytes | None:
    content = read_stable(path)
    return content.digest if content is not None else None


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in our words what the file system says."""
    try:
        yield
    except OSError as error:
        raise unwritten(path, error) from error
