"""Accounts: add, edit, remove, show, list, code."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon import travel
from otpkeep_daemon.service import Args, Service
from otpkeep_protocol.moments import Moment


def add(service: Service, args: Args) -> dict[str, Any]:
    """Add an account of the wire values in `fields`."""
    return service.edited(*service.open.add(args["fields"], placeholder=args["placeholder"]))


def edit(service: Service, args: Args) -> dict[str, Any]:
    """Change fields of an account, and parts of its otp."""
    accounts = service.open
    return service.edited(*accounts.edit(args["account"], args["fields"], args["otp"], placeholder=args["placeholder"]))


def rm(service: Service, args: Args) -> dict[str, Any]:
    """Delete an account."""
    return service.edited(*service.open.remove(args["account"]))


def show(service: Service, args: Args) -> dict[str, Any]:
    """Return one account with its history, now or at a moment."""
    return service.open.show(args["account"], secrets=args["secrets"], at=_moment(service, args))


def list_accounts(service: Service, args: Args) -> list[dict[str, Any]]:
    """Return accounts, all or those with a tag, now or at a moment."""
    at = _moment(service, args)
    return service.open.rows(tag=args["tag"], deleted=args["deleted"], secrets=args["secrets"], at=at)


def _moment(service: Service, args: Args) -> Moment | None:
    at = args.get("at")
    return None if at is None else travel.moment(service.open, at)


def code(service: Service, args: Args) -> dict[str, Any]:
    """Return a code; a HOTP use is saved before."""
    at = args["at"] if args["at"] is not None else service.around.now() / 1000
    row = service.open.code(args["account"], at=at, peek=args["peek"])
    if "counter" in row and not args["peek"]:
        service.back_up()
    return row
