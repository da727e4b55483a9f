"""One device's otpkeep, put together: the store, its folder, the vault file, and the keys while they are here.

What can be asked of it is in `operations`; `calls` holds its lock around each, so that two commands and the engine
never interleave inside an edit.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from otpkeep_daemon import device
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.clocks import Anchor
from otpkeep_daemon.config import Config
from otpkeep_daemon.engine import Engine
from otpkeep_daemon.folder import Folder, RealFolder
from otpkeep_daemon.idle import Idle, is_due
from otpkeep_daemon.keys import Keys, Surroundings
from otpkeep_daemon.logs import event
from otpkeep_daemon.own_vault import OwnVault
from otpkeep_daemon.remembering import METHODS, Remembering
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.reviewing import Reviewing
from otpkeep_daemon.store import Store
from otpkeep_daemon.turns import Turns
from otpkeep_daemon.watched import Watched
from otpkeep_daemon.watching import Watching
from otpkeep_protocol.errors import Locked, OtpkeepError, Unwatched
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import event_name

log = logging.getLogger(__name__)

Args = Mapping[str, Any]
"""What an operation is asked with: plain values by name."""
UNLOCK = "Run `otpkeep unlock`."


class Service:
    """What the operations work with.

    `changed` is called after each edit, `unlocked` when the keys have come to stay, `moved` when the folder is another
    one, `files_changed` when other files are watched than before; `jobs` tells of the scheduler,
    `more_problems` what is wrong with the daemon itself, `unwatched` of what the system gives no hints. `reload` has
    the settings read anew, and `check_settings` raises why they are not known, where they never could be read.

    `clock` is where the wall clock stood at the last look at it; `machine` follows it.

    `ending` is whether the daemon was asked to end, so that what takes long and can be given up is.

    `pid` is the daemon's process, None in a command that serves itself. While it is locked, `waits` says why, and
    `stays_locked` that only a person is to unlock it.
    """

    def __init__(
        self,
        store: Store,
        folder: Folder,
        own_vault: OwnVault,
        around: Surroundings,
        *,
        pid: int | None = None,
        config: Callable[[], Config] = Config,
    ) -> None:
        self.lock = Turns()
        self.changed: Callable[[], None] = lambda: None
        self.unlocked: Callable[[], None] = lambda: None
        self.moved: Callable[[Path], None] = lambda _directory: None
        self.files_changed: Callable[[], None] = lambda: None
        self.jobs: Callable[[], list[dict[str, Any]]] = list
        self.unwatched: Callable[[], list[Unwatched]] = list
        self.clock: Anchor | None = None
        self.more_problems: Callable[[], list[dict[str, str]]] = list
        self.reload: Callable[[], None] = lambda: None
        self.check_settings: Callable[[], None] = lambda: None
        self.store = store
        self.engine = Engine(store, folder, around, self.lock)
        self.accounts: Accounts | None = None
        self.folder = folder
        self.own_vault = own_vault
        self.around = around
        self.pid = pid
        self.config = config
        self.watched = Watched(
            store,
            own_vault.path,
            around=around,
            lock=self.lock,
            accounts=lambda: self.accounts,
            publish=self.back_up,
        )
        self.watching = Watching(self.watched)
        self.reviewing = Reviewing(self.watched, self.watching)
        self.remembering = Remembering(store, own_vault.path.parent, around, self.lock)
        self.idle = Idle()
        self.waits: OtpkeepError = Locked("nobody has unlocked it yet", UNLOCK)
        self.stays_locked = False
        self.ending = False

    def move_to(self, folder: RealFolder) -> None:
        """Work with another folder from now on; the store names it already. Called under the lock."""
        self.folder = folder
        self.engine.move_to(folder)
        self.moved(folder.path)

    # keys

    def unlock(self, keys: Keys) -> None:
        """Load the replica and keep it in memory."""
        with self.lock:
            if self.accounts is None:
                replica = Replica(self.store, keys, self.around)
                self.accounts = Accounts(replica)
                self.engine.replica = replica
            self.idle.begin()

    def unlock_by_itself(self, *, asked: bool = True) -> bool:
        """Unlock with what is remembered for that. Return whether it is unlocked now; if not, `waits` says why.

        What nobody `asked` for is not done where a person has locked it, be it while the key is being fetched.
        """
        try:
            if self.accounts is None:
                keys = self.remembering.keys()
                with self.lock:
                    if self.stays_locked and not asked:
                        return False
                    self.unlock(keys)
                log.info(event("unlocked", by=METHODS[self.remembering.method]))
        except OtpkeepError as reason:
            self.wait_because(reason)
            return False
        return True

    def wait_because(self, reason: OtpkeepError) -> None:
        """Stay locked, and keep for `status` why."""
        self.waits = reason
        _forget_frames(reason)

    def lock_keys(self) -> None:
        """Forget the keys and everything that they opened."""
        with self.lock:
            self.accounts = None
            self.engine.replica = None
            self.watched.forget_keys()
            last = self.engine.last
            for trouble in (last.trouble, last.warning, self.store.trouble, *self.watched.troubles.values()):
                _forget_frames(trouble)
        gc.collect()  # the replica is in cycles, which would keep the keys until some later time

    def lock_because(self, reason: Locked) -> None:
        """Lock until a person unlocks, after the files that follow the vault are up to date."""
        try:
            if self.accounts is not None:
                self.write_files()
        except OtpkeepError as error:
            log.warning(event("files-not-written", reason=error.message))
        with self.lock:
            self.waits, self.stays_locked = reason, True
            self.lock_keys()
        log.info(event("locked", reason=reason.message))

    def expire(self) -> None:
        """Lock if nobody has used the keys for as long as the settings say."""
        after = self.config().lock_after_s if self.pid is not None else 0
        if self.accounts is not None and is_due(after, self.idle.seconds):
            self.lock_because(Locked(f"nobody used it for {after} seconds", UNLOCK))

    def slot_files(self) -> Iterator[bytes]:
        """Yield the slots that may open this vault; see `device.slot_files`."""
        return device.slot_files(self.store, self.folder)

    def close(self) -> None:
        """Write down what is only in memory, and let go of the store."""
        try:
            self.engine.settle()
        finally:
            self.store.close()

    def look_at_files(self) -> bool:
        """Take in what other programs changed in watched files; return whether to look again soon."""
        return self.watching.look()

    def write_files(self) -> None:
        """Bring the own vault file and the two-way files up to date. What can't be done is a problem in `status`."""
        self.watching.write_back()

    @property
    def open(self) -> Accounts:
        """The accounts of an unlocked service. Locked if it is not."""
        if self.accounts is None:
            raise Locked("otpkeep is locked; nothing was changed", "Run `otpkeep unlock`, or give the passphrase.")
        return self.accounts

    def back_up(self) -> bool:
        """Publish what an edit has left, and have the rest done soon. Return whether all of it is in the folder."""
        backed_up = self.engine.publish()
        self.changed()
        return backed_up

    def edited(self, account: bytes, event: Event | None) -> dict[str, Any]:
        """Return the answer to an edit of one account, after its backup."""
        name = event_name(event.dot.writer, event.dot.seq) if event is not None else None
        return {"id": account.hex(), "event": name, "backed_up": self.back_up()}


def _forget_frames(error: BaseException | None) -> None:
    """Let go of what an error that is kept was raised from: the frames of its traceback would keep the keys."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
