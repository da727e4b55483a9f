"""The use cases of accounts: find, add, edit, remove, code, list, log. Each edit is one event."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from otpkeep_daemon import rows
from otpkeep_daemon.finding import ID_DIGITS, Finder
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.rows import Names
from otpkeep_protocol import history, wire
from otpkeep_protocol.account import Otp, check_field
from otpkeep_protocol.errors import Malformed, Refused, Usage
from otpkeep_protocol.events import Draft, Event
from otpkeep_protocol.ids import sha256
from otpkeep_protocol.moments import Moment
from otpkeep_protocol.otp import code, window
from otpkeep_protocol.state import same
from otpkeep_protocol.undo import only_arranges
from otpkeep_protocol.view import View, exists, is_account, view, views


class Accounts:
    """The accounts of one replica. Answers are plain rows; callers hold the service's lock."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._views: list[View] = []
        self._version = -1
        self._finder = (-1, Finder([]))
        self._digests: tuple[int, dict[bytes, bytes]] | None = None

    # finding

    def views(self) -> list[View]:
        """Return all accounts, living and deleted, in the order that people see."""
        if self._version != self.replica.version:
            self._views = views(self.replica.state)
            self._version = self.replica.version
        return self._views

    def names(self) -> Names:
        """Return what devices are called."""
        return Names(self.replica.state, self.replica.store.writers())

    def view(self, account: bytes) -> View:
        """Return one account by id. KeyError if nothing is known of it."""
        return view(account, self.replica.state.subjects[account])

    def find(self, text: str, *, deleted: bool = False) -> View:
        """Return the living account that `text` means, or if asked any account; see `finding`."""
        if self._finder[0] != self.replica.version:
            self._finder = (self.replica.version, Finder(self.views()))
        return self._finder[1].find(text, deleted=deleted)

    # reading

    def rows(self, *, tag: str | None, deleted: bool, secrets: bool, at: Moment | None = None) -> list[dict[str, Any]]:
        """Return accounts as `list` prints them, all or those with a tag; the deleted ones instead if asked."""
        names = self.names()
        everyone = self.views() if at is None else views(at.state)
        chosen = [v for v in everyone if v.deleted == deleted and (tag is None or tag in v.values.get("tags", []))]
        return [self.row(shown, names, secrets=secrets, past=at is not None) for shown in chosen]

    def show(self, text: str, *, secrets: bool, at: Moment | None = None) -> dict[str, Any]:
        """Return one account with its history up to then, newest first."""
        shown = self.find(text) if at is None else Finder(views(at.state)).find(text)
        names = self.names()
        log = self.replica.archive.log(shown.account, newest=False)
        entries = history.annotate([e for e in log if at is None or at.has(e)], self.replica.chains.forks)
        row = self.row(shown, names, secrets=secrets, past=at is not None)
        return row | {"history": [rows.log_row(entry, shown, names) for entry in reversed(entries)]}

    def row(self, shown: View, names: Names, *, secrets: bool, past: bool = False) -> dict[str, Any]:
        """Return one account as `list` prints it; of the `past`, a secret that never had a history is not shown."""
        otp = self.otp(shown)
        ready = otp is not None
        if otp is not None and self.is_placeholder(shown):
            otp = None if past else otp
            shown = replace(shown, counter=otp.counter if otp is not None else None)
        secret = (otp.to_wire() if otp is not None else {}) if secrets else None
        return rows.account_row(shown, names, ready=ready, secret=secret)

    def otp(self, shown: View) -> Otp | None:
        """Return what makes this account's codes here, with its present counter; None if it must be set up again."""
        if self.is_placeholder(shown):
            local = self.replica.local_secret(shown.account)
            return None if local is None else Otp.from_wire(wire.unpack(local))
        value = shown.values.get("otp")
        if value is None:
            return None
        return Otp.from_wire({**value, "counter": shown.counter} if shown.counter is not None else value)

    def is_placeholder(self, shown: View) -> bool:
        """Tell whether the account's secret must never leave a device."""
        return "placeholder" in (shown.values.get("otp") or {})

    def code(self, text: str, *, at: float, peek: bool) -> dict[str, Any]:
        """Return a code. A HOTP use is durable before its code is; `peek` shows the next code without using it."""
        shown = self.find(text)
        otp = self.otp(shown)
        if otp is None:
            raise Refused(
                f"account {shown.account.hex()[:ID_DIGITS]} must be set up again here: its secret is on another device",
                "Enrol it at its site, then `otpkeep edit ACCOUNT --secret-file -`.",
            )
        row = {
            "id": shown.account.hex(),
            "issuer": shown.values.get("issuer", ""),
            "name": shown.values.get("name", ""),
        }
        if otp.type == "hotp":
            if not peek:
                self._use(shown, otp)
            return row | {"code": code(otp, at, otp.counter), "counter": otp.counter}
        start, end = window(otp, at)
        moments = {"valid_from": rows.timestamp(start * 1000), "valid_until": rows.timestamp(end * 1000)}
        return row | {"code": code(otp, at), **moments}

    def _use(self, shown: View, otp: Otp) -> None:
        assert otp.counter is not None
        used = replace(otp, counter=otp.counter + 1)
        if self.is_placeholder(shown):
            with self.replica.store.transaction():
                self.replica.keep_locals({shown.account: wire.encode(used.to_wire())})
            return
        counter = [otp.counter_key, used.counter]
        self.replica.commit([Draft("account.use", shown.account, extra={"counter": counter})])

    # edits

    def add(self, fields: Mapping[str, Any], *, placeholder: bool) -> tuple[bytes, Event]:
        """Record a new account of these wire values. Return its id and event."""
        account = self.replica.around.random(16)
        draft, secrets = self.draft_add(account, fields, placeholder=placeholder, weak=False)
        return account, self.replica.commit([draft], secrets)[-1]

    def draft_add(
        self, account: bytes, fields: Mapping[str, Any], *, placeholder: bool, weak: bool
    ) -> tuple[Draft, dict[bytes, bytes | None]]:
        """Return the draft that adds an account, and the local secrets to keep with it."""
        values = {name: value for name, value in fields.items() if value not in ("", None, [])}
        if "otp" not in values:
            raise Usage("an account needs a secret", "Give an otpauth:// URI or --secret-file.")
        otp = Otp.from_wire(values["otp"])
        secrets: dict[bytes, bytes | None] = {}
        if placeholder:
            self.guard_published(otp.secret)
            values["otp"] = otp.as_placeholder().to_wire()
            secrets[account] = wire.encode(otp.to_wire())
        else:
            self.guard(otp.secret)
        return Draft("account.add", account, alive=True, weak=weak, values=values), secrets

    def guard(self, secret: bytes, account: bytes | None = None) -> None:
        """Raise Refused if `secret` is that of a living placeholder here: no other way may lead it into an event."""
        for other, digest in self._local_digests().items():
            if other != account and hmac.compare_digest(digest, sha256(secret)):
                raise Refused(
                    f"this secret belongs to placeholder {other.hex()[:ID_DIGITS]}, which must not leave this device",
                    "Remove the placeholder first if the secret may be backed up after all.",
                )

    def guard_published(self, secret: bytes, account: bytes | None = None) -> None:
        """Raise Refused if `secret` was backed up by another account, living or deleted: no placeholder can hide it."""
        for shown in self.views():
            otp = shown.values.get("otp") or {}
            if shown.account != account and "secret" in otp and hmac.compare_digest(otp["secret"], secret):
                raise Refused(
                    f"the secret was backed up already, by account {shown.account.hex()[:ID_DIGITS]}",
                    "Have the site give you a new secret for the placeholder.",
                )

    def placeholder_digests(self) -> set[bytes]:
        """Return a digest (SHA-256) of each secret that must not leave this device."""
        return set(self._local_digests().values())

    def _local_digests(self) -> dict[bytes, bytes]:
        """Return a digest of the secret of each living placeholder that this device enrolled."""
        if self._digests is None or self._digests[0] != self.replica.secrets_version:
            secrets = {a: Otp.from_wire(wire.unpack(local)).secret for a, local in self.replica.local_secrets().items()}
            self._digests = (self.replica.secrets_version, {a: sha256(secret) for a, secret in secrets.items()})
        subjects = self.replica.state.subjects
        return {a: digest for a, digest in self._digests[1].items() if a in subjects and exists(subjects[a])}

    def edit(
        self, text: str, fields: Mapping[str, Any], otp: Mapping[str, Any], *, placeholder: bool
    ) -> tuple[bytes, Event | None]:
        """Change an account. Return its id and the event, None if everything was so already."""
        shown = self.find(text)
        values = {name: None if value in ("", []) else value for name, value in fields.items()}
        secrets: dict[bytes, bytes | None] = {}
        if otp or placeholder:
            values["otp"], secrets = self._edited_otp(shown, otp, placeholder=placeholder)
        for name, value in values.items():
            check_field(name, value)
        changed = {n: v for n, v in values.items() if n in shown.conflicts or self._differs(shown, n, v)}
        if any(self.replica.local_secret(account) != secret for account, secret in secrets.items()):
            changed["otp"] = values["otp"]
        if not changed:
            return shown.account, None
        draft = edit_draft(shown.account, changed)
        return shown.account, self.replica.commit([draft], secrets)[-1]

    def _differs(self, shown: View, name: str, value: Any) -> bool:
        if not same(shown.values, name, value):
            return True
        if name != "otp" or value is None or "counter" not in value:
            return False
        return (value["counter_key"], value["counter"]) != (shown.values["otp"]["counter_key"], shown.counter)

    def _edited_otp(
        self, shown: View, changes: Mapping[str, Any], *, placeholder: bool
    ) -> tuple[dict[str, Any], dict[bytes, bytes | None]]:
        """Return the new otp value for the event, and the local secret if the account is a placeholder."""
        old = self.otp(shown)
        if old is None and "secret" not in changes:
            raise Refused(
                f"account {shown.account.hex()[:ID_DIGITS]} has no secret on this device",
                "Give one with --secret-file.",
            )
        new = self._merge(old, changes, shown.values.get("otp") or {})
        if placeholder or self.is_placeholder(shown):
            self.guard_published(new.secret, shown.account)
            return new.as_placeholder().to_wire(), {shown.account: wire.encode(new.to_wire())}
        self.guard(new.secret, shown.account)
        return new.to_wire(), {}

    def _merge(self, old: Otp | None, changes: Mapping[str, Any], marker: Mapping[str, Any]) -> Otp:
        """Return `old` with `changes`; a new secret starts its own counter, and a lowered counter a new one."""
        if old is None:
            base = {key: marker[key] for key in ("type", "algorithm", "digits", "period") if key in marker}
            return _make(**{**base, **changes})
        kind = changes.get("type", old.type)
        base = {"type": kind, "secret": old.secret}
        if kind == old.type:
            base |= {"algorithm": old.algorithm, "digits": old.digits, "period": old.period, "pin": old.pin}
        new = _make(**{**base, **{key: value for key, value in changes.items() if key != "counter"}})
        if new.type != "hotp":
            if "counter" in changes:
                raise Malformed("only HOTP accounts have a counter")
            return new
        if old.type != "hotp" or new.secret != old.secret:
            return replace(new, counter=changes.get("counter", 0))
        counter, key = changes.get("counter", old.counter), old.counter_key
        assert old.counter is not None
        if counter < old.counter:
            key = self.replica.around.random(16)
        return replace(new, counter=counter, counter_key=key)

    def remove(self, text: str) -> tuple[bytes, Event]:
        """Record that an account is deleted. Its secret stays in the history."""
        account = self.find(text).account
        return account, self.replica.commit([Draft("account.delete", account, alive=False)])[-1]


def edit_draft(account: bytes, values: Mapping[str, Any]) -> Draft:
    """Return the draft of an edit; what only arranges accounts does not give life (SPEC §6)."""
    alive = None if only_arranges(values) else True
    return Draft("account.edit", account, alive=alive, values=values)


def _make(**parameters: Any) -> Otp:
    kind, secret = parameters.pop("type", "totp"), parameters.pop("secret")
    return Otp.make(kind, secret, **{key: value for key, value in parameters.items() if value is not None})


def account_of(event: Event, replica: Replica) -> View | None:
    """Return the account that an event is about, None for events of devices and keys."""
    subject = replica.state.subjects.get(event.account) if event.account is not None else None
    if event.account is None or subject is None or not is_account(subject):
        return None
    return view(event.account, subject)
