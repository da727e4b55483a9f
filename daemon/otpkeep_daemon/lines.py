"""The log as people read it: one row for each event."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon import rows
from otpkeep_daemon.accounts import ID_DIGITS, Accounts, account_of
from otpkeep_daemon.rows import Names
from otpkeep_protocol import history
from otpkeep_protocol.events import Event
from otpkeep_protocol.history import Entry


class Lines:
    """Log rows of events, with each account's history annotated once."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._names: Names = accounts.names()
        self._entries: dict[bytes, dict[bytes, Entry]] = {}

    def is_by(self, event: Event, wanted: str | None) -> bool:
        """Tell whether the device that the person named wrote this; None fits all."""
        if wanted is None:
            return True
        owner = self._accounts.replica.store.writers().get(event.dot.writer, b"").hex()
        return wanted.casefold() == self._names.of_writer(event.dot.writer).casefold() or (
            len(wanted) >= ID_DIGITS and owner.startswith(wanted.lower())
        )

    def row(self, event: Event) -> dict[str, Any]:
        """Return the row of one event."""
        entry = self._entry(event)
        return rows.log_row(entry, account_of(event, self._accounts.replica), self._names)

    def _entry(self, event: Event) -> Entry:
        if event.account is None:
            return Entry(event, {}, concurrent=False)
        if event.account not in self._entries:
            replica = self._accounts.replica
            entries = history.annotate(replica.log(event.account, newest=False), replica.chains.forks)
            self._entries[event.account] = {entry.event.hash: entry for entry in entries}
        return self._entries[event.account][event.hash]
