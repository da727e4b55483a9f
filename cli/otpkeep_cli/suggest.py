"""Suggestions that only the accounts know, for completion: from a daemon that runs unlocked, else none.

Nobody is asked for a passphrase, and whatever can't be had at once is not suggested.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from otpkeep_cli.render.plain import plain
from otpkeep_protocol.errors import OtpkeepError

PATIENCE_S = 0.5
_ID_DIGITS = 8
_EVENTS = 20
_SEPARATORS = frozenset(",\t")
"""Between the parts of a suggestion, as the scripts read it."""


def accounts(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem[str]]:
    """Suggest accounts: for each its first name that is its alone and goes on from what is typed."""
    rows = _asked("list", {"tag": None, "deleted": False, "secrets": False, "at": None})
    count = Counter(word.casefold() for row in rows for word in set(_names(row)))
    found = []
    for row in rows:
        fit = [word for word in _names(row) if count[word.casefold()] == 1 and _goes_on(word, typed)]
        found += [CompletionItem(fit[0], help=_described(row))] if fit else []
    return found


def tags(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem[str]]:
    """Suggest the tags that accounts have."""
    rows = _asked("list", {"tag": None, "deleted": False, "secrets": False, "at": None})
    return [CompletionItem(tag) for tag in sorted({tag for row in rows for tag in row["tags"]}) if _goes_on(tag, typed)]


def devices(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem[str]]:
    """Suggest the devices of the vault."""
    rows = _asked("devices", {})
    return [CompletionItem(row["name"], help=row["state"]) for row in rows if _goes_on(row["name"], typed)]


def events(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[CompletionItem[str]]:
    """Suggest the newest events."""
    rows = _asked("log", {"account": None, "since": None, "until": None, "device": None, "limit": _EVENTS})
    return [
        CompletionItem(row["event"], help=f"{row['kind']} {row['time']}")
        for row in rows
        if _goes_on(row["event"], typed)
    ]


def _names(row: Mapping[str, Any]) -> list[str]:
    """Return the ways to name an account, the best one first; the id is always one."""
    issuer, name = row["issuer"] or "", row["name"] or ""
    words = (issuer, f"{issuer} {name}" if issuer and name else "", name, row["id"][:_ID_DIGITS])
    return list(dict.fromkeys(word for word in words if word))


def _goes_on(word: str, typed: str) -> bool:
    """Tell whether a word begins with what is typed, and has nothing that a script or terminal would trip over."""
    usable = plain(word) == word and not _SEPARATORS & set(word) and not word.startswith("-")
    return usable and word.casefold().startswith(typed.casefold())


def _described(row: Mapping[str, Any]) -> str:
    return plain(" · ".join(word for word in (row["issuer"], row["name"]) if word))


def _asked(op: str, args: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the rows that a running daemon answers soon enough; none if it is locked, or there is none."""
    from otpkeep_daemon.paths import Paths  # --help suggests nothing
    from otpkeep_daemon.sockets import connect, receive  # as above
    from otpkeep_protocol import control  # as above

    try:
        peer = connect(Paths.from_environment(os.environ).socket, PATIENCE_S)
        if peer is None:
            return []
        with peer:
            peer.sendall(control.encode_request(control.Request(op, args)))
            rows: Sequence[Mapping[str, Any]] = control.decode_reply(receive(peer, control.REPLY_LIMIT))
            return rows
    except (OtpkeepError, OSError, EOFError):
        return []  # locked, busy or of another version: that is for commands to say
