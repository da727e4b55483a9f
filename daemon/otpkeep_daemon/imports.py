"""Importing accounts: each entry is added, or matched with an account that is there, or left out with the reason.

A match brings only values that the account never had here: so the same file imported again undoes no edit made since,
nor does an older one of which this vault has seen the values. A counter is only raised.
"""

from __future__ import annotations

import enum
import hmac
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from otpkeep_daemon.accounts import Accounts, edit_draft
from otpkeep_protocol import wire
from otpkeep_protocol.account import Account, Otp
from otpkeep_protocol.errors import OtpkeepError
from otpkeep_protocol.events import Draft, Event
from otpkeep_protocol.ids import imported_id, sha256
from otpkeep_protocol.state import comparable, same
from otpkeep_protocol.view import View


@dataclass(slots=True)
class Imported:
    """What an import does: drafts to commit with local secrets, and the accounts it found, by outcome."""

    drafts: list[Draft] = field(default_factory=list)
    secrets: dict[bytes, bytes | None] = field(default_factory=dict, repr=False)
    added: list[bytes] = field(default_factory=list)
    changed: list[bytes] = field(default_factory=list)
    unchanged: list[bytes] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    became: dict[str, bytes] = field(default_factory=dict)
    """The account that each entry stands for, by its label, whether anything changed or not."""
    left_deleted: list[bytes] = field(default_factory=list)
    """Accounts of entries that were deleted here and, under the rule of this import, stay so."""

    @property
    def all(self) -> list[bytes]:
        """Every account that an entry became or met, each once."""
        return list(dict.fromkeys([*self.added, *self.changed, *self.unchanged]))


class Revive(enum.Enum):
    """What becomes of an entry whose account was deleted here."""

    ALWAYS = "always"
    NEWS = "news"
    """It lives again only with a value that it never had: another version of a file is no wish to have it back."""
    NEVER = "never"


