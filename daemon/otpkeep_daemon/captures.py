"""One change of one watched file: read, decided and ready to be committed, or held back with the reason."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from otpkeep_daemon import capture
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.capture import Decision, Held, Here, Item
from otpkeep_daemon.formats import registry
from otpkeep_daemon.formats.aegis import ENCRYPTED
from otpkeep_daemon.formats.registry import Opened
from otpkeep_daemon.imports import Import, Imported, Revive, had_by
from otpkeep_daemon.intended import is_behind
from otpkeep_daemon.own_vault import exportable
from otpkeep_daemon.watches import OWN
from otpkeep_protocol.errors import (
    Locked,
    Malformed,
    NotAuthentic,
    OtpkeepError,
    Refused,
    UnknownVersion,
    WrongPassphrase,
)
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import Dot


@dataclass(frozen=True, slots=True)
class Misread:
    """Why a content could not be read; `lasting` if waiting for the rest of it is of no use."""

    reason: str
    lasting: bool


@dataclass(frozen=True, slots=True)
class Captured:
    """What a content does: the events to make, what the file holds from then on, or why it must wait."""

    drafts: tuple[Draft, ...]
    held: Held
    reason: str | None
    adds: tuple[str, ...] = ()
    edits: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    left_deleted: tuple[str, ...] = ()


def open_content(
    data: bytes,
    format: str | None,  # noqa: A002  # as in registry
    passphrase: Callable[[], str] | None,
    keys: Sequence[bytes],
) -> Opened | Misread:
    """Return a file that was read whole, or why it can't be. `format` is what it must be of, None for any."""
    if not data.strip():
        return Misread(capture.EMPTY, lasting=False)
    try:
        opened = registry.open_file(data, passphrase=passphrase, keys=keys)
    except (WrongPassphrase, Locked, Refused):
        return Misread(capture.KEY, lasting=True)
    except (Malformed, UnknownVersion, NotAuthentic):
        return Misread(capture.UNREADABLE, lasting=False)
    if format is not None and opened.parsed.format != (ENCRYPTED if format == OWN else format):
        return Misread(capture.FORMAT, lasting=True)
    return opened


def items_of(opened: Opened) -> tuple[Item, ...]:
    """Return the entries of a file."""
    return tuple(Item(e.label, e.identity, e.account.to_fields()) for e in opened.parsed.entries)


class Capture:
    """Takes contents of watched files in, for one unlocked vault. It only reads; what it returns is to be committed."""

    def __init__(self, accounts: Accounts, now_ms: int) -> None:
        self._accounts = accounts
        self._now = now_ms

    def take(
        self,
        held: Held | None,
        opened: Opened,
        *,
        own: bool,
        concurrent: bool = False,
        accepted: bool = False,
        behind: bool = False,
    ) -> Captured:
        """Return what a content does to accounts; `held` is None at the first look at a file.

        `concurrent` as for `capture.decide`; a file that is `behind` was not written since there was news.
        """
        items = items_of(opened)
        before = held or Held()
        here = self._here(opened.parsed.format if behind else None)
        secret = self._own_secrets()
        decision = capture.decide(
            before,
            items,
            here,
            skipped=len(opened.parsed.skipped),
            concurrent=concurrent,
            wall=self._now,
            accepted=accepted,
            ended=opened.parsed.ended,
        )
        rule = Revive.NEVER if held is None and not accepted else Revive.NEWS if concurrent else Revive.ALWAYS
        fresh = [item for item in decision.fresh if capture.secret_of(item) not in secret]
        taken = {item.account for item in decision.items if item.account is not None}
        made = Import(self._accounts, placeholder=False, revive=rule, captured=True, own_ids=own, taken=taken).plan(
            [{"fields": i.fields, "identity": i.identity, "label": i.label} for i in fresh]
        )
        return self._captured(before, decision, made, items, opened)

    def _captured(
        self, before: Held, decision: Decision, made: Imported, items: Sequence[Item], opened: Opened
    ) -> Captured:
        drafts = [draft for draft in decision.drafts if self._is_allowed(draft)]
        known = {item.label: item for item in decision.items}
        now = [known.get(item.label) or replace(item, account=made.became.get(item.label)) for item in items]
        edited = dict.fromkeys([*decision.edited, *made.changed])
        return Captured(
            (*drafts, *made.drafts),
            capture.holding(before, now, len(opened.parsed.skipped), decision.flips, ended=opened.parsed.ended),
            decision.reason,
            tuple(a.hex() for a in made.added),
            tuple(a.hex() for a in edited),
            tuple(a.hex() for a in decision.deleted),
            tuple(a.hex() for a in made.left_deleted),
        )

    def _is_allowed(self, draft: Draft) -> bool:
        """Tell whether a draft carries no placeholder's secret."""
        otp = draft.values.get("otp")
        if not isinstance(otp, Mapping) or "secret" not in otp:
            return True
        try:
            self._accounts.guard(otp["secret"], draft.account)
        except OtpkeepError:
            return False
        return True

    def _here(self, behind: str | None) -> Here:
        """Return what is known here; `behind` is the format of a file that is."""
        shown = {view.account: view for view in self._accounts.views()}
        marked = frozenset(account for account, view in shown.items() if self._accounts.is_placeholder(view))
        alive = dict(exportable(self._accounts).accounts) if behind is not None else {}

        def is_late(item: Item) -> bool:
            account = alive.get(item.account) if item.account is not None else None
            return behind is not None and account is not None and is_behind(item, account, behind)

        return Here(shown, marked, self._had, self._had_elsewhere, self._writes, is_late)

    def _writes(self, account: bytes, registers: Collection[str]) -> tuple[Dot, ...]:
        replica = self._accounts.replica
        devices, own = replica.store.writers(), replica.keys.author.device
        subject = replica.state.subjects[account]
        dots = {dot for name in registers if name in subject.registers for dot in subject.registers[name].dots}
        return tuple(sorted(dot for dot in dots if devices.get(dot.writer) != own and replica.chains.holds(dot)))

    def _had(self, account: bytes) -> Mapping[str, set[bytes]]:
        return had_by(self._accounts.replica.archive.log(account))

    def _had_elsewhere(self, account: bytes) -> Mapping[str, set[bytes]]:
        replica = self._accounts.replica
        devices, own = replica.store.writers(), replica.keys.author.device
        return had_by(e for e in replica.archive.log(account) if devices.get(e.dot.writer) != own)

    def _own_secrets(self) -> set[bytes]:
        """Return the digests of the secrets of this device's placeholders: their entries are left alone."""
        return self._accounts.placeholder_digests()
