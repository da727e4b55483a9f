"""Time travel: the vault as it was, what changed since, undo and restore.

Nothing here rewrites history: undo and restore append events. A placeholder's secret is in no event, so it can be
neither looked back at nor put back; what would only do that is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from otpkeep_daemon import rows
from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.pointing import find_event
from otpkeep_protocol import undo as undoing
from otpkeep_protocol import wire
from otpkeep_protocol.account import Otp
from otpkeep_protocol.comparing import Pair, between, compare, restoring
from otpkeep_protocol.errors import NotFound, Refused
from otpkeep_protocol.events import Draft, Event
from otpkeep_protocol.moments import Moment, as_of_event, as_of_time
from otpkeep_protocol.undone import undoable, undoes, undone

At = int | str
"""A time in ms since 1970, or the name of an event."""
KEPT = "the secret of this placeholder stays as it is: it is kept on its device alone and without a history"


def moment(accounts: Accounts, at: At) -> Moment:
    """Return the vault as it was at a time or right after an event; reads all events once."""
    archive, forks = accounts.replica.archive, accounts.replica.chains.forks
    if isinstance(at, int):
        return as_of_time(archive.events(), at, forks)
    return as_of_event(archive.events(), find_event(archive, at), forks)


def diff(accounts: Accounts, old: At, new: At | None) -> dict[str, Any]:
    """Return what lies between two moments, or between one and now: {added, removed, changed}."""
    before = moment(accounts, old).state
    after = accounts.replica.state if new is None else moment(accounts, new).state
    names = accounts.names()
    found: dict[str, Any] = {"added": [], "removed": [], "changed": []}
    for pair in compare(before, after):
        if pair.added and pair.new is not None:
            found["added"].append(accounts.row(pair.new, names, secrets=False, past=True))
        elif pair.removed and pair.old is not None:
            found["removed"].append(accounts.row(pair.old, names, secrets=False, past=True))
        elif pair.changed:
            found["changed"].append(_changed(pair, rows.differences(pair)))
    return found


def _changed(pair: Pair, changes: Mapping[str, Any]) -> dict[str, Any]:
    assert pair.new is not None
    values = pair.new.values
    names = {"issuer": values.get("issuer", ""), "name": values.get("name", "")}
    return {"id": pair.account.hex(), **names, "changes": changes}


@dataclass(slots=True)
class Writing:
    """What an undo or restore writes: drafts, the placeholders' secrets to keep beside them, what stays as it is."""

    drafts: list[Draft] = field(default_factory=list)
    secrets: dict[bytes, bytes | None] = field(default_factory=dict, repr=False)
    left_out: list[dict[str, str]] = field(default_factory=list)

    def add(self, draft: Draft, secrets: Mapping[bytes, bytes | None]) -> None:
        """Take in a draft and the local secrets that go with it."""
        self.drafts.append(draft)
        self.secrets |= secrets

    def leave_out(self, account: bytes, reason: str) -> None:
        """Note that something of an account stays as it is."""
        self.left_out.append({"id": account.hex(), "reason": reason})


# undo


def chosen(accounts: Accounts, name: str | None) -> Event:
    """Return the event of that name, else this device's newest that is neither an undo nor undone."""
    return _newest_own(accounts) if name is None else find_event(accounts.replica.archive, name)


def undoing_one(accounts: Accounts, target: Event, *, force: bool) -> tuple[bytes, Writing]:
    """Return the account of an event and what undoes it; nothing if it was undone already.

    Refused as `otpkeep_protocol.undo` says, or where a placeholder's secret is in the way.
    """
    replica = accounts.replica
    log = [target] if target.account is None else list(replica.archive.log(target.account))
    draft = undoing.undo(log, target, replica.chains.forks, force=force)
    assert target.account is not None
    made = Writing()
    if draft is not None:
        made.add(draft, _secrets(accounts, draft))
        if undoing.hides_secret(target, draft.values):
            made.leave_out(target.account, KEPT)
    return target.account, made


def _newest_own(accounts: Accounts) -> Event:
    replica = accounts.replica
    writers = {w for w, device in replica.store.writers().items() if device == replica.keys.author.device}
    gone: dict[bytes, frozenset[bytes]] = {}
    for event in replica.archive.log():
        if event.dot.writer not in writers or not undoable(event) or undoes(event) is not None:
            continue
        assert event.account is not None
        if event.account not in gone:
            gone[event.account] = undone(replica.archive.log(event.account))
        if event.hash not in gone[event.account]:
            return event
    raise NotFound("this device made no event that could still be undone", "Name one: otpkeep undo EVENT.")


