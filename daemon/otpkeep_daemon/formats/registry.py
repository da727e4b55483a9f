"""The one list of formats that can be imported and exported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from otpkeep_daemon.formats import aegis, otpauth, otpauth_rewrite
from otpkeep_daemon.formats.entry import MAX_INPUT, Parsed, Rewrite, Written
from otpkeep_protocol.account import Account
from otpkeep_protocol.errors import Locked, Malformed, NotAuthentic, NotFound

Accounts = Sequence[tuple[bytes, Account]]
Ask = Callable[[], str]
Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `sniff` is cheap and looks at content only; `write` is None where there is only reading."""

    name: str
    sniff: Callable[[bytes], bool]
    read: Callable[[bytes, Ask | None], Parsed]
    write: Callable[[Accounts, str | None, Random], Written] | None


def _write_encrypted(accounts: Accounts, passphrase: str | None, random: Random) -> Written:
    if passphrase is None:
        raise Locked("an encrypted export needs a password", "give one with --passphrase-file")
    return aegis.write_encrypted(accounts, passphrase, random)


FORMATS: tuple[Format, ...] = (
    Format(aegis.PLAIN, aegis.sniff, aegis.read, lambda accounts, _ask, _random: aegis.write_plain(accounts)),
    Format(aegis.ENCRYPTED, aegis.sniff, aegis.read, _write_encrypted),
    Format(
        "otpauth",
        otpauth.sniff,
        lambda data, _ask: otpauth.read(data),
        lambda accounts, _ask, _random: otpauth.write(accounts),
    ),
)
"""In the order in which content is tried."""


def read(data: bytes, *, format: str | None, passphrase: Ask | None) -> Parsed:  # noqa: A002  # the option's name
    """Return the accounts of a file, by its content unless `format` names what it is.

    `passphrase` is asked only if the file is encrypted. Raises NotFound for an unknown `format`, Malformed,
    UnknownVersion, NotAuthentic, Refused, Locked (encrypted, and no `passphrase`) or WrongPassphrase.
    """
    if len(data) > MAX_INPUT:
        raise Malformed("the file is larger than 64 MiB", "is it the right file?")
    if format is not None:
        return _named(format).read(data, passphrase)
    for candidate in FORMATS:
        if candidate.sniff(data):
            return candidate.read(data, passphrase)
    raise Malformed("the content is of no format known here", f"known are {_names()}")


def write(
    format: str,  # noqa: A002  # the option's name
    accounts: Accounts,
    *,
    passphrase: str | None,
    random: Random,
) -> Written:
    """Return (16-byte id, account) pairs in a format, and what it could not hold.

    `random` gives that many random bytes. Raises NotFound for an unknown `format`, or Locked if the format is
    encrypted and there is no `passphrase`.
    """
    writer = _named(format).write
    if writer is None:
        raise NotFound(f"{format} can be read but not written", f"known are {_names()}")
    return writer(accounts, passphrase, random)


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that was read, and the key (32 bytes) that opened it, None for a plain one."""

    parsed: Parsed
    key: bytes | None = field(default=None, repr=False)


def open_file(data: bytes, *, passphrase: Ask | None, keys: Sequence[bytes] = ()) -> Opened:
    """Return a file by its content, opened with one of `keys` if one fits, else with `passphrase`; errors as `read`."""
    if len(data) > MAX_INPUT:
        raise Malformed("the file is larger than 64 MiB", "is it the right file?")
    if not aegis.sniff(data):
        return Opened(_list_without_entries(data) or read(data, format=None, passphrase=passphrase))
    for key in keys:
        try:
            return Opened(aegis.read_with_key(data, key), key)
        except NotAuthentic:
            continue
    key_of_file = aegis.master_key(data, passphrase)
    return Opened(aegis.read_with_key(data, key_of_file), key_of_file)


def _list_without_entries(data: bytes) -> Parsed | None:
    """Return what is left of a list of which only comments remain: nothing tells it, but nothing in it is strange."""
    if otpauth.sniff(data) or not data.lstrip().startswith(b"#"):
        return None
    parsed = otpauth.read(data)
    return parsed if not parsed.skipped else None


def rewrite(data: bytes, opened: Opened, change: Rewrite, under: aegis.Under | None = None) -> bytes:
    """Return the file with `change` made, and everything else in it as it was; `under` is for the own vault file."""
    if opened.parsed.format == "otpauth":
        return otpauth_rewrite.rewrite(data, change)
    return aegis.rewrite(data, opened.key, change, under)


def as_held(format: str, account_id: bytes, account: Account) -> Account | None:  # noqa: A002  # as above
    """Return what becomes of an account that is written in a format and read back, None if it can't be held."""
    plain = aegis.PLAIN if format == aegis.ENCRYPTED else format
    entries = read(
        write(plain, [(account_id, account)], passphrase=None, random=bytes).data, format=plain, passphrase=None
    )
    return entries.entries[0].account if entries.entries else None


def _named(name: str) -> Format:
    for candidate in FORMATS:
        if candidate.name == name:
            return candidate
    raise NotFound("there is no such format", f"known are {_names()}")


def _names() -> str:
    return ", ".join(candidate.name for candidate in FORMATS)
