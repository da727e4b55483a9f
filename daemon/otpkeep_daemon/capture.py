"""What the change of a watched file means: pure decisions, no file and no store.

A file is compared with what this very file last held, never with the merged state: what came from elsewhere and is not
in the file yet would look like deletes, and what it never held can't be missing from it.

    before (held) × now (read) ──compare──▶ Changes ──decide × living accounts──▶ drafts, or a reason to hold
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from otpkeep_daemon.accounts import edit_draft
from otpkeep_protocol import wire
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import Dot, sha256
from otpkeep_protocol.state import LIVE, comparable, same
from otpkeep_protocol.view import View

MOST_DELETES = 3
"""More accounts than these never go in one look without being asked for."""
PAST = 64
"""How many older contents of a file are remembered."""
FLIPS = 3
FLIP_WINDOW_MS = 3_600_000

MASS, EMPTY, OLDER, FLIPPING = "mass-delete", "empty", "older", "flipping"
UNREADABLE, KEY, FORMAT = "unreadable", "another-key", "another-format"
CUT = "cut-short"
DELETED, SKIPPED = "deleted-here", "unread-entries"

Identity = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a file: where it stands, its own id if the format has one, its wire fields as they were read.

    `account` is what it became here; None while nothing here stands for it.
    """

    label: str
    identity: Identity | None
    fields: Mapping[str, Any] = field(repr=False)
    account: bytes | None = None


@dataclass(frozen=True, slots=True)
class Flip:
    """A field that the file changed: when (ms), which of which account, and the change and its reverse (digests)."""

    wall: int
    place: bytes
    change: bytes
    back: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """What a file last held, and how many entries could not be read; `past` digests its contents, newest last.

    `ended` is whether its last line had an end, as `Parsed` has it.
    """

    items: tuple[Item, ...] = ()
    skipped: int = 0
    past: tuple[bytes, ...] = ()
    flips: tuple[Flip, ...] = ()
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Changes:
    """How two contents of a file differ: pairs of entries that are one, those that went, those that came."""

    pairs: tuple[tuple[Item, Item], ...]
    gone: tuple[Item, ...]
    fresh: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Here:
    """What this device knows: its accounts, which of them are placeholders, and questions about their past.

    `had(account)` are all values that each field ever had, encoded; `had_elsewhere` those that other devices gave it.
    `writes(account, registers)` are the events of other devices that these registers show. `is_behind(item)` tells
    whether a file that otpkeep writes has not been given yet what the account of this entry is now.
    """

    views: Mapping[bytes, View]
    placeholders: frozenset[bytes]
    had: Callable[[bytes], Mapping[str, set[bytes]]]
    had_elsewhere: Callable[[bytes], Mapping[str, set[bytes]]]
    writes: Callable[[bytes, Collection[str]], tuple[Dot, ...]]
    is_behind: Callable[[Item], bool]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a change does: `drafts` for entries known before; `fresh` ones are an import's to place.

    `reason` says why it must wait for a person; then nothing of it is done. `items` is what the file holds now.
    """

    drafts: tuple[Draft, ...]
    fresh: tuple[Item, ...]
    items: tuple[Item, ...]
    flips: tuple[Flip, ...] = ()
    reason: str | None = None

    @property
    def edited(self) -> list[bytes]:
        """Accounts that it would change."""
        return [d.account for d in self.drafts if d.account is not None and d.kind != "account.delete"]

    @property
    def deleted(self) -> list[bytes]:
        """Accounts that it would delete."""
        return [d.account for d in self.drafts if d.account is not None and d.kind == "account.delete"]


def compare(before: Sequence[Item], now: Sequence[Item]) -> Changes:
    """Return how `now` differs from `before`. Order is no difference.

    Entries are one by the format's own identity, else by a secret that is unique in both, else by secret, issuer and
    name, else by secret and name: so a renamed account is an edit.
    """
    pairs: list[tuple[Item, Item]] = []
    old, new = list(before), list(now)
    unique = _unique_secrets(before) & _unique_secrets(now)
    keys: tuple[Callable[[Item], object], ...] = (
        lambda item: item.identity,
        lambda item: secret if (secret := secret_of(item)) in unique else None,
        lambda item: (secret_of(item), item.fields.get("issuer"), item.fields.get("name")),
        lambda item: (secret_of(item), item.fields.get("name")),
    )
    for key in keys:
        found = list(_pair(old, new, key))
        pairs += found
        taken = {id(item) for pair in found for item in pair}
        old = [item for item in old if id(item) not in taken]
        new = [item for item in new if id(item) not in taken]
    return Changes(tuple(pairs), tuple(old), tuple(new))


def _pair(old: Sequence[Item], new: Sequence[Item], key: Callable[[Item], object]) -> Iterable[tuple[Item, Item]]:
    waiting: dict[object, list[Item]] = {}
    for item in old:
        waiting.setdefault(key(item), []).append(item)
    for item in new:
        found = key(item)
        if found is not None and waiting.get(found):
            yield waiting[found].pop(0), item


def secret_of(item: Item) -> bytes:
    """Return a digest of an entry's secret."""
    return sha256(item.fields["otp"].get("secret", b""))


