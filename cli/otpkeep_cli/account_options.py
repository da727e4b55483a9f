"""The options that `add` and `edit` share, and the values they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from otpkeep_cli import ask, params
from otpkeep_cli.params import FILE
from otpkeep_cli.sources import STDIN, read_text
from otpkeep_daemon.formats import base32, parameters
from otpkeep_protocol.account import check_field
from otpkeep_protocol.account_rules import DEFAULTS, MAX_COUNTER, MAX_PERIOD
from otpkeep_protocol.errors import Malformed, Usage

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--issuer", type=params.text, help="Who issued the account, such as a site."),
    click.option("--name", type=params.text, help="The account's name there, such as a login."),
    click.option("--secret-file", type=FILE, help="File that holds the secret; - is standard input."),
    click.option("--type", "kind", type=click.Choice(list(DEFAULTS)), help="How codes are made (new: totp)."),
    click.option("--algorithm", type=params.text, help="Hash: SHA1 (usual), SHA224, SHA256, SHA384, SHA512 or MD5."),
    click.option("--digits", type=click.IntRange(4, 10), help="Length of a code, 4 to 10 (usual: 6)."),
    click.option("--period", type=click.IntRange(1, MAX_PERIOD), help="Seconds that a code holds (usual: 30)."),
    click.option("--counter", type=click.IntRange(0, MAX_COUNTER), help="Next counter of a hotp account."),
    click.option("--note", type=params.text, help="Free text; empty to unset."),
    click.option("--tag", "tags", type=params.text, multiple=True, help="A tag; repeat for more."),
    click.option("--placeholder", is_flag=True, help="Keep the secret on this device only, out of the backup."),
)


@dataclass(frozen=True, slots=True, repr=False)
class Given:
    """What was given of an account; None: not given. `tags` is empty if no --tag was."""

    issuer: str | None
    name: str | None
    secret_file: str | None
    kind: str | None
    algorithm: str | None
    digits: int | None
    period: int | None
    counter: int | None
    note: str | None
    tags: tuple[str, ...]
    placeholder: bool

    def fields(self) -> dict[str, object]:
        """Return the wire values of the fields beside otp; an empty text or tag means unset (None)."""
        texts = {"issuer": self.issuer, "name": self.name, "note": self.note}
        fields: dict[str, object] = {key: text or None for key, text in texts.items() if text is not None}
        if self.tags:
            fields["tags"] = sorted({tag for tag in self.tags if tag}) or None
        for field, value in fields.items():
            check_field(field, value)
        return fields

    def parameters(self) -> dict[str, object]:
        """Return the parts of otp that were given, but for the secret; raises Usage for an unknown algorithm."""
        given = {
            "type": self.kind,
            "algorithm": _algorithm(self.algorithm),
            "digits": self.digits,
            "period": self.period,
            "counter": self.counter,
        }
        return {key: value for key, value in given.items() if value is not None}


def account_options(command: _Command) -> _Command:
    """Add the options of an account to a command, which gets them by the names of `Given`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_secret(place: str | None, kind: str) -> bytes:
    """Return the secret from a file, standard input or, for None, a prompt; hexadecimal for motp, else base32.

    Raises Usage if nobody can be asked, Malformed for what is no secret; neither repeats it.
    """
    if place is None and not ask.can_ask():
        raise Usage("There is no secret.", f"Give it with --secret-file FILE; {STDIN} is standard input.")
    text = ask.hidden("Secret (not shown): ") if place is None else read_text(place, "The secret")
    try:
        return _hexadecimal(text) if kind == "motp" else base32.decode(text)
    except Malformed as problem:
        hint = "A secret consists of the letters A to Z and the digits 2 to 7, as the site shows it."
        raise Malformed(problem.message, problem.hint or hint) from None


def _hexadecimal(text: str) -> bytes:
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        raise Malformed("the secret is not hexadecimal", "mOTP secrets consist of 0 to 9 and a to f.") from None
    if not secret:
        raise Malformed("the secret is empty")
    return secret


def _algorithm(word: str | None) -> str | None:
    if word is None:
        return None
    try:
        return parameters.algorithm(word)
    except Malformed as problem:
        raise Usage(problem.message, "Known are SHA1, SHA224, SHA256, SHA384, SHA512 and MD5.") from None
