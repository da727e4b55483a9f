"""Changing single lines of an otpauth list: comments, blank lines, order and other lines stay as they are."""

from __future__ import annotations

from otpkeep_daemon.formats.entry import Rewrite
from otpkeep_daemon.formats.otpauth import write_uri
from otpkeep_protocol.account import Account

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_OURS = frozenset({"secret", "algorithm", "digits", "period", "counter", "pin", "issuer", "encoder", "steam"})


def rewrite(data: bytes, change: Rewrite) -> bytes:
    """Return the list with `change` made; new lines stand at the end. Encoding and ends of lines are kept."""
    bom, encoding = next(((bom, name) for bom, name in _BOMS if data.startswith(bom)), (b"", "utf-8"))
    text = data.removeprefix(bom).decode(encoding, errors="surrogateescape")
    end = "\r\n" if "\r\n" in text else "\n"
    lines = []
    for count, line in enumerate(text.split("\n"), start=1):
        label = f"line {count}"
        if label in change.changed:
            lines.append(_changed(line, change.changed[label][1]) + ("\r" if line.endswith("\r") else ""))
        elif label not in change.removed:
            lines.append(line)
    made = "\n".join(lines)
    if change.added and made and not made.endswith("\n"):
        made = made.removesuffix("\r") + end
    made += "".join(write_uri(account) + end for _, account in change.added)
    return bom + made.encode(encoding, errors="surrogateescape")


def _changed(line: str, account: Account) -> str:
    """Return the URI of `account`, with the parameters of `line` that only its application knows."""
    pieces = line.strip().partition("?")[2].split("&")
    unknown = [p for p in pieces if p and not _is_ours(p.partition("=")[0].strip().lower())]
    return "&".join([write_uri(account), *unknown])


def _is_ours(key: str) -> bool:
    return key in _OURS or key.startswith("otpkeep_")