def _unique_secrets(items: Sequence[Item]) -> set[bytes]:
    digests = [secret_of(item) for item in items]
    return {digest for digest, times in Counter(digests).items() if times == 1}


def digest_of(items: Iterable[Item]) -> bytes:
    """Return a digest of a content, in which neither order nor counters count."""
    rows = [
        [list(i.identity or ()), {name: comparable(name, value) for name, value in i.fields.items()}] for i in items
    ]
    return sha256(b"".join(sorted(wire.encode(row) for row in rows)))


def decide(
    held: Held,
    now: Sequence[Item],
    here: Here,
    *,
    skipped: int = 0,
    concurrent: bool = False,
    wall: int = 0,
    accepted: bool = False,
    ended: bool = True,
) -> Decision:
    """Return what the new content `now` of a file does, or why it must wait.

    With `concurrent` it is another version beside the held one (a conflict copy is there): then absence deletes
    nothing, and only values that the account never had count. `accepted` is a person's word that nothing need wait.
    `skipped` and `ended` are of the new content, as in Held.
    """
    changes = compare(held.items, now)
    flips: list[Flip] = []
    drafts: list[Draft] = []
    kept = {before.account for before, _ in changes.pairs}
    for before, after in changes.pairs:
        drafts += _edit(before, after, here, flips, concurrent=concurrent, wall=wall)
    if not concurrent:
        drafts += [_delete(item, here) for item in _leaving(changes.gone, kept, here)]
    items = tuple(replace(after, account=before.account) for before, after in changes.pairs)
    recent = _recent(held.flips, flips, wall)
    made = Decision(tuple(drafts), changes.fresh, items, (*recent, *flips))
    reason = None if accepted else _reason(held, now, made, changes=changes, flips=flips, skipped=skipped, ended=ended)
    return replace(made, reason=reason)


def _leaving(gone: Sequence[Item], kept: set[bytes | None], here: Here) -> list[Item]:
    """Return the entries whose absence deletes: of living accounts that no other entry stands for."""
    found: dict[bytes, Item] = {}
    for item in gone:
        shown = here.views.get(item.account) if item.account is not None else None
        if shown is not None and not shown.deleted and item.account not in kept | here.placeholders:
            found[shown.account] = item
    return list(found.values())


def _delete(item: Item, here: Here) -> Draft:
    """Return the draft of a delete; by somebody who could not see another device's edit, that edit beats it."""
    assert item.account is not None
    unseen = here.writes(item.account, (LIVE,)) if here.is_behind(item) else ()
    return Draft("account.delete", item.account, alive=False, unseen=unseen)


def _edit(before: Item, after: Item, here: Here, flips: list[Flip], *, concurrent: bool, wall: int) -> list[Draft]:
    """Return the drafts of what the file changed in one entry; what the account has already is no news."""
    account = before.account
    shown = here.views.get(account) if account is not None else None
    if account is None or shown is None or account in here.placeholders:
        return []
    changed = {
        name: after.fields.get(name)
        for name in {*before.fields, *after.fields}
        if not same(before.fields, name, after.fields.get(name))
    }
    news = {n: v for n, v in changed.items() if _is_news(shown, n, before, v, here, concurrent=concurrent)}
    flips += [_flip(wall, account, name, before.fields.get(name), value) for name, value in news.items()]
    if "otp" in news:
        news["otp"] = _counted(news["otp"], shown)
    unseen = here.writes(account, _gone_on(shown, before, news))
    drafts = [replace(edit_draft(account, news), unseen=unseen)] if news else []
    return drafts if "otp" in news else [*drafts, *_raised(before, after, shown)]


def _gone_on(shown: View, before: Item, news: Mapping[str, Any]) -> list[str]:
    """Return the fields that have gone on to another value than the file held, or holds: nobody saw it there."""
    if shown.deleted:
        return []
    values = (news, before.fields)
    return [name for name in news if not any(same(shown.values, name, known.get(name)) for known in values)]