# restore


def restoring_one(accounts: Accounts, text: str, at: At) -> tuple[bytes, Writing]:
    """Return the account that `text` means, deleted ones included, and what brings it back to a moment.

    NotFound if it was not there yet; Refused if something of it can't be put back.
    """
    account = accounts.find(text, deleted=True).account
    then = moment(accounts, at)
    pair = between(account, then.state, accounts.replica.state)
    if pair.old is None:
        raise NotFound("this account did not exist at that moment; nothing was changed", "`otpkeep rm` removes it.")
    made = Writing()
    _restore(accounts, pair, then, made)
    return account, made


def restoring_all(accounts: Accounts, at: At) -> Writing:
    """Return what brings every account back to a moment; what can't be put back is left out, with the reason."""
    return restoring_all_to(accounts, moment(accounts, at))


def restoring_all_to(accounts: Accounts, then: Moment) -> Writing:
    """Return what brings every account back to a moment that is known already."""
    made = Writing()
    for pair in compare(then.state, accounts.replica.state):
        try:
            _restore(accounts, pair, then, made)
        except Refused as refusal:
            made.leave_out(pair.account, refusal.message)
    return made


def preview(accounts: Accounts, made: Writing) -> dict[str, Any]:
    """Return what a restore would change, as `diff` does."""
    found: dict[str, Any] = {"added": [], "removed": [], "changed": []}
    names = accounts.names()
    for draft in made.drafts:
        assert draft.account is not None
        shown = accounts.view(draft.account)
        if draft.alive is False:
            found["removed"].append(accounts.row(shown, names, secrets=False))
        elif shown.deleted:
            values = {name: v for name, v in {**shown.values, **draft.values}.items() if v is not None}
            back = replace(shown, deleted=False, values=values, conflicts={}, unknown=())
            found["added"].append(accounts.row(back, names, secrets=False, past=True))
        else:
            pair = Pair(draft.account, shown, shown)
            found["changed"].append(_changed(pair, rows.written(draft.values, shown)))
    return found


def _restore(accounts: Accounts, pair: Pair, then: Moment, made: Writing) -> None:
    """Add to `made` what brings one account back. Refused if that can't be put back."""
    draft = restoring(pair, accounts.replica.state)
    renewed = _renewed_locally(accounts, pair, then)
    if draft is not None:
        made.add(draft, _secrets(accounts, draft))
        if renewed:
            made.leave_out(pair.account, KEPT)
    elif renewed:
        raise undoing.no_local_history("what changed since then is")


def _renewed_locally(accounts: Accounts, pair: Pair, then: Moment) -> bool:
    """Tell whether an event after `then` set up anew the secret of what is a placeholder then and now."""
    otp = pair.old.values.get("otp") if pair.old is not None else None
    if not isinstance(otp, dict) or otp.get("placeholder") != "secret" or pair.new is None or pair.new.deleted:
        return False
    log = list(accounts.replica.archive.log(pair.account))
    gone = undone(log)
    since = [e for e in log if not then.has(e) and e.hash not in gone and undoes(e) is None]
    return any(e.values is not None and e.values.get("otp") == otp for e in since)


# placeholders


def _secrets(accounts: Accounts, draft: Draft) -> dict[bytes, bytes | None]:
    """Return the local secret to keep with a draft; Refused if the draft would publish or un-hide a secret."""
    assert draft.account is not None
    shown = accounts.view(draft.account)
    otp = draft.values.get("otp", shown.values.get("otp")) or {}
    revived = draft.alive is True and shown.deleted
    if "otp" not in draft.values and not revived:
        return {}
    if "secret" in otp:
        accounts.guard(otp["secret"], draft.account)
        return {}
    local = accounts.replica.local_secret(draft.account)
    if local is None or otp.get("placeholder") != "secret":
        return {}
    return _adapted(accounts, draft.account, Otp.from_wire(wire.unpack(local)), otp)


def _adapted(accounts: Accounts, account: bytes, here: Otp, marker: Mapping[str, Any]) -> dict[bytes, bytes | None]:
    """Return the secret that this device keeps, with the digits, period and algorithm that its marker says now."""
    accounts.guard_published(here.secret, account)
    if here.type != marker["type"]:
        raise undoing.no_local_history(f"putting account {account.hex()[:6]} back needs another kind of")
    new = replace(here, **{key: marker[key] for key in ("algorithm", "digits", "period") if key in marker})
    return {} if new == here else {account: wire.encode(new.to_wire())}
