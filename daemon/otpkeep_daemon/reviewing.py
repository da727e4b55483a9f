"""What a person does with watched files: begin, end, and decide what was held back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from otpkeep_daemon import capture
from otpkeep_daemon.accounts import Accounts, edit_draft
from otpkeep_daemon.captures import Capture, Captured, Misread
from otpkeep_daemon.formats.registry import Opened
from otpkeep_daemon.vault_files import Content, read_stable
from otpkeep_daemon.watched import Watched, hold_of
from otpkeep_daemon.watches import OWN, Hold, Watch
from otpkeep_daemon.watching import Watching
from otpkeep_protocol.errors import Ambiguous, Malformed, NotFound, OtpkeepError, Refused, WrongPassphrase

MISREAD = {
    capture.EMPTY: "it is empty",
    capture.UNREADABLE: "it is damaged, cut short or of no format known here",
    capture.KEY: "its password is not the one that otpkeep has",
    capture.FORMAT: "it is of another format",
}
REASONS = {
    **MISREAD,
    capture.CUT: "its last line has no end, as if the rest were missing",
    capture.MASS: f"more than {capture.MOST_DELETES} accounts would go at once",
    capture.OLDER: "it is an older state of this file, and would undo several edits",
    capture.FLIPPING: "two programs keep changing the same value back and forth",
    capture.DELETED: "it holds accounts that were deleted here",
    capture.SKIPPED: "entries are missing, and there are others that can't be read",
}
"""Why a change waits, in words."""


class Reviewing:
    """`watch`, `unwatch` and `review` on the watched files. None of it may be called while a file is being written."""

    def __init__(self, watched: Watched, watching: Watching) -> None:
        self._watched = watched
        self._watching = watching

    def begin(
        self,
        accounts: Accounts,
        path: Path,
        *,
        format: str | None,  # noqa: A002  # as in registry
        two_way: bool,
        password: str | None,
    ) -> Captured | None:
        """Watch a file, which is imported first; one that is watched already gets the new settings."""
        if path == self._watched.own_path:
            raise Refused("this is otpkeep's own vault file, which is always watched")
        content = read_stable(path)
        if content is None:
            raise NotFound(f"the file {path} can't be read, or changes at this moment", "Try again.")
        known = self._watched.watches.get(path)
        fresh = Watch(path, format or "", two_way, None, None, b"")
        watch = fresh if known is None else replace(known, two_way=two_way, version=None)
        opened = self._opened(accounts, watch, content, password, any_format=format is None)
        watch = replace(watch, format=opened.parsed.format)
        if password is not None:
            watch = replace(watch, password=self._watched.seal_password(accounts, path, password))
        if known is not None:
            with self._watched.store.transaction():
                self._watched.watches.put(watch)
            self._watched.stamps.pop(path, None)
            return None
        return self._first_look(accounts, watch, content, opened)

    def _first_look(self, accounts: Accounts, watch: Watch, content: Content, opened: Opened) -> Captured:
        """Import a file's accounts; those that were deleted here wait for a person."""
        now = self._watched.around.now()
        captured = Capture(accounts, now).take(None, opened, own=False)
        left = replace(captured, adds=captured.left_deleted, edits=(), deletes=())
        hold = hold_of(watch.path, content.digest, capture.DELETED, left) if captured.left_deleted else None
        row = replace(watch, content=content.digest, last_read=now)
        self._watched.record(accounts, row, captured, hold)
        return captured

    def end(self, path: Path) -> None:
        """Watch a file no longer; it stays as it is. NotFound if it is not watched."""
        watch = self._watched.watches.get(path)
        if watch is None or watch.format == OWN:
            raise NotFound(f"the file {path} is not watched", "`otpkeep watch` lists the watched files.")
        with self._watched.store.transaction():
            self._watched.watches.forget(path)
        self._watched.stamps.pop(path, None)
        self._watched.troubles.pop(path, None)

    # what was held back

    def find(self, ident: str) -> Hold:
        """Return the hold of that id, or the only one that it begins. NotFound or Ambiguous otherwise."""
        found = [hold for hold in self._watched.watches.holds() if hold.id.startswith(ident.lower())]
        if not found:
            raise NotFound("nothing of this id waits for review", "`otpkeep review` lists what does.")
        if len(found) > 1:
            raise Ambiguous("several held changes have ids that begin so", "Type more of the id.")
        return found[0]

    def accept(self, accounts: Accounts, hold: Hold, password: str | None) -> None:
        """Do what was held back."""
        watch, content = self._present(hold)
        if hold.reason == capture.DELETED:
            self._revive(accounts, watch)
            return
        opened = self._opened(accounts, watch, content, password, any_format=True)
        captured = Capture(accounts, self._watched.around.now()).take(
            self._watched.held(accounts, watch), opened, own=watch.format == OWN, accepted=True
        )
        if watch.format != OWN:
            watch = replace(watch, format=opened.parsed.format)
        if password is not None:
            watch = replace(watch, password=self._watched.seal_password(accounts, watch.path, password))
        self._seen(accounts, watch, content, captured)

    def reject(self, accounts: Accounts, hold: Hold) -> Callable[[], None]:
        """Keep the accounts as they are. Return what writes a two-way file anew, to be called without the lock."""
        watch, content = self._present(hold)
        if hold.reason == capture.DELETED:
            with self._watched.store.transaction():
                self._watched.watches.release(watch.path)
            return self._watching.write_back
        opened = self._watched.open(accounts, watch, content.data, any_format=True)
        held = self._watched.held(accounts, watch) or capture.Held()
        if isinstance(opened, Opened):
            taken = Capture(accounts, self._watched.around.now()).take(held, opened, own=watch.format == OWN)
            held = taken.held
        self._seen(accounts, watch, content, Captured((), held, None))
        anew = isinstance(opened, Misread) or hold.reason == capture.FORMAT
        if not watch.two_way:
            return lambda: None
        return lambda: self._write(watch.path, anew=anew)

    def _write(self, path: Path, *, anew: bool) -> None:
        if self._watching.writing.write(path, strict=True, anew=anew):
            self._watching.write_back()

    def _seen(self, accounts: Accounts, watch: Watch, content: Content, captured: Captured) -> None:
        now = self._watched.around.now()
        row = replace(watch, content=content.digest, last_read=now, version=None)
        self._watched.record(accounts, row, captured)
        self._watched.stamps[watch.path] = content.stamp

    def _revive(self, accounts: Accounts, watch: Watch) -> None:
        """Give the accounts of a first look that were deleted here their life back, with what the file has of them."""
        held = self._watched.held(accounts, watch) or capture.Held()
        gone = {shown.account for shown in accounts.views() if shown.deleted and not accounts.is_placeholder(shown)}
        drafts = tuple(edit_draft(item.account, dict(item.fields)) for item in held.items if item.account in gone)
        self._watched.record(accounts, replace(watch, version=None), Captured(drafts, held, None))

    def _present(self, hold: Hold) -> tuple[Watch, Content]:
        """Return the file that a hold is about, as it was when it was held back. Refused if it has changed since."""
        watch, content = self._watched.watches.get(hold.path), read_stable(hold.path)
        if watch is None or content is None or content.digest != hold.content:
            self._watched.stamps.pop(hold.path, None)
            raise Refused(
                f"the file {hold.path} has changed since this was held back; nothing was changed",
                "Look at `otpkeep review` again.",
            )
        return watch, content

    def _opened(
        self, accounts: Accounts, watch: Watch, content: Content, password: str | None, *, any_format: bool
    ) -> Opened:
        opened = self._watched.open(accounts, watch, content.data, password=password, any_format=any_format)
        if isinstance(opened, Opened):
            return opened
        raise _refusal(opened.reason, watch.path)


def _refusal(reason: str, path: Path) -> OtpkeepError:
    message = f"the file {path} can't be taken in: {MISREAD[reason]}; nothing was changed"
    if reason == capture.KEY:
        return WrongPassphrase(message, "Give its password with --passphrase-file.")
    return Malformed(message, "Use another copy of the file, or reject what was held back.")
