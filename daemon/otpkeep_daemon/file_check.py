"""Each file in the folder by itself: does it hold what its name stands for, and with keys, does it open.

name ──hash──▶ bytes        without keys
bytes ──key──▶ content      with keys, and into `FolderContent`
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from otpkeep_daemon import findings
from otpkeep_daemon.findings import Finding
from otpkeep_daemon.folder import Folder, Listing
from otpkeep_daemon.folder_content import FolderContent
from otpkeep_daemon.store import Store, StoredFile
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import content, sealing, slots
from otpkeep_protocol.errors import Malformed, NotAuthentic, OtpkeepError, UnknownVersion, Unreachable
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.naming import EXTENSION, NameKind, classify, file_name, hash_name, hidden_name

_NAME_WITHIN = re.compile(r"[0-9a-f]{32}")


class FileCheck:
    """Checks files one by one. Without `whole`, where what is in them goes, no key is used.

    `known` is what the store had when it began, by name. Afterwards `there` has the name of each sound file by its
    hash, `broken` kind and words for each file of the store that is not in the folder as it should be, and `findings`
    the rest. It holds the lock only to ask the store.
    """

    def __init__(
        self,
        store: Store,
        folder: Folder,
        lock: Turns,
        *,
        known: Mapping[str, StoredFile],
        whole: FolderContent | None,
        label: Callable[[bytes], str],
    ) -> None:
        self.there: dict[bytes, str] = {}
        self.broken: dict[str, tuple[str, str]] = {}
        self.findings: list[Finding] = []
        self._copies: list[tuple[str, str, Finding]] = []
        self._store = store
        self._folder = folder
        self._lock = lock
        self._known = known
        self._whole = whole
        self._label = label
        self._vault = store.need("vault")

    def look(self, listing: Listing, step: Callable[[], None]) -> None:
        """Check every file of a listing; `step` is called before each."""
        for found in listing.files:
            step()
            self._check(found.name)
        self._absent(listing)
        sound = {hash_name(digest) for digest in self.there}
        self.findings += [findings.damaged_copy(n, of) if of in sound else f for n, of, f in self._copies]

    def opened(self, name: str) -> bytes | None:
        """Return the content of a file that was sound, None if it is gone or another one now."""
        data = self._folder.read(name)
        if data is None or self._whole is None or self.there.get(sha256(data)) != name:
            return None
        return self._whole.keys.open(data)

    # one file

    def _check(self, name: str) -> None:
        data = self._read(name)
        if data is None:
            return
        digest = sha256(data)
        misnamed = classify(name) is NameKind.SEALED_NAME and file_name(data) != name
        wrong = None if digest in self.there else self._judge(name, data, digest)
        sound = wrong is None and not (misnamed and self._may_be_anything(digest))
        if sound:
            self.there.setdefault(digest, name)
        if misnamed:
            self._misnamed(name, data, sound=sound)
        elif wrong is not None:
            self._report(name, wrong)

    def _may_be_anything(self, digest: bytes) -> bool:
        """Tell whether bytes under a wrong name were not opened, as slots never are, and are unknown to the store."""
        if self._has(digest):
            return False
        return self._whole is None or self._whole.slots.pop(digest, None) is not None

    def _read(self, name: str) -> bytes | None:
        """Return the bytes of a file that may be ours; None for others', and for what can't be read, which is told."""
        try:
            if EXTENSION not in name and not sealing.has_magic(self._folder.head(name) or b""):
                return None
            return self._folder.read(name)
        except Unreachable:
            raise
        except OtpkeepError as error:
            if name in self._known:
                self.broken[name] = ("unreadable", error.message)
            else:
                self.findings.append(findings.unread(name, error.message, error.hint))
            return None

    def _misnamed(self, name: str, data: bytes, *, sound: bool) -> None:
        """Report a file whose name stands for other bytes; they may be another file's, which then is here."""
        stored, others = self._known.get(name), file_name(data) if sound else None
        with self._lock:
            right = self._store.data(stored.hash) if stored is not None and self._store.has(stored.hash) else None
            replacement = self._store.replacement_of(name) if stored is None else None
        what = findings.damage_of(data, right, others)
        if stored is not None:
            self.broken[name] = ("damaged", what)
        elif replacement is not None:
            self.findings.append(findings.damaged_replaced(name, what, hash_name(replacement)))
        else:
            self.findings.append(findings.damaged_unknown(name, what))

    def _report(self, name: str, wrong: Finding) -> None:
        within = _NAME_WITHIN.search(name)
        if within is not None and wrong.kind in ("malformed", "not-authentic") and classify(name) is NameKind.CANDIDATE:
            self._copies.append((name, within.group() + EXTENSION, wrong))
        else:
            self.findings.append(wrong)

    def _judge(self, name: str, data: bytes, digest: bytes) -> Finding | None:
        """Return what is wrong with these bytes, whatever they are called; None if nothing is."""
        if self._whole is None and self._has(digest):
            return None
        try:
            return self._read_through(name, data, digest)
        except UnknownVersion:
            return findings.newer(name)
        except NotAuthentic as error:
            return findings.unopened(name, error.message)
        except Malformed as error:
            return findings.cut(name, error.message)

    def _read_through(self, name: str, data: bytes, digest: bytes) -> Finding | None:
        header = sealing.read_header(data)
        if header.vault != self._vault:
            return findings.other_vault(name)
        sealing.check_version(header)
        if not sealing.is_whole(len(data), header.type):
            raise Malformed("a file cut short")
        return self._open(name, data, header, digest) if self._whole is not None else None

    def _open(self, name: str, data: bytes, header: sealing.Header, digest: bytes) -> Finding | None:
        assert self._whole is not None
        if header.type == sealing.SLOT:
            self._whole.slots[digest] = (name, slots.slot_kind(data))
            return None
        opened = self._whole.keys.open(data)
        try:
            found = content.read(opened, self._whole.keys.keyring)
        except (Malformed, NotAuthentic) as error:
            return findings.rejected(name, error.message, self._signer(opened))
        self._whole.take(name, found)
        return None

    def _signer(self, opened: bytes) -> str | None:
        """Return the device that a content says is its own, if it says one."""
        signer = content.device_in(opened)
        return self._label(signer) if signer is not None else None

    def _has(self, digest: bytes) -> bool:
        self._lock.give_way()
        with self._lock:
            return self._store.has(digest)

    # what is not there

    def _absent(self, listing: Listing) -> None:
        evicted = {hidden_name(name) for name in listing.placeholders}
        names = {found.name for found in listing.files} | evicted
        for name, file in self._known.items():
            if (
                file.published
                and file.kind not in findings.PASSING
                and name not in names
                and file.hash not in self.there
            ):
                self.broken[name] = ("missing", "it was in the folder and is gone")
        for name in sorted(evicted & self._known.keys()):
            self.broken[name] = ("not-here", "it is in the cloud, but not downloaded to this machine")
