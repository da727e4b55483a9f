"""What a two-way file is to hold: the accounts as they are, in the file as it is (pure)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from otpkeep_daemon.capture import Held, Item
from otpkeep_daemon.formats import registry
from otpkeep_daemon.formats.entry import Rewrite
from otpkeep_protocol.account import Account
from otpkeep_protocol.state import comparable


@dataclass(frozen=True, slots=True)
class Living:
    """The accounts that a file may hold, those that were deleted, and placeholders: nobody touches their entries."""

    accounts: Mapping[bytes, Account] = field(repr=False)
    deleted: frozenset[bytes]
    placeholders: frozenset[bytes]


def rewrite_of(held: Held, living: Living, format: str, *, own: bool) -> Rewrite:  # noqa: A002  # as in registry
    """Return what to change in a file that holds `held` so that it shows the accounts as they are.

    Entries that stand for nothing here, and what the format can't hold, stay as they are.
    """
    changed: dict[str, tuple[bytes, Account]] = {}
    removed: set[str] = set()
    for item in held.items:
        if item.account is None or item.account in living.placeholders:
            continue
        account = living.accounts.get(item.account)
        if account is None:
            removed |= {item.label} if item.account in living.deleted else set()
        elif (fit := _fitting(item, account, format, own=own)) is not None:
            changed[item.label] = (item.account, fit)
    there = {item.account for item in held.items}
    added = [
        (account_id, account)
        for account_id, account in living.accounts.items()
        if account_id not in there and registry.as_held(format, account_id, account) is not None
    ]
    return Rewrite(changed, frozenset(removed), added, own_ids=own)


def is_empty(change: Rewrite) -> bool:
    """Tell whether there is nothing to change."""
    return not (change.changed or change.removed or change.added)


def is_behind(item: Item, account: Account, format: str) -> bool:  # noqa: A002  # as above
    """Tell whether an entry is still to be given values that the account has; a counter is none of them."""
    assert item.account is not None
    fit = registry.as_held(format, item.account, account)
    return fit is not None and not _alike(item.fields, fit.to_fields())


def _fitting(item: Item, account: Account, format: str, *, own: bool) -> Account | None:  # noqa: A002  # as above
    """Return the account as the format can hold it, None if the entry holds it so already."""
    misnamed = own and not _is_own(item)
    if _same(item.fields, account) and not misnamed:
        return None
    assert item.account is not None
    fit = registry.as_held(format, item.account, account)
    return fit if fit is not None and (misnamed or not _same(item.fields, fit)) else None


def _same(fields: Mapping[str, object], account: Account) -> bool:
    """Tell whether the entry holds the account; its counter may be ahead, since counters are only raised."""
    if not _alike(fields, account.to_fields()):
        return False
    otp = fields["otp"]
    assert isinstance(otp, Mapping)
    return account.otp.counter is None or otp["counter"] >= account.otp.counter


def _alike(fields: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    return all(comparable(n, fields.get(n)) == comparable(n, wanted.get(n)) for n in {*fields, *wanted})


def _is_own(item: Item) -> bool:
    """Tell whether the entry's own id is that of its account, as in the own vault file."""
    return item.account is not None and item.identity == ("aegis", str(uuid.UUID(bytes=item.account)))
