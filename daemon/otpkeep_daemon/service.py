"""The use cases, by name: the only API above the daemon. The command line calls it in-process or over the socket.

Every operation holds one lock while it works, so two commands and the engine never interleave inside an edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from otpkeep_daemon import device, report
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.database import translated
from otpkeep_daemon.engine import Engine
from otpkeep_daemon.folder import Folder
from otpkeep_daemon.imports import Import, Imported
from otpkeep_daemon.keys import Keys, Surroundings
from otpkeep_daemon.lines import Lines
from otpkeep_daemon.own_vault import WRITTEN, OwnVault, exportable
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.report import Status
from otpkeep_daemon.store import Store
from otpkeep_daemon.turns import Turns
from otpkeep_daemon.verify import Verification
from otpkeep_protocol.errors import Locked, NotFound, OtpkeepError, Refused, Usage
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import event_name
from otpkeep_protocol.keyring import Keyring

Args = Mapping[str, Any]
MOST_SLOTS = 1024
"""What fits into a reply, whatever somebody put into the folder."""


class Service:
    """One device's otpkeep. `call` is safe from any thread.

    `changed` is called after each edit, `unlocked` when the keys have come to stay; `jobs` tells of the scheduler.

    `pid` is the daemon's process, None in a command that serves itself.
    """

    def __init__(
        self,
        store: Store,
        folder: Folder,
        own_vault: OwnVault,
        around: Surroundings,
        *,
        pid: int | None = None,
    ) -> None:
        self.lock = Turns()
        self.changed: Callable[[], None] = lambda: None
        self.unlocked: Callable[[], None] = lambda: None
        self.jobs: Callable[[], list[dict[str, Any]]] = list
        self.store = store
        self.engine = Engine(store, folder, around, self.lock)
        self.accounts: Accounts | None = None
        self._folder = folder
        self._own_vault = own_vault
        self._around = around
        self._pid = pid
        self._own_vault_trouble: OtpkeepError | None = None

    # keys

    def unlock(self, keys: Keys) -> None:
        """Load the replica and keep it in memory."""
        with self.lock:
            if self.accounts is None:
                replica = Replica(self.store, keys, self._around)
                self.accounts = Accounts(replica)
                self.engine.replica = replica

    def lock_keys(self) -> None:
        """Forget the keys and everything that they opened."""
        with self.lock:
            self.accounts = None
            self.engine.replica = None

    def slot_files(self) -> Iterator[bytes]:
        """Yield the slots that may open this vault; see `device.slot_files`."""
        return device.slot_files(self.store, self._folder)

    # calls

    def call(self, op: str, args: Args, ring: Keyring | None = None) -> Any:
        """Return the answer of one operation. `ring` unlocks a locked service for this call alone, or for `unlock`."""
        operation = _OPERATIONS.get(op)
        if operation is None:
            raise Usage(f"this otpkeep has no operation {op!r}", "Restart the daemon after an update.")
        with translated("the store can't be read now; nothing was changed and nothing is lost"):
            return self._call(operation, op, args, ring)

    def _call(self, operation: _Operation, op: str, args: Args, ring: Keyring | None) -> Any:
        if operation.locks_itself and self.accounts is not None:
            return operation.run(self, args)
        with self.lock:
            was_locked, stays = self.accounts is None, False
            try:
                if was_locked and ring is not None:
                    self.unlock(device.unlock(self.store, ring))
                    self.engine.run()
                if operation.needs_key and self.accounts is None:
                    raise Locked(
                        "otpkeep is locked; nothing was changed", "Run `otpkeep unlock`, or give the passphrase."
                    )
                answer = operation.run(self, args)
                stays = op == "unlock"
                return answer
            finally:
                if was_locked and not stays and self.accounts is not None:
                    self.lock_keys()

    def close(self) -> None:
        """Write down what is only in memory, and let go of the store."""
        try:
            self.engine.settle()
        finally:
            self.store.close()

    def write_own_vault(self) -> None:
        """Bring the own vault file up to date, if it is not. A disk that refuses is a problem in `status`."""
        try:
            self._write_own_vault()
            self._own_vault_trouble = None
        except OtpkeepError as trouble:
            self._own_vault_trouble = trouble

    def _write_own_vault(self) -> None:
        with self.lock, translated("the store can't be read now; nothing is lost"):
            if self.accounts is None or not self._own_vault.stale(self.accounts):
                return
            draft = self._own_vault.gather(self.accounts)
        self._own_vault.write(draft)
        with self.lock, self.store.transaction():
            self.store.put(WRITTEN, draft.version)

    @property
    def _open(self) -> Accounts:
        assert self.accounts is not None
        return self.accounts

    def _edited(self, account: bytes, event: Event | None) -> dict[str, Any]:
        name = event_name(event.dot.writer, event.dot.seq) if event is not None else None
        return {"id": account.hex(), "event": name, "backed_up": self._back_up()}

    def _back_up(self) -> bool:
        backed_up = self.engine.publish()
        self.changed()
        return backed_up

    # operations

    def _add(self, args: Args) -> dict[str, Any]:
        return self._edited(*self._open.add(args["fields"], placeholder=args["placeholder"]))

    def _edit(self, args: Args) -> dict[str, Any]:
        accounts = self._open
        return self._edited(
            *accounts.edit(args["account"], args["fields"], args["otp"], placeholder=args["placeholder"])
        )

    def _rm(self, args: Args) -> dict[str, Any]:
        return self._edited(*self._open.remove(args["account"]))

    def _show(self, args: Args) -> dict[str, Any]:
        return self._open.show(args["account"], secrets=args["secrets"])

    def _list(self, args: Args) -> list[dict[str, Any]]:
        return self._open.rows(tag=args["tag"], deleted=args["deleted"], secrets=args["secrets"])

    def _code(self, args: Args) -> dict[str, Any]:
        at = args["at"] if args["at"] is not None else self._around.now() / 1000
        row = self._open.code(args["account"], at=at, peek=args["peek"])
        if "counter" in row and not args["peek"]:
            self._back_up()
        return row

    def _log(self, args: Args) -> list[dict[str, Any]]:
        accounts = self._open
        wanted = accounts.find(args["account"]).account if args["account"] is not None else None
        found: list[dict[str, Any]] = []
        lines = Lines(accounts)
        writers = lines.writers_of(args["device"]) if args["device"] is not None else None
        for event in accounts.replica.archive.log(wanted):
            if args["limit"] is not None and len(found) >= args["limit"]:
                break
            if _within(event, args) and (writers is None or event.dot.writer in writers):
                found.append(lines.row(event))
        return found

    def _event(self, args: Args) -> dict[str, Any]:
        prefix, _, seq = str(args["event"]).partition(".")
        accounts = self._open
        if len(prefix) < 4 or not (seq.isascii() and seq.isdecimal()) or len(seq) > 16:
            raise Usage("an event is named like 9f86d0.17", "`otpkeep log` shows the names.")
        found = accounts.replica.archive.find(prefix.lower(), int(seq))
        if not found:
            raise NotFound("there is no such event on this device", "`otpkeep log` shows those that there are.")
        if len({event.dot.writer for event in found}) > 1:
            raise Usage("this name fits events of several writers", "Give more digits before the dot.")
        return Lines(accounts).row(found[0])

    def _import(self, args: Args) -> dict[str, Any]:
        accounts = self._open
        made = Import(accounts, placeholder=args["placeholder"]).plan(args["entries"])
        made.skipped[:0] = args["skipped"]
        if made.drafts and not args["dry_run"]:
            accounts.replica.commit(made.drafts, made.secrets)
        elif made.secrets and not args["dry_run"]:
            with self.store.transaction():
                accounts.replica.keep_locals(made.secrets)
        backed_up = False if args["dry_run"] else self._back_up()
        return _import_row(made, accounts, dry_run=args["dry_run"]) | {"backed_up": backed_up}

    def _export(self, _args: Args) -> dict[str, Any]:
        export = exportable(self._open)
        return {
            "accounts": [[account, value.to_fields()] for account, value in export.accounts],
            "left_out": [{"entry": s.entry, "reason": s.reason} for s in export.left_out],
        }

    def _devices(self, _args: Args) -> list[dict[str, Any]]:
        return report.devices(self.store, self._open)

    def _verify(self, args: Args) -> dict[str, Any]:
        accounts = self.accounts
        if args["depth"] != "names" and accounts is None:
            raise Locked("checking the content needs the keys", "Give the passphrase, or use `--depth names`.")
        return Verification(self.store, self._folder, accounts, args["depth"], self.lock).run()

    def _backup(self, args: Args) -> dict[str, Any]:
        if args["mode"] in ("on", "off"):
            with self.store.transaction():
                self.store.put("backup", args["mode"].encode())
        if args["mode"] != "off":
            self._publish_all(here=args["here"], required=args["mode"] == "now")
        waiting = len(self.engine.waiting())
        published = sum(1 for f in self.store.files() if f.published)
        backed_up = self.engine.publishing and not waiting
        return {"backup": self.engine.publishing, "backed_up": backed_up, "published": published, "pending": waiting}

    def _publish_all(self, *, here: bool, required: bool) -> None:
        if here:
            self.engine.adopt_folder()
        outcome = self.engine.run()
        if required and outcome.trouble is not None:
            raise outcome.trouble
        if required and not self.engine.publishing:
            raise Usage("backup is off on this device", "Run `otpkeep backup on`.")

    def _status(self, _args: Args) -> dict[str, Any]:
        if self._pid is None:
            self.engine.check()
        troubles = [self._own_vault_trouble] if self._own_vault_trouble is not None else []
        status = Status(self.store, self.engine, self._own_vault, self.accounts)
        return status.row(pid=self._pid, now_ms=self._around.now(), troubles=troubles, jobs=self.jobs())

    def _slots(self, _args: Args) -> list[bytes]:
        return list(islice(self.slot_files(), MOST_SLOTS))

    def _unlock(self, _args: Args) -> dict[str, Any]:
        if self.accounts is None:
            raise Locked("otpkeep is locked", "Give the passphrase.")
        if self._pid is None:
            raise Refused("no daemon is running here, so there is nothing to unlock", "Start one: otpkeep daemon run.")
        self.unlocked()
        return {"locked": False}

    def _lock(self, _args: Args) -> dict[str, Any]:
        if self._pid is None:
            raise Refused("no daemon is running here, so nothing is unlocked", "There is nothing to do.")
        self.lock_keys()
        return {"locked": True}

    def _ping(self, _args: Args) -> dict[str, Any]:
        return {"pid": self._pid, "locked": self.accounts is None}


def _within(event: Event, args: Args) -> bool:
    since, until = args["since"], args["until"]
    return (since is None or event.wall >= since) and (until is None or event.wall <= until)


def _import_row(made: Imported, accounts: Accounts, *, dry_run: bool) -> dict[str, Any]:
    ready, action = [], []
    for account in [] if dry_run else made.all:
        if accounts.otp(accounts.view(account)) is not None:
            ready.append(account.hex())
        else:
            action.append({"id": account.hex(), "reason": "set up again: its secret never left another device"})
    return {
        "added": [account.hex() for account in made.added],
        "changed": [account.hex() for account in made.changed],
        "unchanged": [account.hex() for account in made.unchanged],
        "skipped": made.skipped,
        "ready": ready,
        "needs_action": action,
    }


@dataclass(frozen=True, slots=True)
class _Operation:
    run: Callable[[Service, Args], Any]
    needs_key: bool = True
    locks_itself: bool = False


_OPERATIONS: Mapping[str, _Operation] = {
    "add": _Operation(Service._add),
    "edit": _Operation(Service._edit),
    "rm": _Operation(Service._rm),
    "show": _Operation(Service._show),
    "list": _Operation(Service._list),
    "code": _Operation(Service._code),
    "log": _Operation(Service._log),
    "event": _Operation(Service._event),
    "import": _Operation(Service._import),
    "export": _Operation(Service._export),
    "devices": _Operation(Service._devices),
    "verify": _Operation(Service._verify, needs_key=False, locks_itself=True),
    "backup": _Operation(Service._backup, needs_key=False),
    "status": _Operation(Service._status, needs_key=False),
    "slots": _Operation(Service._slots, needs_key=False),
    "unlock": _Operation(Service._unlock, needs_key=False),
    "lock": _Operation(Service._lock, needs_key=False),
    "ping": _Operation(Service._ping, needs_key=False),
}
