"""The backup itself: publishing, checking, reporting."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from otpkeep_daemon import machine, verified
from otpkeep_daemon.free_space import disk_problems
from otpkeep_daemon.logs import event
from otpkeep_daemon.operations import locking
from otpkeep_daemon.report import Status
from otpkeep_daemon.service import Args, Service
from otpkeep_daemon.verify import Verification
from otpkeep_protocol.errors import Busy, Locked, OtpkeepError, Usage

log = logging.getLogger(__name__)


def verify(service: Service, args: Args) -> dict[str, Any]:
    """Check the folder."""
    return verification(service, args["depth"])


class _LockedMeanwhile(Locked):
    """It was locked in the midst of something that has the keys."""


def verification(service: Service, depth: str, step: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Check the folder, and keep what came out for `status`; `step` is called again and again, and may raise.

    Locked, and the keys are gone, if it is locked meanwhile.
    """
    try:
        return _verification(service, depth, step)
    except _LockedMeanwhile:
        pass  # the traceback has the keys, so it must be gone before they are swept up
    gc.collect()
    raise Locked("otpkeep was locked in the midst of this check, which was given up", "Run it again.")


def _verification(service: Service, depth: str, step: Callable[[], None]) -> dict[str, Any]:
    accounts = service.accounts
    if depth != "names" and accounts is None:
        raise Locked("checking the content needs the keys", "Give the passphrase, or use `--depth names`.")

    def go_on() -> None:
        step()
        if service.accounts is not accounts and accounts is not None:
            raise _LockedMeanwhile("")
        if service.ending:
            raise Busy("otpkeep is stopping; this check was given up", "Run it again once it is started.")
        if service.lock.mine:  # with keys that came for this call alone; then the engine can make no passes
            service.engine.progressed()

    began, begin = service.around.now(), time.monotonic()
    result = Verification(service.store, service.folder, accounts, depth, service.lock, step=go_on).run()
    _keep(service, result, began, int((time.monotonic() - begin) * 1000))
    return result


def _keep(service: Service, result: dict[str, Any], began: int, took_ms: int) -> None:
    """Keep a result for `status`; a store that can't be written must not hide it from who asked."""
    try:
        with service.lock:
            verified.keep(service.store, result, began, took_ms)
    except OtpkeepError as error:
        log.error(event("verification-not-written-down", problems=len(result["problems"]), reason=error.message))


def backup(service: Service, args: Args) -> dict[str, Any]:
    """Turn publishing on or off, or publish now."""
    if args["mode"] in ("on", "off"):
        with service.store.transaction():
            service.store.put("backup", args["mode"].encode())
    if args["mode"] != "off":
        _publish_all(service, here=args["here"], required=args["mode"] == "now")
    waiting = len(service.engine.waiting())
    published = sum(1 for f in service.store.files() if f.published)
    backed_up = service.engine.publishing and not waiting
    return {"backup": service.engine.publishing, "backed_up": backed_up, "published": published, "pending": waiting}


def _publish_all(service: Service, *, here: bool, required: bool) -> None:
    if here:
        service.engine.adopt_folder()
    outcome = service.engine.run()
    if required and outcome.trouble is not None:
        raise outcome.trouble
    if required and not service.engine.publishing:
        raise Usage("backup is off on this device", "Run `otpkeep backup on`.")


def status(service: Service, _args: Args) -> dict[str, Any]:
    """Return how everything stands."""
    if service.pid is None:
        service.engine.check()
    row = _status(service).row(
        pid=service.pid,
        now_ms=service.around.now(),
        silent_s=service.config().silent_after_s,
        jobs=service.jobs(),
    )
    row["unlocks_by"] = service.remembering.method
    more = disk_problems(places(service), service.config().low_disk_mb) if service.pid is None else []
    row["problems"] = [
        *machine.problems(service),
        *row["problems"],
        *_waiting(service),
        *more,
        *service.more_problems(),
    ]
    return row


def problems(service: Service, _args: Args) -> list[dict[str, str]]:
    """Return what `status` says is wrong, without all the rest, and fit for a log."""
    found = _status(service).problems(service.around.now(), service.config().silent_after_s, labels=False)
    return [*machine.problems(service), *found, *_waiting(service), *service.more_problems()]


def _waiting(service: Service) -> list[dict[str, str]]:
    return [locking.waiting(service)] if service.pid is not None and service.accounts is None else []


def places(service: Service) -> dict[str, Path]:
    """Return the directories whose disks must not be full: of the store, and of the folder if it can be reached."""
    found = {"store": service.own_vault.path.parent}
    if service.engine.last.trouble is None:
        found["folder"] = Path(os.fsdecode(service.store.need("folder")))
    return found


def _status(service: Service) -> Status:
    return Status(service.store, service.engine, service.own_vault, service.accounts, service.watched)
