"""The replica: this device's copy of the vault, unlocked.

It joins the store with the keys, and keeps chains and state in memory. Two ways in, one transaction each:

    commit(drafts)  this device's own edits: composed, sealed, durable, then folded
    ingest(files)   other devices' files: opened, checked, durable, then folded

Memory follows the store and never runs ahead of it: nothing is folded before its transaction has committed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from otpkeep_daemon import twins
from otpkeep_daemon.archive import Archive
from otpkeep_daemon.database import translated
from otpkeep_daemon.keys import Keys, Surroundings
from otpkeep_daemon.memory import Memory
from otpkeep_daemon.store import CAUGHT_UP, SUPERSEDED, NewFile, Store
from otpkeep_protocol import content, sealing, statements, wire
from otpkeep_protocol.chains import Chains
from otpkeep_protocol.compaction import Segment
from otpkeep_protocol.content import Author, Beat, Pair, Run, Snapshot
from otpkeep_protocol.context import within_budget
from otpkeep_protocol.errors import Malformed, NotAuthentic, StoreUnwritable, UnknownVersion
from otpkeep_protocol.events import Draft, Event, Place, compose
from otpkeep_protocol.ids import Piece, sha256
from otpkeep_protocol.naming import file_name
from otpkeep_protocol.slots import PASSPHRASE, slot_kind
from otpkeep_protocol.state import State
from otpkeep_protocol.view import is_retired

RUN_EVENTS = 500
RUN_BYTES = 4_194_304


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a file: `kind` is one word that the store keeps; `detail` is for people."""

    kind: str
    detail: str = ""


@dataclass(slots=True)
class _Fresh:
    """What files from the folder have brought that was not here."""

    events: list[Event] = field(default_factory=list)
    beats: list[Beat] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    packs: bool = False
    own: list[tuple[bytes, tuple[Piece, ...]]] = field(default_factory=list)
    """Writer and `seen` of what this device's key has signed, and this store has not made."""


