"""otpauth URIs, one a line: the format that every authenticator knows and each one bends.

Read: `otpauth://totp|hotp|steam|yaotp/LABEL?…`, `otpauth://totp/…` with `encoder=steam` or a bare `steam`,
`steam://SECRET` and `motp://LABEL?secret=HEX&pin=…`. A list may have blank lines, `#` comments, CRLF, a BOM.

Written beside the usual parameters, and ignored by other programs:

- `pin`: of mOTP as it is; of Yandex in base32 if it is all digits (as Aegis does), else
- `otpkeep_pin`: a PIN as it is
- `otpkeep_issuer`, `otpkeep_name`: the exact text, where the label would lose spaces at its ends
- `otpkeep_note`; `otpkeep_tag`, once a tag; `otpkeep_favourite=1`; `otpkeep_position`

Icons and placeholders can't be held and are named as left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from otpkeep_daemon.formats import base32
from otpkeep_daemon.formats.entry import MAX_ENTRIES, Entry, Parsed, Skipped, Written
from otpkeep_daemon.formats.otpauth_uri import parse_uri
from otpkeep_protocol.account import Account, Otp
from otpkeep_protocol.errors import Malformed

__all__ = ["parse_uri", "read", "sniff", "write"]

_SCHEME = re.compile(rb"(?:otpauth|motp|steam)://", re.IGNORECASE)
_SCHEME_IN_LINE = re.compile(rb"^[ \t]*(?:otpauth|motp|steam)://", re.IGNORECASE | re.MULTILINE)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_HOSTS = {"totp": "totp", "hotp": "hotp", "steam": "steam", "yandex": "yaotp"}


def sniff(data: bytes) -> bool:
    """Return whether any line of `data` begins with a scheme of this format."""
    return _SCHEME_IN_LINE.search(_utf8(data)) is not None


def read(data: bytes) -> Parsed:
    """Return the accounts of a list of URIs; a line that can't be read is skipped with its number."""
    entries: list[Entry] = []
    skipped: list[Skipped] = []
    for label, line in _lines(data):
        try:
            entries.append(Entry(_parse_line(line), None, label))
        except Malformed as problem:
            skipped.append(Skipped(label, problem.message))
    return Parsed("otpauth", tuple(entries), tuple(skipped), (), ended=_utf8(data).endswith(b"\n"))


def write(accounts: Sequence[tuple[bytes, Account]]) -> Written:
    """Return one URI a line for (id, account) pairs; UTF-8, LF."""
    lines: list[str] = []
    left_out: list[Skipped] = []
    for account_id, account in accounts:
        if account.otp.placeholder is not None:
            left_out.append(Skipped(account_id.hex(), "a placeholder has no secret to write"))
            continue
        lines.append(write_uri(account) + "\n")
        if account.icon is not None:
            left_out.append(Skipped(account_id.hex(), "its icon: a URI holds none"))
    return Written("".join(lines).encode(), len(lines), tuple(left_out))


def write_uri(account: Account) -> str:
    """Return the URI of an account that is no placeholder; `parse_uri` gives it back, less its icon."""
    otp = account.otp
    origin = "motp://" if otp.type == "motp" else f"otpauth://{_HOSTS[otp.type]}/"
    pairs = [*_otp_pairs(otp), *_account_pairs(account)]
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in pairs)
    return f"{origin}{_label(account)}?{query}"


def _utf8(data: bytes) -> bytes:
    """Return `data` as UTF-8 without BOM; text from Windows may be UTF-16."""
    if data.startswith(_UTF16):
        return data.decode("utf-16", errors="replace").encode()
    return data.removeprefix(b"\xef\xbb\xbf")


def _lines(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (label, line) for the lines that should hold a URI."""
    lines = _utf8(data).split(b"\n")
    if len(lines) > MAX_ENTRIES:
        raise Malformed(f"the list has more than {MAX_ENTRIES} lines", "is it the right file?")
    for count, line in enumerate(lines, start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith(b"#"):
            yield f"line {count}", stripped


def _parse_line(line: bytes) -> Account:
    if not _SCHEME.match(line):
        raise Malformed("not an otpauth, motp or steam URI")
    try:
        return parse_uri(line.decode())
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None


def _label(account: Account) -> str:
    """Return `issuer:name` with every colon in them escaped, so that the bare one separates."""
    name = quote(account.name, safe="@")
    if not account.issuer and ":" not in account.name:
        return name
    return f"{quote(account.issuer, safe='')}:{name}"


def _otp_pairs(otp: Otp) -> Iterator[tuple[str, str]]:
    yield "secret", otp.secret.hex() if otp.type == "motp" else base32.encode(otp.secret)
    if otp.type not in {"motp", "yandex"}:
        yield "algorithm", otp.algorithm
        yield "digits", str(otp.digits)
    if otp.period is not None:
        yield "period", str(otp.period)
    if otp.counter is not None:
        yield "counter", str(otp.counter)
    if otp.pin is not None:
        yield _pin_pair(otp.type, otp.pin)


def _pin_pair(kind: str, pin: str) -> tuple[str, str]:
    if kind == "motp":
        return "pin", pin
    if pin.isascii() and pin.isdigit():
        return "pin", base32.encode(pin.encode())
    return "otpkeep_pin", pin


def _account_pairs(account: Account) -> Iterator[tuple[str, str]]:
    if account.issuer:
        yield "issuer", account.issuer
    for key, text in (("otpkeep_issuer", account.issuer), ("otpkeep_name", account.name)):
        if text != text.strip():
            yield key, text
    if account.note:
        yield "otpkeep_note", account.note
    for tag in account.tags:
        yield "otpkeep_tag", tag
    if account.favourite:
        yield "otpkeep_favourite", "1"
    if account.position is not None:
        yield "otpkeep_position", str(account.position)
