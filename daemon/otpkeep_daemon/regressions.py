"""Notes whether the folder has gone back in time; the decision is `otpkeep_protocol.regression`'s. Works locked."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from otpkeep_daemon import logs
from otpkeep_daemon.problem import counted
from otpkeep_daemon.store import Store, StoredFile
from otpkeep_protocol import wire
from otpkeep_protocol.naming import NameKind, classify, hash_name
from otpkeep_protocol.regression import NOTHING, SLOTS, Noted, Span, accept, follow, regressed

_KEY = "rollback"
_LIMIT = 16_777_216
log = logging.getLogger(__name__)


def note(
    store: Store,
    missing: Collection[str],
    there: Collection[str],
    putting_back: Iterable[str],
    now_s: int,
    *,
    all_read: bool,
) -> None:
    """Take in a look: names that are `missing` and those that are `there`, and what this pass puts back of them.

    Unless `all_read`, files that nobody has opened may hold what is missing, as after a compaction by another device;
    then only what this device itself has published counts, and the slots.
    """
    before = noted(store)
    if not missing and before == NOTHING:
        return
    files = [file for name in missing if (file := store.file_named(name)) is not None]
    lost = [file for file in files if not _stood_in_for(store, file, there)]
    found, gone = _regression(store, lost, own_only=not all_read), frozenset(file.name for file in lost)
    after = follow(before, found, gone, frozenset(putting_back), now_s)
    if after == before:
        return
    _keep(store, after)
    if after.raised and not before.raised:
        log.warning(logs.event("rollback", reason="the folder has gone back", lost=_in_words(after)))


def _in_words(noted: Noted) -> str:
    lost = sorted(noted.lost.items())
    return ", ".join(lost_text(who, count, who.hex()[:8]) for who, count in lost)


def lost_text(who: bytes, count: int, name: str) -> str:
    """Return how much is lost of a device that goes by `name`, or of the slots."""
    return counted(count, "slot") if who == SLOTS else f"{counted(count, 'event')} of {name}"


def noted(store: Store) -> Noted:
    """Return what was noted at the last look."""
    kept = store.get(_KEY)
    if kept is None:
        return NOTHING
    since, gone, accepted, lost, raised, healed = wire.decode(kept, _LIMIT)
    return Noted(since, frozenset(gone), frozenset(accepted), dict(lost), raised, healed)


def accept_all(store: Store) -> Noted:
    """Take what is gone for accepted, inside a transaction. Return what the alarm was."""
    before = noted(store)
    if before != NOTHING:
        _put(store, accept(before))
    return before


def _keep(store: Store, after: Noted) -> None:
    with store.transaction():
        _put(store, after)


def _put(store: Store, after: Noted) -> None:
    lost: list[wire.Value] = [[device, count] for device, count in sorted(after.lost.items())]
    parts: list[wire.Value] = [sorted(after.gone), sorted(after.accepted), lost]
    store.put(_KEY, wire.encode([max(0, after.since), *parts, max(0, after.raised), after.healed]))


def _regression(store: Store, gone: Collection[StoredFile], *, own_only: bool) -> list[Span]:
    own = store.get("device")
    spans = [span for file in gone for span in _spans(store, file)]
    counted = [span for span in spans if not own_only or span.device in (own, SLOTS)]
    return regressed(counted, store.newest_published({file.name for file in gone}, {s.writer for s in counted}))


def _spans(store: Store, file: StoredFile) -> list[Span]:
    if file.kind == "slot":
        return [Span(file.name, SLOTS, SLOTS, 1, 0)]
    return [Span(file.name, *rest) for rest in store.spans(file.hash)]


def _stood_in_for(store: Store, file: StoredFile, there: Collection[str]) -> bool:
    """Tell whether the folder has the files that this one replaced, as after a return to before a compaction."""
    replaced = [hash_name(old) for old in store.replaced_by(file.hash)]
    return bool(replaced) and all(name in there for name in replaced)


def unread(names: Iterable[str], store: Store) -> bool:
    """Tell whether a name in the folder stands for bytes that were not read here."""
    looked = store.looked()
    return any(
        classify(name) is NameKind.SEALED_NAME and name not in looked and store.file_named(name) is None
        for name in names
    )
