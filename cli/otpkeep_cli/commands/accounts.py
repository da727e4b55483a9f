"""`add`, `edit` and `rm`: the commands that change accounts."""

from __future__ import annotations

from typing import Any

import click

from otpkeep_cli import params
from otpkeep_cli.account_options import Given, account_options, read_secret
from otpkeep_cli.render.plain import plain, short
from otpkeep_cli.screen import Screen
from otpkeep_cli.session import Call, service
from otpkeep_cli.sources import STDIN, read_text
from otpkeep_daemon.formats.otpauth_uri import parse_uri
from otpkeep_daemon.formats.parameters import make
from otpkeep_protocol.account import Account
from otpkeep_protocol.account_rules import PINNED
from otpkeep_protocol.errors import Malformed, Usage

_TYPED = "Warning: other users of this machine can see a secret that is typed on a command line. Use: otpkeep add -"
_URI_HINT = "It should look like otpauth://totp/ISSUER:NAME?secret=…"
_NOT_WITH_URI = ("secret_file", "kind", "algorithm", "digits", "period", "counter")
NOT_BACKED_UP = "Saved on this device, not yet in the folder; `otpkeep status` says why."


@click.command()
@click.argument("uri", required=False, type=params.text)
@account_options
@click.pass_obj
def add(screen: Screen, /, uri: str | None, **options: Any) -> None:
    """Add an account by its otpauth URI (- reads it) or by options."""
    given = Given(**options)
    account = _from_options(given) if uri is None else _from_uri(screen, uri, given)
    with service() as call:
        result = call("add", {"fields": account.to_fields(), "placeholder": given.placeholder})
    _tell(screen, result, f"Added {short(result['id'])}.")


@click.command()
@click.argument("account", type=params.reference, shell_complete=params.suggest("accounts"))
@account_options
@click.pass_obj
def edit(screen: Screen, /, account: str, **options: Any) -> None:
    """Change an account; an empty text unsets, --tag replaces all."""
    given = Given(**options)
    _refuse_pinned(given.kind)
    fields, otp = given.fields(), given.parameters()
    if not (fields or otp or given.secret_file or given.placeholder):
        raise Usage("Nothing to change was named.", "See: otpkeep edit --help")
    with service() as call:
        if given.secret_file is not None:
            otp["secret"] = read_secret(given.secret_file, given.kind or _kind_of(call, account))
        asked = {"account": account, "fields": fields, "otp": otp, "placeholder": given.placeholder}
        result = call("edit", asked)
    changed = result["event"] is not None
    _tell(screen, result, f"{'Changed' if changed else 'Nothing to change in'} {short(result['id'])}.")
    if changed and given.placeholder:
        screen.note(_STILL_THERE)


_STILL_THERE = (
    "If its secret was backed up before, it stays in the history and the folder: have the site give you a new one."
)


@click.command("rm")
@click.argument("account", type=params.reference, shell_complete=params.suggest("accounts"))
@click.pass_obj
def remove(screen: Screen, account: str) -> None:
    """Remove an account; its history keeps it, secret included."""
    with service() as call:
        result = call("rm", {"account": account})
    _tell(screen, result, f"Removed {short(result['id'])}. Its history still holds everything, the secret too.")


def _from_uri(screen: Screen, uri: str, given: Given) -> Account:
    """Return the account of a URI, with the fields that were given beside it."""
    for option in _NOT_WITH_URI:
        if getattr(given, option) is not None:
            word = "type" if option == "kind" else option.replace("_", "-")
            raise Usage(f"--{word} can't stand beside a URI, which says it itself.", "Leave one of them out.")
    if uri != STDIN:
        screen.note(_TYPED)
    try:
        account = parse_uri(_one_line(read_text(uri, "The URI")) if uri == STDIN else uri)
    except Malformed as problem:
        raise Malformed(problem.message, problem.hint or _URI_HINT) from None
    return Account.from_fields(account.to_fields() | given.fields())


def _one_line(text: str) -> str:
    if not text:
        raise Malformed("There was no URI on standard input.", _URI_HINT)
    if len(text.splitlines()) > 1:
        raise Malformed("There is more than one line on standard input.", "Add several with: otpkeep import -")
    return text


def _from_options(given: Given) -> Account:
    """Return the account that the options describe; the secret is read last."""
    if not (given.issuer or given.name):
        raise Usage("An account needs an issuer or a name, or a URI.", "See: otpkeep add --help")
    kind = given.kind or "totp"
    _refuse_pinned(kind)
    otp, fields = given.parameters(), given.fields()
    _check_timing(kind, otp)
    secret = read_secret(given.secret_file, kind)
    parts: dict[str, Any] = {key: otp.get(key) for key in ("algorithm", "digits", "period")}
    fields["otp"] = make(kind, secret, **parts, counter=given.counter).to_wire()
    return Account.from_fields(fields)


def _refuse_pinned(kind: str | None) -> None:
    if kind in PINNED:
        raise Usage(f"A {kind} account has a PIN, which can't be an option.", "Give a URI: otpkeep add -")


def _check_timing(kind: str, otp: dict[str, object]) -> None:
    if kind == "hotp" and "period" in otp:
        raise Usage("A hotp account counts and has no period.", "Leave --period out.")
    if kind != "hotp" and "counter" in otp:
        raise Usage(f"A {kind} account goes by the time and has no counter.", "Leave --counter out.")


def _kind_of(call: Call, account: str) -> str:
    return str(call("show", {"account": account, "secrets": False})["type"])


def _tell(screen: Screen, result: dict[str, Any], text: str) -> None:
    event = f" Event {plain(result['event'])}." if result["event"] else ""
    screen.done(result, lambda: text + event)
    if result["event"] and not result["backed_up"]:
        screen.note(NOT_BACKED_UP)
