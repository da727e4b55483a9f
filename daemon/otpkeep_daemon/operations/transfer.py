"""Accounts from and to other programs."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.imports import Import, Imported
from otpkeep_daemon.own_vault import exportable
from otpkeep_daemon.service import Args, Service


def import_entries(service: Service, args: Args) -> dict[str, Any]:
    """Import entries that the command line has read."""
    accounts = service.open
    made = Import(accounts, placeholder=args["placeholder"]).plan(args["entries"])
    made.skipped[:0] = args["skipped"]
    if made.drafts and not args["dry_run"]:
        accounts.replica.commit(made.drafts, made.secrets)
    elif made.secrets and not args["dry_run"]:
        with service.store.transaction():
            accounts.replica.keep_locals(made.secrets)
    backed_up = False if args["dry_run"] else service.back_up()
    return _import_row(made, accounts, dry_run=args["dry_run"]) | {"backed_up": backed_up}


def export(service: Service, _args: Args) -> dict[str, Any]:
    """Return what a format may write."""
    export = exportable(service.open)
    return {
        "accounts": [[account, value.to_fields()] for account, value in export.accounts],
        "left_out": [{"entry": s.entry, "reason": s.reason} for s in export.left_out],
    }


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
