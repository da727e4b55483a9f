"""Watched files: begin, end, list, review."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from otpkeep_daemon.report import watched_rows
from otpkeep_daemon.reviewing import REASONS
from otpkeep_daemon.service import Args, Service
from otpkeep_daemon.watches import Hold


def watch(service: Service, args: Args) -> dict[str, Any]:
    """Watch a file (`path`), or with None only list; the answer has the `watched` files and the number `added`."""
    if args["path"] is None:
        with service.lock:
            return {"watched": watched_rows(service.watched), "added": 0, "held": 0}
    path = Path(os.path.realpath(args["path"]))
    with service.watched.turn():
        with service.lock:
            accounts = service.open
            made = service.reviewing.begin(
                accounts, path, format=args["format"], two_way=args["two_way"], password=args["password"]
            )
        service.files_changed()
        service.watching.look()
        service.watching.write_back()
    with service.lock:
        added, held = (len(made.adds), len(made.left_deleted)) if made is not None else (0, 0)
        return {"watched": watched_rows(service.watched), "added": added, "held": held}


def unwatch(service: Service, args: Args) -> list[dict[str, Any]]:
    """Watch a file no longer."""
    with service.watched.turn(), service.lock:
        service.reviewing.end(Path(os.path.realpath(args["path"])))
        service.files_changed()
        return watched_rows(service.watched)


def review(service: Service, args: Args) -> list[dict[str, Any]]:
    """List what is held back, or decide about one: `id` with `accept` true or false."""
    if service.accounts is not None:
        service.watching.look()
    with service.watched.turn():
        with service.lock:
            if args["id"] is None:
                return [hold_row(hold) for hold in service.watched.watches.holds()]
            hold = service.reviewing.find(args["id"])
            if args["accept"] is None:
                return [hold_row(hold)]
            accounts, after = service.open, service.watching.write_back
            if args["accept"]:
                service.reviewing.accept(accounts, hold, args["password"])
            else:
                after = service.reviewing.reject(accounts, hold)
        after()
    return [hold_row(hold)]


def hold_row(hold: Hold) -> dict[str, Any]:
    """Return a held change as `review` prints it."""
    return {
        "id": hold.id,
        "path": str(hold.path),
        "reason": REASONS[hold.reason],
        "kind": hold.reason,
        "adds": list(hold.adds),
        "edits": list(hold.edits),
        "deletes": list(hold.deletes),
    }
