"""The entries of an Aegis file as accounts."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence

from otpkeep_daemon.formats import base32, parameters
from otpkeep_daemon.formats.entry import MAX_ENTRIES, Entry, Parsed, Skipped
from otpkeep_protocol.account import Account, Icon, Otp, check_field
from otpkeep_protocol.account_rules import PINNED
from otpkeep_protocol.errors import Malformed, UnknownVersion

VERSIONS = (1, 2, 3)
"""Of the content: since 3 an entry names its groups by uuid; before, one group by its name."""

_MAPPED = frozenset(
    {"type", "uuid", "name", "issuer", "note", "favorite", "icon", "icon_mime", "group", "groups", "info"}
)
_NO_EDITS = frozenset({"icon_hash", "usage_count", "last_used_timestamp"})
INFO = frozenset({"secret", "algo", "digits", "period", "counter", "pin"})
_MAX_UNMAPPED = 32

_Json = Mapping[str, object]


def read_db(name: str, db: _Json) -> Parsed:
    """Return the accounts of the content `db`, reported as of format `name`.

    Raises UnknownVersion or Malformed if there is no list of entries; an entry that can't be kept is skipped.
    """
    if db.get("version") not in VERSIONS:
        raise UnknownVersion("the content of this Aegis file has an unknown version", "update otpkeep")
    listed = db.get("entries")
    if not isinstance(listed, list) or len(listed) > MAX_ENTRIES:
        raise Malformed("the Aegis file has no list of at most 100,000 entries", "use another copy of the export")
    reader = _Reader(group_names(db.get("groups")))
    for count, item in enumerate(listed, start=1):
        reader.add(f"entry {count}", item)
    return Parsed(name, tuple(reader.entries), tuple(reader.skipped), tuple(sorted(reader.unmapped)))


class _Reader:
    """Collects the entries of one file."""

    def __init__(self, groups: Mapping[str, str]) -> None:
        self.entries: list[Entry] = []
        self.skipped: list[Skipped] = []
        self.unmapped: set[str] = set()
        self._groups = groups
        self._seen: set[str] = set()

    def add(self, label: str, item: object) -> None:
        """Keep the account of `item`, or why there is none."""
        try:
            account = self._account(item)
        except Malformed as problem:
            self.skipped.append(Skipped(label, problem.message))
            return
        self.entries.append(Entry(account, self._identity(item), label))

    def _account(self, item: object) -> Account:
        if not isinstance(item, dict):
            raise Malformed("it is not a JSON object")
        account = Account(
            issuer=_text(item, "issuer"),
            name=_text(item, "name"),
            otp=_otp(item),
            note=_text(item, "note") or None,
            tags=self._tags(item),
            favourite=item.get("favorite") is True,
            icon=self._icon(item),
        )
        for field, value in account.to_fields().items():
            check_field(field, value)
        self._note_unmapped(item)
        return account

    def _identity(self, item: object) -> tuple[str, str] | None:
        """Return ("aegis", uuid), or None without a valid uuid or for a repeated one: ids must not merge."""
        text = item.get("uuid") if isinstance(item, dict) else None
        try:
            found = str(uuid.UUID(text)) if isinstance(text, str) else ""
        except ValueError:
            found = ""
        if not found or found in self._seen:
            return None
        self._seen.add(found)
        return "aegis", found

    def _tags(self, item: _Json) -> tuple[str, ...]:
        """Return the names of an entry's groups, sorted: by uuid since version 3, one by name before."""
        listed = item.get("groups")
        if isinstance(listed, list):
            names: list[object] = [self._groups.get(_lower(group)) for group in listed]
        else:
            names = [item["group"]] if item.get("group") else []
        tags = {name for name in names if isinstance(name, str) and _is_valid("tags", [name])}
        if len(tags) < len(names):
            self.unmapped.add("groups without a usable name")
        return tuple(sorted(tags))

    def _icon(self, item: _Json) -> Icon | None:
        """Return the icon; one that can't be kept is no reason to lose the account."""
        text = item.get("icon")
        if text is None:
            return None
        try:
            data = base64.b64decode(text if isinstance(text, str) else "", validate=True)
        except ValueError:
            data = b""
        mime = item.get("icon_mime") or "image/jpeg"
        if not data or not _is_valid("icon", {"mime": mime, "data": data}):
            self.unmapped.add("icons that are broken or too large")
            return None
        return Icon(str(mime), data)

    def _note_unmapped(self, item: _Json) -> None:
        info = item.get("info")
        unknown = {key for key in item.keys() - _MAPPED - _NO_EDITS if item[key]}
        unknown |= {f"info.{key}" for key in info.keys() - INFO} if isinstance(info, dict) else set()
        for key in sorted(unknown):
            if len(self.unmapped) < _MAX_UNMAPPED:
                self.unmapped.add(parameters.shown(key.removeprefix("info.")))


def _otp(item: _Json) -> Otp:
    info = item.get("info")
    if not isinstance(info, dict):
        raise Malformed("it has no info")
    kind, secret, algo, pin = item.get("type"), info.get("secret"), info.get("algo"), info.get("pin")
    if not isinstance(kind, str) or not isinstance(secret, str):
        raise Malformed("its type or secret is missing")
    if not isinstance(algo, str):
        raise Malformed("its algorithm is missing")
    if kind in PINNED and (not isinstance(pin, str) or not pin):
        raise Malformed("its PIN is missing, without which there are no codes")
    timed = kind != "hotp"
    return parameters.make(
        kind,
        base32.decode(secret),
        parameters.algorithm(algo),
        _int(info, "digits"),
        _int(info, "period") if timed else None,
        counter=None if timed else _int(info, "counter"),
        pin=str(pin) if kind in PINNED else None,
    )


def group_names(groups: object) -> dict[str, str]:
    """Return group uuid in lower case -> name."""
    listed: Sequence[object] = groups if isinstance(groups, list) else ()
    pairs = [(group.get("uuid"), group.get("name")) for group in listed if isinstance(group, dict)]
    return {_lower(key): name for key, name in pairs if isinstance(key, str) and isinstance(name, str)}


def _lower(value: object) -> str:
    return value.lower() if isinstance(value, str) else ""


def _text(item: _Json, key: str) -> str:
    """Return a text of an entry, "" for null; raises Malformed for anything else."""
    value = item.get(key)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"its {key} is not text")
    return value or ""


def _int(info: _Json, key: str) -> int:
    value = info.get(key)
    if type(value) is not int:
        raise Malformed(f"its {key} is not a number: {parameters.shown(value)}")
    return value


def _is_valid(field: str, value: object) -> bool:
    try:
        check_field(field, value)
    except Malformed:
        return False
    return True
