"""A command without a daemon: the service in its own process, for as long as the command runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from otpkeep_daemon import device
from otpkeep_daemon.calls import call
from otpkeep_daemon.database import translated
from otpkeep_daemon.folder import RealFolder
from otpkeep_daemon.home import AROUND, is_ready
from otpkeep_daemon.lock import WriterLock, wait_for_lock
from otpkeep_daemon.logs import Remarks
from otpkeep_daemon.own_vault import OwnVault
from otpkeep_daemon.paths import Paths
from otpkeep_daemon.service import Service
from otpkeep_daemon.settings import Settings
from otpkeep_daemon.store import Store
from otpkeep_protocol.control import Call
from otpkeep_protocol.errors import OtpkeepError, Refused

_WITHOUT_A_PASS = frozenset({"status", "verify", "compact", "move"})
"""Operations that report on the folder as it is, or that begin with a pass of their own."""


def open_service(
    paths: Paths, lock: WriterLock, *, pid: int | None = None, settings: Settings | None = None
) -> Service:
    """Return the service of this home under a lock that is held; closing it lets go of the lock.

    `settings` are the daemon's; a command reads the file by itself.
    """
    store = Store(paths.store, lock)
    try:
        with translated("the store can't be read now; nothing was changed and nothing is lost"):
            ready = is_ready(store)
    except OtpkeepError:
        store.close()
        raise
    if not ready:
        store.close()
        raise Refused(
            "setting up was interrupted here before it was done; nothing is lost",
            "Run `otpkeep init` or `otpkeep recover FOLDER` again.",
        )
    folder = RealFolder(Path(os.fsdecode(store.need("folder"))), store.need("tag").decode())
    own_vault = OwnVault(paths.own_vault, AROUND.random)
    used = settings if settings is not None else Settings(paths.config)
    service = Service(store, folder, own_vault, AROUND, pid=pid, config=lambda: used.now)
    service.check_settings, service.more_problems = used.check, used.problems
    return service


@contextmanager
def serve_alone(
    paths: Paths, passphrase: Callable[[], str], *, keys: bool, meanwhile: Callable[[], bool]
) -> Iterator[Call | None]:
    """Yield the service's operations, unlocked if `keys`, or None if a daemon has started to serve meanwhile.

    Before a command that works with accounts it looks at the folder and the watched files once, since nobody has; after
    it, it brings the own vault file and the two-way files up to date. What is there to report on the folder finds it as
    it is.
    """
    remarks = logging.StreamHandler()
    remarks.setFormatter(Remarks())
    logging.basicConfig(level=logging.WARNING, handlers=[remarks])
    paths.prepare()
    lock = wait_for_lock(paths.lock, "command", meanwhile)
    if lock is None:
        yield None
        return
    service = open_service(paths, lock)
    try:
        if keys:
            with translated():
                ring = device.open_slots(service.slot_files(), passphrase)
                service.unlock(device.unlock(service.store, ring))
                service.look_at_files()
        yield lambda op, args: _call(service, op, args)
        with translated():
            service.write_files()
    finally:
        service.close()


def _call(service: Service, op: str, args: Mapping[str, Any]) -> Any:
    if service.accounts is not None and op not in _WITHOUT_A_PASS:
        service.engine.run()
    return call(service, op, args)
