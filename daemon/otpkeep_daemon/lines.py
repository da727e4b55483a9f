"""The log as people read it: one row for each event."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon import rows
from otpkeep_daemon.accounts import Accounts, account_of
from otpkeep_daemon.finding import ID_DIGITS
from otpkeep_daemon.rows import Names
from otpkeep_protocol import history
from otpkeep_protocol.errors import NotFound
from otpkeep_protocol.events import Event
from otpkeep_protocol.history import Entry
from otpkeep_protocol.ids import Dot, full_event_name


class Lines:
    """Log rows of events, with each account's history annotated once."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._names: Names = accounts.names()
        self._forks = accounts.replica.chains.forks
        self._entries: dict[bytes, dict[bytes, Entry]] = {}

    def writers_of(self, wanted: str) -> set[bytes]:
        """Return the writers of the devices of that label or id prefix. NotFound if there is no such device."""
        known = self._accounts.replica.store.writers()
        found = {writer for writer, device in known.items() if self._is(device, wanted)}
        if not found:
            raise NotFound("no device has this name or id", "`otpkeep devices` lists them.")
        return found

    def _is(self, device: bytes, wanted: str) -> bool:
        by_id = len(wanted) >= ID_DIGITS and device.hex().startswith(wanted.lower())
        return by_id or self._names.label(device).casefold() == wanted.casefold()

    def row(self, event: Event) -> dict[str, Any]:
        """Return the row of one event."""
        entry = self._entry(event)
        row = rows.log_row(entry, account_of(event, self._accounts.replica), self._names)
        for key, dot in {"event": event.dot, "undoes": entry.undoes}.items():
            if dot is not None and self._is_ambiguous(dot):
                row[key] = full_event_name(dot)
        return row

    def _is_ambiguous(self, dot: Dot) -> bool:
        """Tell whether two held events have the short name of this one."""
        replica = self._accounts.replica
        held = replica.store.places_of(dot.writer) if dot.writer in self._forks else set()
        return sum(seq == dot.seq for seq, _ in held) > 1

    def _entry(self, event: Event) -> Entry:
        if event.account is None:
            return Entry(event, {}, concurrent=False)
        if event.account not in self._entries:
            replica = self._accounts.replica
            entries = history.annotate(replica.archive.log(event.account, newest=False), replica.chains.forks)
            self._entries[event.account] = {entry.event.hash: entry for entry in entries}
        return self._entries[event.account][event.hash]
