"""Compaction: fewer files in the folder, and none that nobody needs."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon.compactor import Compacted, Compactor
from otpkeep_daemon.machine import look_at_clock
from otpkeep_daemon.service import Args, Service
from otpkeep_protocol.compaction import FANOUT


def compact(service: Service, args: Args) -> dict[str, Any]:
    """Compact what this device wrote; `all` merges whatever can be, `dry_run` only says so."""
    service.check_settings()
    compactor = Compactor(service.engine, service.folder, service.open.replica, service.config().quarantine_s)
    moved = look_at_clock(service) != 0
    done = compactor.run(fanout=2 if args["all"] else FANOUT, dry_run=args["dry_run"], clock_moved=moved)
    if not args["dry_run"]:
        service.changed()
    return _row(done)


def _row(done: Compacted) -> dict[str, Any]:
    return {
        "merged": [
            {"files": len(group), "events": group[-1].last - group[0].first + 1, "bytes": sum(s.size for s in group)}
            for group in done.merged
        ],
        "snapshot": done.snapshot,
        "removed": list(done.removed),
        "waiting": [{"files": count, "reason": reason} for reason, count in done.waiting.items()],
        "files": done.files,
    }
