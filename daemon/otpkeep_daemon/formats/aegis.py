"""Aegis vault files, plain and encrypted (docs/vault.md of beemdevelopment/Aegis, content versions 1 to 3).

Groups become tags and the uuid becomes the identity. Usage counts and last-used times are no edits and are
not looked at. `aegis_entries` and `aegis_export` know the entries, `aegis_crypto` the encryption; here is
the file around them.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from otpkeep_daemon.formats import aegis_crypto
from otpkeep_daemon.formats.aegis_crypto import NONCE, Random
from otpkeep_daemon.formats.aegis_entries import read_db
from otpkeep_daemon.formats.aegis_export import write_db
from otpkeep_daemon.formats.aegis_rewrite import rewrite_db
from otpkeep_daemon.formats.entry import Parsed, Rewrite, Written
from otpkeep_protocol.account import Account
from otpkeep_protocol.errors import Locked, Malformed, UnknownVersion

PLAIN = "aegis"
ENCRYPTED = "aegis-encrypted"
VERSION = 1
"""Of the file; that of its content is `aegis_entries.VERSIONS`."""

Accounts = Sequence[tuple[bytes, Account]]


def sniff(data: bytes) -> bool:
    """Return whether `data` looks like an Aegis file, without parsing it."""
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    return start.startswith(b"{") and b'"header"' in data and b'"db"' in data


def read(data: bytes, passphrase: Callable[[], str] | None) -> Parsed:
    """Return the accounts of a plain or encrypted file; `passphrase` is asked once, if it is needed.

    Raises Malformed, UnknownVersion, NotAuthentic, Refused, WrongPassphrase, or Locked if `passphrase` is None.
    """
    return read_with_key(data, master_key(data, passphrase))


def master_key(data: bytes, passphrase: Callable[[], str] | None) -> bytes | None:
    """Return the key (32 bytes) of an encrypted file, None if it is plain; errors as for `read`."""
    outer, header = _outer(data)
    if _is_plain(header):
        return None
    _sealed(outer.get("db"))
    if passphrase is None:
        raise Locked("this Aegis file is encrypted", "give its password with --passphrase-file")
    return aegis_crypto.unwrap(header.get("slots"), aegis_crypto.spellings(passphrase()))


def read_with_key(data: bytes, key: bytes | None) -> Parsed:
    """Return the accounts of a file whose key is known (None: it is plain); errors as for `read`."""
    outer, header = _outer(data)
    name = PLAIN if _is_plain(header) else ENCRYPTED
    return read_db(name, _content(outer, header, key))


@dataclass(frozen=True, slots=True)
class Under:
    """The master key (32 bytes) and the one password slot that a file is to be encrypted under."""

    key: bytes = field(repr=False)
    slot: Mapping[str, object] = field(repr=False)


def rewrite(data: bytes, key: bytes | None, change: Rewrite, under: Under | None = None) -> bytes:
    """Return the file with `change` made, under the same key and slots as it was, or as `under` says.

    What `change` does not name stays, unknown keys included. The accounts must be ones that Aegis can hold. The nonce
    is made of key and content, so that two devices which change a synced file alike write equal bytes, and no other
    content gets the same one.
    """
    outer, header = _outer(data)
    db = rewrite_db(_content(outer, header, key), change)
    if under is None and key is None:
        return _dump({**outer, "db": db}, 4)
    new_key = under.key if under is not None else key
    assert new_key is not None
    plain = _dump(db, None)
    nonce = hmac.digest(new_key, b"otpkeep/v1/aegis-nonce" + plain, "sha256")[:NONCE]
    sealed, tag = aegis_crypto.seal(new_key, nonce, plain)
    slots = header.get("slots") if under is None else [aegis_crypto.slot_header(under.slot)]
    sealed_header = {**header, "slots": slots, "params": {"nonce": nonce.hex(), "tag": tag.hex()}}
    return _dump({**outer, "header": sealed_header, "db": base64.b64encode(sealed).decode()}, 4)


def is_under(data: bytes, slot: Mapping[str, object]) -> bool:
    """Tell whether a file is encrypted with this password slot and no other."""
    return _outer(data)[1].get("slots") == [aegis_crypto.slot_header(slot)]


def _outer(data: bytes) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Return the file's outer object and its header."""
    outer = _object(_json(data), "the file")
    if outer.get("version") != VERSION:
        raise UnknownVersion("this Aegis file has a version other than 1", "update otpkeep")
    return outer, _object(outer.get("header"), "the header")


def _is_plain(header: Mapping[str, object]) -> bool:
    return header.get("slots") is None and header.get("params") is None


def _content(outer: Mapping[str, object], header: Mapping[str, object], key: bytes | None) -> Mapping[str, object]:
    if _is_plain(header):
        return _object(outer.get("db"), "db")
    if key is None:
        raise Locked("this Aegis file is encrypted", "give its password with --passphrase-file")
    return _object(_json(aegis_crypto.open_db(key, header.get("params"), _sealed(outer.get("db")))), "db")


def write_plain(accounts: Accounts) -> Written:
    """Return a plain file of (id, account) pairs."""
    db, left_out = write_db(accounts)
    outer = {"version": VERSION, "header": {"slots": None, "params": None}, "db": db}
    return Written(_dump(outer, 4), _count(db), left_out)


def write_encrypted(accounts: Accounts, passphrase: str, random: Random) -> Written:
    """Return a file of (id, account) pairs under a fresh master key and `passphrase` (taken in NFC)."""
    master_key = random(aegis_crypto.KEY)
    slot = aegis_crypto.password_slot(master_key, passphrase, random)
    return write_with_master_key(accounts, master_key, slot, random)


def write_with_master_key(accounts: Accounts, master_key: bytes, slot: Mapping[str, object], random: Random) -> Written:
    """Return a file encrypted under `master_key` (32 bytes), opened by the password of `slot`.

    `slot` is what `aegis_crypto.password_slot` made, so no passphrase is needed here; `random` makes a nonce.
    """
    db, left_out = write_db(accounts)
    nonce = random(NONCE)
    sealed, tag = aegis_crypto.seal(master_key, nonce, _dump(db, None))
    header = {
        "slots": [aegis_crypto.slot_header(slot)],
        "params": {"nonce": nonce.hex(), "tag": tag.hex()},
    }
    outer = {"version": VERSION, "header": header, "db": base64.b64encode(sealed).decode()}
    return Written(_dump(outer, 4), _count(db), left_out)


def _count(db: Mapping[str, object]) -> int:
    entries = db["entries"]
    assert isinstance(entries, list)
    return len(entries)


def _sealed(db: object) -> bytes:
    try:
        sealed = base64.b64decode(db if isinstance(db, str) else "", validate=True)
    except ValueError:
        sealed = b""
    if not sealed:
        raise Malformed("the encrypted db is not base64", "use another copy of the export")
    return sealed


def _json(data: bytes) -> object:
    """Return the value of JSON bytes; raises Malformed, also for nesting that would exhaust the stack."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("the file is not valid JSON", "use another copy of the export") from None
    return value


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not a JSON object")
    return value


def _dump(value: object, indent: int | None) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent).encode()
    except UnicodeEncodeError:  # JSON can name half a character, and UTF-8 can't hold one
        return json.dumps(value, indent=indent).encode()
