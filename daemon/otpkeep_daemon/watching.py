"""Looking at watched files: what another program changed there becomes events, or waits for a person.

look ──▶ read twice ──▶ parse whole ──▶ decide ──▶ commit events and what the file holds, in one transaction
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.capture import CUT, Held
from otpkeep_daemon.captures import Capture, Misread
from otpkeep_daemon.database import translated
from otpkeep_daemon.folder_faults import unwritten
from otpkeep_daemon.formats.registry import Opened
from otpkeep_daemon.vault_files import Content, Stamp, copies_beside, read_stable, stamp_of
from otpkeep_daemon.watched import Watched, hold_of
from otpkeep_daemon.watches import OWN, Copy, Watch
from otpkeep_daemon.writing import Writing
from otpkeep_protocol.errors import OtpkeepError

PATIENCE_S = 2.0
"""How long a file may be unreadable, since somebody writes it, before a person is told."""


class Watching:
    """Keeps the watched files and the vault in step: `look` takes in, `write_back` writes the two-way ones."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.writing = Writing(watched)
        self._copy_stamps: dict[Path, Stamp] = {}
        self._unread: dict[Path, tuple[bytes, float]] = {}

    def paths(self) -> set[Path]:
        """Return the files whose changes prompt a look."""
        with self.watched.lock, translated():
            return {watch.path for watch in self.watched.watches.all()} | {self.watched.own_path}

    def look(self) -> bool:
        """Take in what has changed. Return whether a file must be looked at again soon."""
        return self._in_turn(self.look_at)

    def write_back(self) -> None:
        """Bring the two-way files up to date, where nothing waits for a person."""
        self._in_turn(self._write)

    def _in_turn(self, act: Callable[[Path], bool]) -> bool:
        """Do something with each file. What keeps it from all of them is told of the own one; the next look tries."""
        try:
            with self.watched.turn():
                self._begin_own()
                return self._each(act)
        except OtpkeepError as trouble:
            self.watched.troubles[self.watched.own_path] = trouble
            return False

    def _write(self, path: Path) -> bool:
        with self.watched.lock:
            watch = self.watched.watches.get(path)
        return watch is not None and watch.two_way and (self.look_at(path) or self.writing.write(path))

    def _each(self, act: Callable[[Path], bool]) -> bool:
        """Do something with each file; what goes wrong with one is told in `status` and stops no other."""
        again = False
        with self.watched.lock, translated():
            paths = [watch.path for watch in self.watched.watches.all()]
        for path in paths:
            try:
                with translated():
                    again = act(path) or again
                self.watched.troubles.pop(path, None)
            except OtpkeepError as trouble:
                self.watched.troubles[path] = trouble
            except OSError as error:
                self.watched.troubles[path] = unwritten(path, error)
        return again

    def _begin_own(self) -> None:
        """Watch the own vault file, from the first time that the keys are here."""
        with self.watched.lock, translated():
            accounts, path, watches = self.watched.accounts(), self.watched.own_path, self.watched.watches
            left = [watch for watch in watches.all() if watch.format == OWN and watch.path != path]
            if accounts is None or (watches.get(path) is not None and not left):
                return
            with self.watched.store.transaction():
                for watch in left:
                    watches.forget(watch.path)
                if watches.get(path) is None:
                    watches.put(self._own_watch(accounts, left))

    def _own_watch(self, accounts: Accounts, left: Sequence[Watch]) -> Watch:
        """Return the watch of the own vault file, with what it held where this home lay before it was moved or copied.

        The file there may be another device's by now.
        """
        path = self.watched.own_path
        before = self.watched.held(accounts, left[0]) if left else None
        content = left[0].content if before is not None else None
        held = self.watched.seal(accounts, path, before or Held())
        return Watch(path, OWN, two_way=True, password=None, content=content, held=held)

    # one file

    def look_at(self, path: Path) -> bool:
        """Take in what has changed in one file and its conflict copies; return whether to look again soon."""
        self.writing.recover(path)
        again = self._look_at_copies(path)
        stamp = stamp_of(path)
        if stamp is None or stamp == self.watched.stamps.get(path):
            return again
        content = read_stable(path)
        if content is None:
            return True
        return self._look_at_content(path, content) or again

    def _look_at_content(self, path: Path, content: Content) -> bool:
        watched = self.watched
        with watched.lock:
            watch, accounts = watched.watches.get(path), watched.accounts()
            if watch is None or self._is_known(watch, content):
                return False
            if accounts is None:
                watched.changed_while_locked.add(path)
                return False
        opened = watched.open(accounts, watch, content.data)
        with watched.lock:
            if watched.accounts() is not accounts or watched.watches.get(path) != watch:
                return True
            if isinstance(opened, Misread):
                return self._misread(watch, content, opened)
            return self._take(accounts, watch, content, opened)

    def _is_known(self, watch: Watch, content: Content) -> bool:
        """Tell whether this content was dealt with; what was held back of another content waits no longer then."""
        watched, digest = self.watched, content.digest
        holds = watched.watches.holds(watch.path)
        if digest != watch.content and all(hold.content != digest for hold in holds):
            return False
        if digest == watch.content and any(hold.content != digest for hold in holds):
            with watched.store.transaction():
                watched.watches.release(watch.path)
        watched.stamps[watch.path] = content.stamp
        watched.changed_while_locked.discard(watch.path)
        self._unread.pop(watch.path, None)
        return True

    def _misread(self, watch: Watch, content: Content, misread: Misread) -> bool:
        """Tell of a file that can't be read, once it is not still being written. Return whether it may be."""
        if not misread.lasting and self._may_become_whole(watch.path, content):
            return True
        with self.watched.store.transaction():
            self.watched.watches.hold(hold_of(watch.path, content.digest, misread.reason))
        self._is_known(watch, content)
        return False

    def _may_become_whole(self, path: Path, content: Content) -> bool:
        """Tell whether to wait for the rest of a file: not for ever.

        A command that looks only once goes by the time of the last write.
        """
        digest, since = self._unread.get(path, (b"", 0.0))
        if digest != content.digest:
            since = time.monotonic()
            self._unread[path] = (content.digest, since)
        written = time.time() - content.stamp[2] / 1e9
        return max(time.monotonic() - since, written) < PATIENCE_S

    def _take(self, accounts: Accounts, watch: Watch, content: Content, opened: Opened) -> bool:
        """Decide on a content and do it, or hold it back. Under the lock. Return whether the rest may still come."""
        watched = self.watched
        copies = watched.watches.copies(watch.path).values()
        beside = watch.content is not None and any(copy.base == watch.content for copy in copies)
        behind = watch.two_way and watch.version != watched.store.event_count()
        captured = Capture(accounts, watched.around.now()).take(
            watched.held(accounts, watch), opened, own=watch.format == OWN, concurrent=beside, behind=behind
        )
        if captured.reason == CUT and self._may_become_whole(watch.path, content):
            return True
        if captured.reason is not None:
            with watched.store.transaction():
                watched.watches.hold(hold_of(watch.path, content.digest, captured.reason, captured))
        else:
            watch = replace(watch, content=content.digest, last_read=watched.around.now())
            watched.record(accounts, watch, captured)
        self._is_known(watch, content)
        return False

    # conflict copies

    def _look_at_copies(self, path: Path) -> bool:
        """Take in other versions of a file beside it, each content once. They themselves are left alone."""
        with self.watched.lock:
            watch, accounts = self.watched.watches.get(path), self.watched.accounts()
            known = self.watched.watches.copies(path)
        if watch is None or watch.content is None or watch.format == OWN or accounts is None:
            return False
        found = copies_beside(path)
        again = False
        for copy in found:
            again = self._look_at_copy(accounts, path, copy, known.get(copy)) or again
        if gone := [copy for copy in known if copy not in found]:
            with self.watched.lock, self.watched.store.transaction():
                self.watched.watches.forget_copies(gone)
        return again

    def _look_at_copy(self, accounts: Accounts, path: Path, copy: Path, known: Copy | None) -> bool:
        stamp = stamp_of(copy)
        if stamp is None or stamp == self._copy_stamps.get(copy):
            return False
        content = read_stable(copy)
        if content is None:
            return True
        if known is None or known.content != content.digest:
            with self.watched.lock:
                watch = self.watched.watches.get(path)
            if watch is None:
                return False
            opened = self.watched.open(accounts, watch, content.data)
            if isinstance(opened, Misread):
                return self._misread_copy(copy, content, opened)
            self._take_copy(accounts, watch, copy, content, opened)
        self._copy_stamps[copy] = stamp
        return False

    def _misread_copy(self, copy: Path, content: Content, misread: Misread) -> bool:
        """Wait for a copy that is being written; one that can't be read stays as it is, and is named in `status`."""
        if not misread.lasting and self._may_become_whole(copy, content):
            return True
        self._copy_stamps[copy] = content.stamp
        return False

    def _take_copy(self, accounts: Accounts, watch: Watch, copy: Path, content: Content, opened: Opened) -> None:
        watched = self.watched
        with watched.lock:
            if watched.accounts() is not accounts:
                return
            captured = Capture(accounts, watched.around.now()).take(
                watched.held(accounts, watch), opened, own=False, concurrent=True, accepted=True
            )
            seen = Copy(copy, watch.path, content.digest, watch.content)
            watched.commit(accounts, captured, lambda: watched.watches.note_copy(seen))
