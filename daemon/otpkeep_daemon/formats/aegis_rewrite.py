"""Changing single entries of an Aegis file: whatever else the file holds, known or not, stays as it is."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from otpkeep_daemon.formats.aegis_entries import INFO, group_names
from otpkeep_daemon.formats.aegis_export import CONTENT_VERSION, MIMES, group_uuid, new_entry
from otpkeep_daemon.formats.entry import Rewrite
from otpkeep_protocol.account import Account
from otpkeep_protocol.errors import Malformed

_ICON = ("icon", "icon_mime", "icon_hash")


def rewrite_db(db: Mapping[str, object], change: Rewrite) -> dict[str, object]:
    """Return the content with `change` made, entries in their order and new ones at the end.

    The accounts must be ones that Aegis can hold. Malformed if there is no list of entries.
    """
    listed = db.get("entries")
    if not isinstance(listed, list):
        raise Malformed("the Aegis file has no list of entries")
    groups = _Groups(db)
    entries: list[object] = []
    for count, item in enumerate(listed, start=1):
        label = f"entry {count}"
        if label in change.changed:
            entries.append(_changed(item, *change.changed[label], groups, own_id=change.own_ids))
        elif label not in change.removed:
            entries.append(item)
    for account_id, account in change.added:
        entries.append({**new_entry(account_id, account), **groups.of(account, {})})
    return {**db, "entries": entries, **groups.content()}


class _Groups:
    """The groups of a file, by name; those that are missing are made."""

    def __init__(self, db: Mapping[str, object]) -> None:
        self._listed = db.get("groups")
        self._by_uuid = db.get("version") == CONTENT_VERSION
        self._names = group_names(self._listed)
        self._uuids = {name: key for key, name in self._names.items()}
        self._made: list[dict[str, object]] = []

    def of(self, account: Account, item: Mapping[str, object]) -> dict[str, object]:
        """Return the keys that put an entry into the groups of its tags; groups without a name it keeps.

        Before version 3 an entry had one group, by its name.
        """
        if not self._by_uuid:
            return {"group": account.tags[0] if account.tags else None}
        before = item.get("groups")
        listed = before if isinstance(before, list) else []
        nameless = [key for key in listed if not isinstance(key, str) or key.lower() not in self._names]
        return {"groups": [*nameless, *(self._uuid(tag) for tag in account.tags)]}

    def _uuid(self, tag: str) -> str:
        if tag not in self._uuids:
            self._uuids[tag] = group_uuid(tag)
            self._made.append({"uuid": self._uuids[tag], "name": tag})
        return self._uuids[tag]

    def content(self) -> dict[str, object]:
        """Return the list of groups as a key of the content, nothing if it is as it was."""
        if not self._made:
            return {}
        return {"groups": [*(self._listed if isinstance(self._listed, list) else []), *self._made]}


def _changed(item: object, account_id: bytes, account: Account, groups: _Groups, *, own_id: bool) -> dict[str, object]:
    """Return an entry with the values of `account` in the place of those that an account has."""
    old = item if isinstance(item, dict) else {}
    fresh = new_entry(account_id, account)
    info, info_before = fresh["info"], old.get("info")
    assert isinstance(info, dict)
    extra = {k: v for k, v in info_before.items() if k not in INFO} if isinstance(info_before, dict) else {}
    kept = _ICON if account.icon is not None and account.icon.mime not in MIMES else ()
    entry = {key: value for key, value in old.items() if key in kept or key not in _ICON}
    entry |= {key: value for key, value in fresh.items() if key not in (*kept, "uuid", "groups", "info")}
    entry["info"] = {**extra, **info}
    if own_id or "uuid" not in old:
        entry["uuid"] = str(uuid.UUID(bytes=account_id))
    return entry | groups.of(account, old)
