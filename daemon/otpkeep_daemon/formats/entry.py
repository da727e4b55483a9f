"""What reading and writing a format returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from otpkeep_protocol.account import Account

MAX_INPUT = 64 * 1024 * 1024
"""Bytes that any reader accepts."""
MAX_ENTRIES = 100_000
"""Entries or lines of one file that any reader accepts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One account of a file.

    `identity` is (format, the entry's own id there) where the format has one (SPEC §3), else None.
    `label` says where in the file it stands, such as "entry 3" or "line 7", and names nothing secret.
    """

    account: Account
    identity: tuple[str, str] | None
    label: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry, or a part of one, that was left out, and why; `entry` is a label or an account id in hex."""

    entry: str
    reason: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file that was read. `unmapped` names what its entries hold beyond what an account can.

    One that is not `ended` may be the beginning of another: its last line has no end.
    """

    format: str
    entries: tuple[Entry, ...]
    skipped: tuple[Skipped, ...]
    unmapped: tuple[str, ...]
    ended: bool = True


@dataclass(frozen=True, slots=True, repr=False)
class Written:
    """An export: its bytes, how many accounts it holds, and what the format could not hold."""

    data: bytes
    accounts: int
    left_out: tuple[Skipped, ...]

    def __repr__(self) -> str:
        return f"Written({len(self.data)} bytes)"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What to change in another application's file, whose other parts stay as they are.

    `changed` and `removed` name entries by the label that reading the very same bytes gave them; what is `added`, and
    what `changed` becomes, is an (account id, account) pair. With `own_ids` each of these entries takes the account's
    id for its own.
    """

    changed: Mapping[str, tuple[bytes, Account]] = field(default_factory=dict, repr=False)
    removed: frozenset[str] = frozenset()
    added: Sequence[tuple[bytes, Account]] = field(default=(), repr=False)
    own_ids: bool = False
