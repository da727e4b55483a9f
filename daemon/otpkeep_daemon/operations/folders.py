"""The folder that mirrors the vault: which it is, and moving it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from otpkeep_daemon.relocation import Relocation, shown_path
from otpkeep_daemon.report import is_reachable
from otpkeep_daemon.service import Args, Service


def show(service: Service, _args: Args) -> dict[str, Any]:
    """Return where the folder is, and whether it can be reached now."""
    if service.pid is None:
        service.engine.check()
    return {
        "folder": shown_path(Path(os.fsdecode(service.store.need("folder")))),
        "local_only": service.store.get("folder.local") == b"yes",
        "reachable": is_reachable(service.engine),
        "backup": service.engine.publishing,
    }


def move(service: Service, args: Args) -> dict[str, Any]:
    """Move the mirror to the directory `path`, bytes of an absolute path."""
    directory = Path(os.fsdecode(args["path"]))
    data = service.own_vault.path.parent
    work = Relocation(service.store, service.engine, service.open.replica, service.lock, data)
    return work.run(directory, service.move_to)
