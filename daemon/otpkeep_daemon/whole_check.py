"""The folder as a whole: do its files together hold a vault that could be rebuilt from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from otpkeep_daemon import vault_findings
from otpkeep_daemon.file_check import FileCheck
from otpkeep_daemon.findings import Finding
from otpkeep_daemon.folder_content import FolderContent
from otpkeep_daemon.folder_faults import shown
from otpkeep_daemon.store import Store
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import statements
from otpkeep_protocol.ids import event_name
from otpkeep_protocol.naming import hash_name
from otpkeep_protocol.slots import PASSPHRASE, RECOVERY, slot_kind


@dataclass(frozen=True, slots=True)
class WholeCheck:
    """Asks what the files said, once all are read. `label` names a device; the lock is held to ask the store alone."""

    whole: FolderContent
    files: FileCheck
    store: Store
    lock: Turns
    label: Callable[[bytes], str]
    step: Callable[[], None]

    def findings(self) -> Iterator[Finding]:
        """Yield everything that is wrong with the whole."""
        yield from self._events()
        yield from self._bare()
        yield from self._gaps()
        yield from self._forks()
        for file, device, piece in self.whole.contradictions(self._opened):
            yield vault_findings.contradiction(file, self.label(device), piece)
        yield from self._packs()
        yield from self._snapshots()
        yield from self._slots()

    def _opened(self, name: str) -> bytes | None:
        self.step()
        return self.files.opened(name)

    def _device_of(self, writer: bytes) -> bytes | None:
        with self.lock:
            return self.whole.devices.get(writer) or self.store.writers().get(writer)

    def _named(self, writer: bytes) -> str | None:
        device = self._device_of(writer)
        return self.label(device) if device is not None else None

    # events

    def _events(self) -> Iterator[Finding]:
        for file, event in self.whole.invalid:
            name, device = event_name(event.dot.writer, event.dot.seq), self._named(event.dot.writer)
            if event.held:
                yield vault_findings.invalid(file, device, name, event.problem or "")
            else:
                yield vault_findings.update(file, device, name)

    def _bare(self) -> Iterator[Finding]:
        counts: dict[tuple[str, bytes], int] = {}
        for digest, (file, dot, device) in self.whole.bare.items():
            with self.lock:
                gone = digest not in self.whole.events and not self.store.has_body(dot)
            if gone:
                counts[file, device] = counts.get((file, device), 0) + 1
        for (file, device), count in counts.items():
            yield vault_findings.bare(file, self.label(device), count)

    def _gaps(self) -> Iterator[Finding]:
        own = self.store.need("device")
        for writer in self.whole.chains.writers():
            with self.lock:
                here = {seq for seq, _ in self.store.places_of(writer)} if self._lacks(writer) else set()
            holes = self.whole.chains.holes(writer, here)
            if holes:
                claim, device = self.whole.claims.get(writer), self._device_of(writer)
                claimed = (shown(claim.file), self.label(claim.device)) if claim is not None else None
                pieces = [(writer, first, last, last - first + 1) for first, last in holes]
                yield vault_findings.gap(pieces, device=self._named(writer), claimed=claimed, own=device == own)

    def _lacks(self, writer: bytes) -> bool:
        return bool(self.whole.chains.holes(writer))

    def _forks(self) -> Iterator[Finding]:
        for writer, links in self.whole.chains.forks.items():
            held = Counter(seq for (seq, _), link in links.items() if link.held)
            twice = sorted(seq for seq, branches in held.items() if branches > 1)
            if twice:
                yield vault_findings.fork(self._named(writer), event_name(writer, twice[0]))

    # caches and packs

    def _packs(self) -> Iterator[Finding]:
        there = self.files.there
        for pack, old, new, count in self.whole.unpacked(there, self._opened):
            yield vault_findings.pack(pack.file, self.label(pack.device), old, new, count)
        replaced = {old for pack in self.whole.packs for old in pack.replaced}
        for pack in self.whole.packs:
            gone = sum(old not in there for old in pack.replaced)
            with self.lock:
                lost = pack.new not in there and pack.new not in replaced and not self.store.has(pack.new)
            if lost and gone:
                yield vault_findings.packed_away(hash_name(pack.new), self.label(pack.device), gone)

    def _snapshots(self) -> Iterator[Finding]:
        own = self.store.need("device")
        for name in self.whole.lying_snapshots(self._opened):
            device = self.whole.covers[name][0]
            yield vault_findings.snapshot(name, self.label(device), own=device == own)

    # slots

    def _slots(self) -> Iterator[Finding]:
        whole = self.whole
        every = {digest for statement in whole.statements.values() for digest in statement["values"]["slots"]}
        latest = statements.current(whole.statements.items())
        current = {digest for statement in latest for digest in statement["values"]["slots"]}
        if len(latest) > 1:
            yield vault_findings.two_slots()
        for digest, (name, _) in whole.slots.items():
            if digest not in every:
                yield vault_findings.unnamed_slot(name)
            elif digest not in current:
                yield vault_findings.superseded_slot(name)
        yield from self._missing_slots(current)

    def _missing_slots(self, current: set[bytes]) -> Iterator[Finding]:
        with self.lock:
            stored = {file.hash: self.store.data(file.hash) for file in self.store.files_of("slot")}
        kinds = {kind for digest, (_, kind) in self.whole.slots.items() if digest in current}
        absent = current - self.whole.slots.keys()
        here = {slot_kind(stored[digest]) for digest in absent & stored.keys()}
        told = {*self.files.broken, *(finding.file for finding in self.files.findings)}
        for digest in sorted(absent - stored.keys()):
            if hash_name(digest) not in told:
                yield vault_findings.slot_missing(hash_name(digest))
        if current and not kinds:
            yield vault_findings.no_slot("the passphrase or the recovery code", repairable=bool(here))
            return
        unknown = bool(absent - stored.keys())
        for kind, what in ((PASSPHRASE, "the passphrase"), (RECOVERY, "the recovery code")):
            if kind not in kinds and (kind in here or (unknown and kind == PASSPHRASE)):
                yield vault_findings.no_slot(what, repairable=kind in here)