class Replica:
    """An unlocked copy of the vault. Not safe for concurrent use: callers hold the service's lock."""

    def __init__(self, store: Store, keys: Keys, around: Surroundings) -> None:
        """Load everything that the store holds."""
        self.store = store
        self.keys = keys
        self.around = around
        self.slot_statements: dict[bytes, Mapping[str, wire.Value]] = {}
        self.secrets_version = 0
        self._slots_changed = False
        with translated():
            self.archive = Archive(store, keys)
            with contextlib.suppress(StoreUnwritable):  # left for the next start: until then they count as before
                self._take_in_understood()
            self.memory = Memory(store, self.archive, keys.author.device)
            for event in self.archive.statements():
                self._note_statement(event)

    def _take_in_understood(self) -> None:
        """After an update of otpkeep, take in the events that had to wait for it."""
        understood = self.archive.understood_now()
        if understood:
            with self.store.transaction():
                self.store.understand(understood)
                self._note_packs(understood)
                self._settle_packs()
            self.archive = Archive(self.store, self.keys)

    @property
    def chains(self) -> Chains:
        """What is known of each writer's chain."""
        return self.memory.chains

    @property
    def state(self) -> State:
        """The state that people see."""
        return self.memory.state

    @property
    def version(self) -> int:
        """A number that grows whenever the state changes."""
        return self.memory.version

    @property
    def retired(self) -> bool:
        """Whether a person has retired this very device."""
        return is_retired(self.state, self.keys.author.device)

    # own edits

    def commit(
        self,
        drafts: Sequence[Draft],
        secrets: Mapping[bytes, bytes | None] | None = None,
        also: Callable[[], None] = lambda: None,
    ) -> list[Event]:
        """Record this device's edits; when this returns they are durable. `secrets` are placeholders' local values.

        `also` writes to the store, before them, what must be recorded with them or not at all.

        Opens a new writer first if the current one was rolled back or copied, since a dot must never be made twice. A
        retired device on which accounts are edited or used is active again, and says so.
        """
        if self.retired and any(draft.kind.startswith("account.") for draft in drafts):
            drafts = [returning(self.keys.author.device), *drafts]
        with self.store.transaction():
            also()
            author, opened = self._author_for(drafts)
            composed = self._compose(author, opened)
            for batch in _batches([(envelope, body) for envelope, body, _ in composed]):
                self._store_run(author, batch, composed)
            self.keep_locals(secrets or {})
        self.keys = replace(self.keys, author=author)
        made = [event for _, _, event in composed]
        self._absorb(made)
        self._drop_superseded_slots()
        return made

    def replace_runs(self, segments: Sequence[Segment], data: bytes) -> None:
        """Have a sealed file take the place of runs of a writer, inside the transaction that says so by a pack."""
        writer = segments[0].writer
        owner = self.store.writers()[writer]
        self.store.add(_new_file("run", owner, data, published=False, writer=writer))
        for segment in segments:
            self.store.move_events(segment.file, sha256(data))

    def renew_writer(self) -> None:
        """Have the next commit open a new writer, unless the current one is not opened yet."""
        if self.store.head(self.keys.author.writer) is not None:
            with self.store.transaction():
                author = self._new_writer()
            self.keys = replace(self.keys, author=author)

    def _author_for(self, drafts: Sequence[Draft]) -> tuple[Author, Sequence[Draft]]:
        author = self.keys.author
        head = self.store.head(author.writer)
        beyond = self.chains.last_known(author.writer) > (head[0] if head is not None else 0)
        if head is not None and not beyond and author.writer not in self.chains.forks:
            return author, drafts
        if head is not None or beyond:
            author = self._new_writer()
        opening = Draft("writer.open", extra={"device": author.public_key, "nonce": author.nonce})
        return author, [opening, *drafts]

    def _new_writer(self) -> Author:
        """Have the next edit open a new writer: somebody else has written as this one, or it was rolled back.

        What was held goes into its nonce: a copy with the same random generator would open the same writer.
        """
        seen = wire.encode([list(piece) for piece in self.chains.seen()])
        nonce = sha256(b"otpkeep/v1/nonce", self.around.random(32), self.keys.author.nonce, seen)[:16]
        author = replace(self.keys.author, nonce=nonce)
        self.store.put("nonce", author.nonce)
        return author

    def _compose(self, author: Author, drafts: Sequence[Draft]) -> list[tuple[bytes, bytes, Event]]:
        seen = self.chains.seen()
        others = [piece for piece in seen if piece.writer != author.writer]
        own = next((piece for piece in seen if piece.writer == author.writer), None)
        head = self.store.head(author.writer)
        seq, prev = head if head is not None else (0, None)
        composed = []
        for number, draft in enumerate(drafts, start=1):
            place = Place(
                self.keys.keyring.vault,
                author.writer,
                seq + number,
                prev,
                self.chains.clock + number,
                max(0, self.around.now()),
                self._seen_by(draft, others, own, author),
                self.around.random(16),
            )
            composed.append(compose(draft, place))
            event = composed[-1][2]
            prev = event.hash
            own = Piece(author.writer, own.first if own is not None else 1, event.dot.seq, event.dot.hash)
        return composed

    def _seen_by(self, draft: Draft, others: list[Piece], own: Piece | None, author: Author) -> tuple[Piece, ...]:
        if draft.seen is not None:
            return draft.seen
        if draft.unseen:
            others = [piece for piece in self.chains.seen_but(draft.unseen) if piece.writer != author.writer]
        return tuple(within_budget([*others, own] if own is not None else others, author.writer))

    def _store_run(self, author: Author, pairs: list[Pair], composed: list[tuple[bytes, bytes, Event]]) -> None:
        envelopes = {envelope for envelope, _ in pairs}
        made = tuple(event for envelope, _, event in composed if envelope in envelopes)
        data = self.seal(content.make_run(author, self.keys.keyring.vault, pairs))
        self.store.add(_new_file("run", author.device, data, published=False, writer=author.writer, events=made))
        self._note_packs(made)

    def beat(self) -> None:
        """Put into the outbox what this device has seen; the store forgets its earlier beats when this one is out."""
        author, wall = self.keys.author, max(0, self.around.now())
        seen = tuple(within_budget(self.chains.seen(), author.writer))
        self.keep("beat", content.make_beat(author, self.keys.keyring.vault, wall, seen))
        self.memory.absorb([], [Beat(author.device, author.writer, wall, seen)])

    def keep(self, kind: str, made: bytes, also: Callable[[bytes], None] = lambda _hash: None) -> None:
        """Put into the outbox this device's content of a kind that holds no events; `also` gets its file's hash."""
        author = self.keys.author
        new = _new_file(kind, author.device, self.seal(made), published=False, writer=author.writer)
        with self.store.transaction():
            self.store.add(new)
            also(new.hash)

    def newest(self, digests: Sequence[bytes]) -> bytes:
        """Return which of some beats, or snapshots, says most; a client may bring back older ones at any time."""
        return max(digests, key=lambda digest: (content.passing_rank(self.archive.run(digest)), digest))

    def seal(self, made: bytes) -> bytes:
        """Return the file of some content, under fresh randomness."""
        return self.keys.seal(made, self.around.random(32))

    # other devices' files

    def ingest(self, files: Sequence[bytes], *, published: bool = True) -> list[Verdict]:
        """Take in the bytes of files from the folder. Each gets its verdict; a bad one never stops the others."""
        fresh = _Fresh()
        author = self.keys.author
        with self.store.transaction():
            verdicts = [self._take_in(data, fresh, published) for data in files]
            forked = any(e.dot.writer == author.writer and not self.chains.holds(e.dot) for e in fresh.events)
            if forked:
                author = self._new_writer()
            if fresh.own:
                twins.meet(self.store, fresh.own, author.writer, self.around.now(), forked=forked)
            if fresh.packs:
                self._settle_packs()
        self.keys = replace(self.keys, author=author)
        self._absorb(fresh.events, fresh.beats, fresh.snapshots)
        self._drop_superseded_slots()
        return verdicts

    def _take_in(self, data: bytes, fresh: _Fresh, published: bool) -> Verdict:
        try:
            header = sealing.read_header(data)
            if header.vault != self.keys.keyring.vault:
                return Verdict("other-vault", f"a file of another vault, {header.vault.hex()}")
            if header.type == sealing.SLOT:
                return self._take_slot(data, header)
            opened = self.keys.open(data)
        except UnknownVersion as error:
            return Verdict("newer", error.message)
        except (Malformed, NotAuthentic) as error:
            return Verdict("pending" if sealing.has_magic(data) else "foreign", error.message)
        return self._take_content(opened, data, fresh, published)

    def _take_content(self, opened: bytes, data: bytes, fresh: _Fresh, published: bool) -> Verdict:
        try:
            found = self.keys.read(opened)
        except (Malformed, NotAuthentic) as error:
            return Verdict("rejected", error.message)
        replaced = self.store.latest(sha256(data)) is not None
        if replaced and isinstance(found, Run) and not self.store.fresh(found.events):
            return Verdict("replaced", "other files have all of its events")
        self._keep(found, data, fresh, published)
        return Verdict("ok")

    def _take_slot(self, data: bytes, header: sealing.Header) -> Verdict:
        sealing.check_version(header)
        if sha256(data) not in self.slot_hashes():
            return Verdict("slot", "a slot that no statement of this vault names")
        self.store.add(_new_file("slot", None, data, published=True))
        self._slots_changed = True
        return Verdict("ok")

    def _keep(self, found: content.Content, data: bytes, fresh: _Fresh, published: bool) -> None:
        kind = type(found).__name__.lower()
        made: tuple[Event, ...] = ()
        if isinstance(found, Run):
            made = tuple(self.keys.checked(event) for event in found.events)
        new = _new_file(kind, found.device, data, published=published, writer=found.writer, events=made)
        added = self.store.add(new)
        fresh.events.extend(added)
        if found.device == self.keys.author.device:
            fresh.own.extend((event.dot.writer, event.seen) for event in added if not self.chains.holds(event.dot))
            if isinstance(found, Beat):
                fresh.own.append((found.writer, found.seen))
        self.archive.note(new)
        self._note_packs(made)
        fresh.packs |= any(event.kind == "pack" for event in made) or self.store.replaces(new.hash)
        if isinstance(found, Beat):
            fresh.beats.append(found)
        if isinstance(found, Snapshot) and self._keep_snapshot(new.hash, found):
            fresh.snapshots.append(found)

    def _keep_snapshot(self, digest: bytes, found: Snapshot) -> bool:
        """Keep only the one of a device's snapshots that covers most. Return whether it is this one.

        Of this device's own, the engine removes the others, from the folder as well.
        """
        counts = {h: covered(made) for h, made in self.archive.snapshots() if made.device == found.device}
        best = max(counts, key=lambda h: (counts[h], h))
        if found.device != self.keys.author.device:
            self.store.drop(h for h in counts if h != best)
        return digest == best

    def _note_packs(self, made: Iterable[Event]) -> None:
        for event in made:
            if event.kind == "pack" and event.problem is None and event.values is not None:
                self.store.note_pack(event, self.around.now() // 1000)

    def _settle_packs(self) -> None:
        """Let go of files whose replacement is here and holds every one of their events, and the bodies too."""
        opened: dict[bytes, dict[bytes, bool]] = {}
        for old, new in self.store.replaceable():
            if not (self.store.has(old) and self.store.has(new)):
                continue
            if new not in opened:
                opened[new] = content.bodied(self.archive.run(new))
            has = opened[new]
            if all(digest in has and has[digest] >= bodied for digest, bodied in self.store.events_in(old)):
                self.store.move_events(old, new)

    # memory

    def _absorb(self, events: Sequence[Event], beats: Sequence[Beat] = (), snapshots: Sequence[Snapshot] = ()) -> None:
        for event in events:
            self._note_statement(event)
        self.memory.absorb(events, beats, snapshots)
        if self.memory.catches_up:
            with contextlib.suppress(StoreUnwritable):  # left for the next time: the edit before it is saved
                with self.store.transaction():
                    self.store.put(CAUGHT_UP, b"yes")
                self.memory.caught_up()

    def _drop_superseded_slots(self) -> None:
        """Forget slots that are no longer current, so that an old passphrase stops unlocking this device.

        Not before a current one is here: without any slot nobody could unlock it again.
        """
        if not self._slots_changed:
            return
        held = {file.hash for file in self.store.files_of("slot")}
        current = self.slot_hashes()
        with contextlib.suppress(StoreUnwritable):  # as above
            if held - current and any(slot_kind(self.store.data(digest)) == PASSPHRASE for digest in held & current):
                with self.store.transaction():
                    self.store.drop(held - current)
                    self.store.put(SUPERSEDED, b"".join(sorted(self.slot_hashes(superseded=True) - current)))
            self._slots_changed = False

    def _note_statement(self, event: Event) -> None:
        if event.kind == "slot.set" and event.problem is None and event.values is not None:
            statement = event.extra["statement"]
            self.slot_statements[statements.check_admin(statement, self.keys.keyring)] = statement
            self._slots_changed = True

    # questions

    def current_slot_statements(self) -> list[Mapping[str, wire.Value]]:
        """Return the slot.set statements that no other supersedes: one, unless two were made at once."""
        return statements.current(self.slot_statements.items())

    def slot_statement(self) -> Mapping[str, wire.Value]:
        """Return the current slot.set statement. NotAuthentic if none has arrived."""
        known = self.current_slot_statements()
        if not known:
            raise NotAuthentic("the statement that names this vault's slots has not arrived yet")
        return known[0]

    def slot_hashes(self, *, superseded: bool = False) -> set[bytes]:
        """Return the hashes of the current slot files, and of those that once were if asked."""
        known = list(self.slot_statements.values()) if superseded else self.current_slot_statements()
        return {digest for statement in known for digest in statement["values"]["slots"]}

    def local_secret(self, account: bytes) -> bytes | None:
        """Return the canonical otp of a placeholder that this device enrolled, None for any other account."""
        sealed = self.store.local(account)
        if sealed is None:
            return None
        return self.keys.open_local(account, sealed)

    def local_secrets(self) -> dict[bytes, bytes]:
        """Return the canonical otp of every placeholder that this device enrolled, by account."""
        return {account: self.keys.open_local(account, sealed) for account, sealed in self.store.locals().items()}

    def keep_locals(self, secrets: Mapping[bytes, bytes | None]) -> None:
        """Keep, or with None forget, placeholders' secrets on this device alone. Called inside a transaction."""
        self.secrets_version += 1
        for account, secret in secrets.items():
            sealed = None if secret is None else self.keys.seal_local(account, secret, self.around.random(32))
            self.store.set_local(account, sealed)


def returning(device: bytes) -> Draft:
    """Return the draft that makes a retired device active again."""
    return Draft("device.return", device, values={"retired": None})


def _new_file(
    kind: str,
    owner: bytes | None,
    data: bytes,
    *,
    published: bool,
    writer: bytes | None = None,
    events: tuple[Event, ...] = (),
) -> NewFile:
    return NewFile(sha256(data), file_name(data), kind, owner, published, data, writer, events)


def covered(snapshot: Snapshot) -> int:
    """Return how many events a snapshot stands for."""
    return sum(piece.last - piece.first + 1 for piece in snapshot.seen)


def _batches(pairs: list[Pair]) -> Iterator[list[Pair]]:
    """Cut pairs into runs that stay comfortable to hold in memory."""
    batch: list[Pair] = []
    size = 0
    for envelope, body in pairs:
        size += len(envelope) + len(body or b"")
        if batch and (len(batch) == RUN_EVENTS or size > RUN_BYTES):
            yield batch
            batch, size = [], len(envelope) + len(body or b"")
        batch.append((envelope, body))
    if batch:
        yield batch
