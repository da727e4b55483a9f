"""otpkeep's own vault file: an encrypted export in Aegis's format, always current (SPEC §9).

With it a person can walk away to another authenticator at any moment, with the passphrase alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otpkeep_daemon import durable
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.folder_faults import unwritten
from otpkeep_daemon.formats import aegis
from otpkeep_daemon.formats.aegis_export import write_db
from otpkeep_daemon.formats.entry import Skipped
from otpkeep_protocol.account import Account


@dataclass(frozen=True, slots=True)
class Exported:
    """Living accounts by id with their present counters, and those that must not or can't be exported."""

    accounts: tuple[tuple[bytes, Account], ...]
    left_out: tuple[Skipped, ...]


def exportable(accounts: Accounts) -> Exported:
    """Return what any export may hold: no placeholder's secret ever leaves the store."""
    chosen: list[tuple[bytes, Account]] = []
    left_out: list[Skipped] = []
    for shown in accounts.views():
        if shown.deleted:
            continue
        otp = None if accounts.is_placeholder(shown) else accounts.otp(shown)
        if otp is None:
            reason = "a placeholder" if accounts.is_placeholder(shown) else "its secret is missing here"
            left_out.append(Skipped(shown.account.hex(), reason))
        else:
            chosen.append((shown.account, Account.from_fields({**shown.values, "otp": otp.to_wire()})))
    return Exported(tuple(chosen), tuple(left_out))


@dataclass(frozen=True, slots=True)
class Draft:
    """What the file is to hold, and under which keys."""

    export: Exported
    master_key: bytes = field(repr=False)
    slot: Mapping[str, Any] = field(repr=False)


class OwnVault:
    """Where the file is, and how it begins; from then on it is a two-way watched file like others (`writing`)."""

    def __init__(self, path: Path, random: Callable[[int], bytes]) -> None:
        self.path = path
        self._random = random

    def gather(self, accounts: Accounts) -> Draft:
        """Return what the file is to hold. NotAuthentic while the statement with the password slot has not arrived."""
        replica = accounts.replica
        slot = replica.slot_statement()["values"]["own"]
        return Draft(exportable(accounts), replica.keys.keyring.own_master_key(), slot)

    def left_out_of(self, accounts: Accounts) -> tuple[Skipped, ...]:
        """Return the accounts that the file does not hold, and why."""
        export = exportable(accounts)
        return (*export.left_out, *write_db(export.accounts)[1])

    def write(self, draft: Draft) -> None:
        """Replace the file durably, 0600, under the writer lock. FileUnwritten if the disk refuses."""
        data = aegis.write_with_master_key(draft.export.accounts, draft.master_key, draft.slot, self._random).data
        temporary = f".{self.path.name}.new"
        try:
            with durable.directory(self.path.parent) as folder:
                durable.discard(folder, temporary)  # of an attempt that was cut off
                durable.replace(folder, self.path.name, data, temporary)
        except OSError as error:
            raise unwritten(self.path, error) from error
