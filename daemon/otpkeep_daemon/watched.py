"""What all that is done with watched files shares: the store's tables, the keys, the turn, and what was seen last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from otpkeep_daemon import capture
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.capture import Held
from otpkeep_daemon.captures import Captured, Misread, open_content
from otpkeep_daemon.exchange import Places
from otpkeep_daemon.formats.registry import Opened
from otpkeep_daemon.keys import Surroundings
from otpkeep_daemon.store import Store
from otpkeep_daemon.turns import Turns
from otpkeep_daemon.vault_files import Stamp
from otpkeep_daemon.watches import OWN, Hold, Watch, Watches
from otpkeep_protocol.errors import Busy, OtpkeepError, WrongPassphrase
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.naming import temporary_name

BUSY_S = 10.0


class Watched:
    """The watched files of one service. `accounts` gives the open vault or None; `publish` follows each commit.

    Whoever works with files holds `turn`, and takes `lock` only for the store and the vault, so that edits never wait
    for a file. Nobody waits for `turn` for long while holding `lock`.
    """

    def __init__(
        self,
        store: Store,
        own_path: Path,
        *,
        around: Surroundings,
        lock: Turns,
        accounts: Callable[[], Accounts | None],
        publish: Callable[[], object],
    ) -> None:
        self.store = store
        self.watches = Watches(store)
        self.own_path = own_path
        self.around = around
        self.lock = lock
        self.accounts = accounts
        self.publish = publish
        self.stamps: dict[Path, Stamp] = {}
        self.troubles: dict[Path, OtpkeepError] = {}
        self.changed_while_locked: set[Path] = set()
        self._keys: dict[Path, bytes] = {}
        self._turn = threading.RLock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the files for one piece of work. Busy if another takes too long."""
        if not self._turn.acquire(timeout=BUSY_S):
            raise Busy("otpkeep is writing a watched file at this moment; nothing was changed", "Try again.")
        try:
            yield
        finally:
            self._turn.release()

    def held(self, accounts: Accounts, watch: Watch) -> Held | None:
        """Return what a file last held, None before its first look."""
        if watch.content is None:
            return None
        return capture.decode(accounts.replica.keys.open_watch(bytes(watch.path), watch.held))

    def seal(self, accounts: Accounts, path: Path, held: Held) -> bytes:
        """Return what a file holds, sealed for the store."""
        return accounts.replica.keys.seal_watch(bytes(path), capture.encode(held), self.around.random(32))

    def seal_password(self, accounts: Accounts, path: Path, password: str | None) -> bytes | None:
        """Return a file's password, sealed for the store."""
        if password is None:
            return None
        return accounts.replica.keys.seal_watch(bytes(path) + b"\0", password.encode(), self.around.random(32))

    def password(self, accounts: Accounts, watch: Watch) -> str | None:
        """Return a file's password, None if it has none."""
        if watch.password is None:
            return None
        return accounts.replica.keys.open_watch(bytes(watch.path) + b"\0", watch.password).decode()

    def open(
        self, accounts: Accounts, watch: Watch, data: bytes, *, password: str | None = None, any_format: bool = False
    ) -> Opened | Misread:
        """Return what some content of a watched file is; the derivation of a key is done once for each key."""
        given = password or self.password(accounts, watch)
        keys = [self._keys[watch.path]] if watch.path in self._keys else []
        if watch.format == OWN:
            keys.insert(0, accounts.replica.keys.keyring.own_master_key())

        def ask() -> str:
            if given is None:
                raise WrongPassphrase("the file has a password that otpkeep was not given")
            return given

        opened = open_content(data, None if any_format else watch.format, ask, keys)
        if isinstance(opened, Opened) and opened.key is not None:
            with self.lock:
                if self.accounts() is accounts:  # deriving takes a while, in which it may have been locked
                    self._keys[watch.path] = opened.key
        return opened

    def forget_keys(self) -> None:
        """Forget the keys that opened files."""
        self._keys.clear()

    def record(self, accounts: Accounts, watch: Watch, captured: Captured, hold: Hold | None = None) -> None:
        """Commit what a content does, and what the file holds from now on, together. Under `lock`."""

        def also() -> None:
            self.watches.put(replace(watch, held=self.seal(accounts, watch.path, captured.held)))
            self.watches.release(watch.path)
            if hold is not None:
                self.watches.hold(hold)

        self.commit(accounts, captured, also)

    def commit(self, accounts: Accounts, captured: Captured, also: Callable[[], None]) -> None:
        """Commit the events of a content with what `also` writes, and publish. Under `lock`."""
        if captured.drafts:
            accounts.replica.commit(captured.drafts, also=also)
            self.publish()
        else:
            with self.store.transaction():
                also()

    def places(self, watch: Watch) -> Places:
        """Return the names that writing this file uses, new ones unless a write was begun."""
        name = watch.temporary or temporary_name(self.store.need("tag").decode(), self.around.random(6).hex())
        return Places(watch.path.parent, watch.path.name, name)


def hold_of(path: Path, content: bytes, reason: str, captured: Captured | None = None) -> Hold:
    """Return the hold of one content of one file: the same content gets the same id again."""
    ident = sha256(bytes(path), content, reason.encode()).hex()[:12]
    if captured is None:
        return Hold(ident, path, reason, content)
    return Hold(ident, path, reason, content, captured.adds, captured.edits, captured.deletes)