class Import:
    """One import into one replica. `plan` decides everything; committing its drafts is the caller's.

    With `captured` the entries come from a watched file, which never touches a placeholder; with `own_ids` an entry's
    own id is the account's, as in the own vault file. Accounts that are `taken` have an entry in the file already.
    """

    def __init__(
        self,
        accounts: Accounts,
        *,
        placeholder: bool,
        revive: Revive = Revive.ALWAYS,
        captured: bool = False,
        own_ids: bool = False,
        taken: Set[bytes] = frozenset(),
    ) -> None:
        self._accounts = accounts
        self._rule = revive
        self._captured = captured
        self._own_ids = own_ids
        self._taken = taken
        self._replica = accounts.replica
        self._placeholder = placeholder
        self._made = Imported()
        self._equal_entries: Counter[bytes] = Counter()
        self._once: set[bytes] = set()
        self._met: set[bytes] = set()
        self._alive = {shown.account: shown for shown in accounts.views() if not shown.deleted}
        self._deleted = {shown.account: shown for shown in accounts.views() if shown.deleted}
        self._by_secret = self._secrets()

    def plan(self, entries: Sequence[Mapping[str, Any]]) -> Imported:
        """Return what these entries ({fields, identity, label}) do."""
        secrets = [entry["fields"]["otp"]["secret"] for entry in entries if "secret" in entry["fields"].get("otp", {})]
        self._once = {digest for digest, times in Counter(map(sha256, secrets)).items() if times == 1}
        for entry in entries:
            try:
                self._take(entry)
            except OtpkeepError as error:
                self._made.skipped.append({"entry": entry["label"], "reason": error.message})
        return self._made

    def _secrets(self) -> dict[bytes, list[bytes]]:
        """Return the living accounts by a digest of their secret, placeholders of this device included."""
        found: dict[bytes, list[bytes]] = {}
        for shown in self._alive.values():
            otp = self._accounts.otp(shown)
            if otp is not None and shown.account not in self._taken:
                found.setdefault(sha256(otp.secret), []).append(shown.account)
        return found

    def _take(self, entry: Mapping[str, Any]) -> None:
        fields = Account.from_fields(entry["fields"]).to_fields()
        otp = Otp.from_wire(fields["otp"])
        candidates = self._candidates(entry, fields)
        match = next((c for c in candidates if c in self._alive), None) or self._same_secret(otp, fields)
        revived = next((c for c in candidates if c in self._deleted), None)
        shown = self._alive[match] if match is not None else self._deleted.get(revived or b"")
        if self._captured and shown is not None and self._accounts.is_placeholder(shown):
            raise OtpkeepError("it is a placeholder, which a watched file can't change")
        self._made.became[entry["label"]] = match or revived or candidates[0]
        if (match or candidates[0]) in self._met:
            self._made.skipped.append({"entry": entry["label"], "reason": "the file holds this account twice"})
            return
        self._met.add(match or candidates[0])
        if match is not None:
            self._merge(self._alive[match], fields, otp)
        elif revived is None:
            self._add(candidates[0], fields)
        elif self._is_revived(self._deleted[revived], fields):
            self._revive(self._deleted[revived], fields, otp)
        else:
            self._made.left_deleted.append(revived)

    def _is_revived(self, shown: View, fields: Mapping[str, Any]) -> bool:
        if self._rule is not Revive.NEWS:
            return self._rule is Revive.ALWAYS
        had = had_by(self._replica.archive.log(shown.account))
        return any(wire.encode(comparable(name, value)) not in had.get(name, ()) for name, value in fields.items())

    def _candidates(self, entry: Mapping[str, Any], fields: Mapping[str, Any]) -> list[bytes]:
        """Return the ids that this entry may have here: the one every device gives it, and its own if it is ours."""
        id_key = self._replica.keys.keyring.id_key
        identity = entry["identity"]
        if identity is not None:
            own = _account_id(identity[1])
            found = [imported_id(id_key, list(identity)), *([own] if own is not None else [])]
            return found[::-1] if self._own_ids else found
        what = [sha256(wire.encode(comparable("otp", fields["otp"]))), fields.get("issuer", ""), fields.get("name", "")]
        key = sha256(wire.encode(what))
        self._equal_entries[key] += 1
        return [imported_id(id_key, ["otp", *what, self._equal_entries[key] - 1])]

    def _same_secret(self, otp: Otp, fields: Mapping[str, Any]) -> bytes | None:
        """Return the living account with this secret: the only one, if this is the only entry with it, or its equal."""
        digest = sha256(otp.secret)
        found = self._by_secret.get(digest, [])
        if len(found) == 1 and digest in self._once:
            return found[0]
        equal = [account for account in found if self._is_equal(self._alive[account], fields)]
        return equal[0] if len(equal) == 1 else None

    def _is_equal(self, shown: View, fields: Mapping[str, Any]) -> bool:
        return all(same(shown.values, name, fields.get(name)) for name in ("otp", "issuer", "name"))

    def _add(self, account: bytes, fields: Mapping[str, Any]) -> None:
        draft, secrets = self._accounts.draft_add(account, fields, placeholder=self._placeholder, weak=True)
        self._made.drafts.append(draft)
        self._made.secrets |= secrets
        self._made.added.append(account)

    def _revive(self, shown: View, fields: dict[str, Any], otp: Otp) -> None:
        if self._placeholder and not self._accounts.is_placeholder(shown):
            raise OtpkeepError("it was here before it was deleted, as an account whose secret was backed up")
        if self._accounts.is_placeholder(shown):
            fields = {**fields, "otp": otp.as_placeholder().to_wire()}
            self._made.secrets[shown.account] = wire.encode(self._latest(shown, otp).to_wire())
        else:
            self._accounts.guard(otp.secret)
        self._made.drafts.append(edit_draft(shown.account, fields))
        self._made.added.append(shown.account)

    def _merge(self, shown: View, fields: dict[str, Any], otp: Otp) -> None:
        """Bring what is new in an entry to the account that it matches."""
        if self._accounts.is_placeholder(shown):
            self._enrol(shown, otp)
            fields = {**fields, "otp": otp.as_placeholder().to_wire()}
        elif self._placeholder:
            raise OtpkeepError("it is here already as an account whose secret was backed up")
        else:
            self._accounts.guard(otp.secret)
        had = (
            had_by(self._replica.archive.log(shown.account))
            if any(not same(shown.values, n, v) for n, v in fields.items())
            else {}
        )
        new = {
            name: value
            for name, value in fields.items()
            if not same(shown.values, name, value) and wire.encode(comparable(name, value)) not in had.get(name, set())
        }
        if new:
            self._made.drafts.append(edit_draft(shown.account, new))
        raised = self._raise_counter(shown, otp) if "otp" not in new else False
        changed = bool(new) or raised or shown.account in self._made.secrets
        (self._made.changed if changed else self._made.unchanged).append(shown.account)

    def _enrol(self, shown: View, otp: Otp) -> None:
        """Keep the secret of a placeholder that this device does not have yet, here and nowhere else."""
        here = self._accounts.otp(shown)
        if here is not None and not hmac.compare_digest(here.secret, otp.secret):
            raise OtpkeepError("it is a placeholder with another secret on this device; use edit to replace that")
        latest = self._latest(shown, otp)
        if latest != here:
            self._made.secrets[shown.account] = wire.encode(latest.to_wire())

    def _latest(self, shown: View, otp: Otp) -> Otp:
        """Return `otp`, with the counter that this device has reached if it is further, or was reset on purpose."""
        local = self._replica.local_secret(shown.account)
        here = None if local is None else Otp.from_wire(wire.unpack(local))
        if here is None or here.counter is None or otp.counter is None or here.secret != otp.secret:
            return otp
        reached = here.counter if here.counter_key != otp.counter_key else max(here.counter, otp.counter)
        return replace(otp, counter=reached, counter_key=here.counter_key)

    def _raise_counter(self, shown: View, otp: Otp) -> bool:
        if otp.counter is None or shown.counter is None or otp.counter <= shown.counter:
            return False
        key = shown.values["otp"]["counter_key"]
        if key != otp.counter_key:  # the counter was reset on purpose since
            return False
        self._made.drafts.append(Draft("account.use", shown.account, extra={"counter": [key, otp.counter]}))
        return True


def had_by(events: Iterable[Event]) -> dict[str, set[bytes]]:
    """Return every value that these events of an account gave each of its fields, encoded as it counts for equality."""
    had: dict[str, set[bytes]] = {}
    for event in events:
        for name, value in (event.values or {}).items():
            had.setdefault(name, set()).add(wire.encode(comparable(name, value)))
    return had


def _account_id(text: str) -> bytes | None:
    """Return the account id that a UUID of the own vault file stands for."""
    try:
        account = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return None
    return account if len(account) == 16 else None