def _is_news(shown: View, name: str, before: Item, value: Any, here: Here, *, concurrent: bool) -> bool:
    """Tell whether a value that the file changed is one that the account must take.

    Where the account has gone on meanwhile, a value that another device gave it once is late news of that edit: two
    devices that watch one synced file would else undo each other.
    """
    if concurrent:
        return value is not None and _encoded(name, value) not in here.had(shown.account).get(name, set())
    if shown.deleted:
        return True
    if same(shown.values, name, value):
        return name in shown.conflicts
    if same(shown.values, name, before.fields.get(name)):
        return True
    return _encoded(name, value) not in here.had_elsewhere(shown.account).get(name, set())


def _encoded(name: str, value: Any) -> bytes:
    return wire.encode(comparable(name, value))


def _counted(otp: Any, shown: View) -> dict[str, Any]:
    """Return an otp with the counter that this account has reached with the same secret: it is only raised."""
    old = shown.values.get("otp") or {}
    if "counter" not in otp or shown.counter is None or old.get("secret") != otp["secret"]:
        return dict(otp)
    if old["counter_key"] != otp["counter_key"]:  # it was reset on purpose since
        return {**otp, "counter": shown.counter, "counter_key": old["counter_key"]}
    return {**otp, "counter": max(otp["counter"], shown.counter)}


def _raised(before: Item, after: Item, shown: View) -> list[Draft]:
    """Return the use that a raised counter in the file stands for."""
    old, new, here = before.fields["otp"], after.fields["otp"], shown.values.get("otp") or {}
    if shown.deleted or shown.counter is None or "counter" not in new or here.get("secret") != new["secret"]:
        return []
    if new["counter"] <= max(shown.counter, old.get("counter", 0)) or here["counter_key"] != new["counter_key"]:
        return []
    return [Draft("account.use", shown.account, extra={"counter": [here["counter_key"], new["counter"]]})]


def _flip(wall: int, account: bytes, name: str, old: Any, new: Any) -> Flip:
    one, other = _encoded(name, old), _encoded(name, new)
    return Flip(wall, sha256(account, name.encode()), sha256(one, b"\0", other), sha256(other, b"\0", one))


def _recent(flips: Sequence[Flip], now: Sequence[Flip], wall: int) -> list[Flip]:
    """Return the flips of the last hour, less those that this very program takes back: that is one hand, not two."""
    taken_back = {(flip.place, flip.back) for flip in now}
    recent = [flip for flip in flips if abs(wall - flip.wall) <= FLIP_WINDOW_MS]
    return [flip for flip in recent if (flip.place, flip.change) not in taken_back]


def _reason(
    held: Held,
    now: Sequence[Item],
    made: Decision,
    *,
    changes: Changes,
    flips: Sequence[Flip],
    skipped: int,
    ended: bool,
) -> str | None:
    """Return why this must wait for a person, None if it need not."""
    if held.items and not now:
        return EMPTY
    if made.deleted and skipped > held.skipped:
        return SKIPPED
    if len(made.deleted) > MOST_DELETES:
        return MASS
    if digest_of(now) in held.past[:-1] and len(made.drafts) + len(changes.fresh) > 1:
        return OLDER
    for flip in flips:
        same_before = [f for f in made.flips if (f.place, f.change) == (flip.place, flip.change)]
        if len(same_before) >= FLIPS:
            return FLIPPING
    return CUT if held.ended and not ended and _is_cut(now, made) else None


def _is_cut(now: Sequence[Item], made: Decision) -> bool:
    """Tell whether a content without an end may be what is left of the one before, the last entry in part."""
    last = next((item.account for item in made.items if now and item.label == now[-1].label), None)
    return bool(made.deleted) or last in made.edited


def holding(before: Held, items: Sequence[Item], skipped: int, flips: tuple[Flip, ...], *, ended: bool) -> Held:
    """Return what a file holds whose content has become `items`; the newest content is the last of its past."""
    digest = digest_of(items)
    past = (*(one for one in before.past if one != digest), digest)[-PAST:]
    return Held(tuple(items), skipped, past, flips, ended)


def encode(held: Held) -> bytes:
    """Return what a file last held as bytes; they contain secrets, and must be sealed."""
    items = [[i.label, list(i.identity) if i.identity else None, dict(i.fields), i.account] for i in held.items]
    flips = [[flip.wall, flip.place, flip.change, flip.back] for flip in held.flips]
    value = {"items": items, "skipped": held.skipped, "past": list(held.past), "flips": flips, "ended": held.ended}
    return wire.encode(value)


def decode(data: bytes) -> Held:
    """Return what `encode` gave these bytes."""
    value = wire.unpack(data)
    items = tuple(
        Item(label, tuple(identity) if identity else None, fields, account)
        for label, identity, fields, account in value["items"]
    )
    flips = tuple(Flip(*flip) for flip in value["flips"])
    return Held(items, value["skipped"], tuple(value["past"]), flips, value.get("ended", True))
