"""The backup itself: publishing, checking, reporting."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon import report
from otpkeep_daemon.operations import locking
from otpkeep_daemon.report import Status
from otpkeep_daemon.service import Args, Service
from otpkeep_daemon.verify import Verification
from otpkeep_protocol.errors import Locked, Usage


def devices(service: Service, _args: Args) -> list[dict[str, Any]]:
    """Return the devices."""
    return report.devices(service.store, service.open)


def verify(service: Service, args: Args) -> dict[str, Any]:
    """Check the folder."""
    accounts = service.accounts
    if args["depth"] != "names" and accounts is None:
        raise Locked("checking the content needs the keys", "Give the passphrase, or use `--depth names`.")
    return Verification(service.store, service.folder, accounts, args["depth"], service.lock).run()


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
    status = Status(service.store, service.engine, service.own_vault, service.accounts, service.watched)
    row = status.row(pid=service.pid, now_ms=service.around.now(), jobs=service.jobs())
    row["unlocks_by"] = service.remembering.method
    if service.pid is not None and service.accounts is None:
        row["problems"].append(locking.waiting(service))
    row["problems"] += service.more_problems()
    return row
