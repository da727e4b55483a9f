"""The backup itself: publishing, checking, reporting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from otpkeep_daemon import machine
from otpkeep_daemon.free_space import disk_problems
from otpkeep_daemon.operations import locking
from otpkeep_daemon.report import Status
from otpkeep_daemon.service import Args, Service
from otpkeep_protocol.errors import Usage


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
