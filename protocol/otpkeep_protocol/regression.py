"""Whether the folder has gone back in time: it held the newest events of a writer once, and does not now (SPEC §8).

files that are gone + what they held + what was noted before + the time  ->  what to note

A file in the midst of a history may be lost by accident; a folder that is still syncing gets its files one by one; so a
regression counts once it has lasted, or right before this device puts back what would show it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from otpkeep_protocol.ids import DeviceId, WriterId
from otpkeep_protocol.plan import PATIENCE_S

SLOTS: DeviceId = b""
"""Stands for the slots, which belong to no device."""


@dataclass(frozen=True, slots=True)
class Span:
    """The events of one writer that a file carries: their number and the last seq; of a slot, one and 0."""

    name: str
    device: DeviceId
    writer: WriterId
    events: int
    last: int


@dataclass(frozen=True, slots=True)
class Noted:
    """What is remembered: since when (s) something is `gone`, what was `accepted` and is gone still, and the alarm.

    The alarm is `lost`, events or slots by device, raised at `raised` (s). `healed`: this device puts back what was
    gone, so that it is no sign of anything when that is there again.
    """

    since: int = 0
    gone: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()
    lost: Mapping[DeviceId, int] = field(default_factory=dict)
    raised: int = 0
    healed: bool = False


NOTHING = Noted()


def regressed(missing: Iterable[Span], newest: Mapping[WriterId, int]) -> list[Span]:
    """Return what of the `missing` takes the end of a history away; `newest` is each writer's last seq still there.

    Of a slot there are always two copies, so one of them may be lost like any file.
    """
    spans = list(missing)
    gone: dict[WriterId, int] = {}
    for span in spans:
        gone[span.writer] = max(gone.get(span.writer, 0), span.last)
    slots = [span for span in spans if span.device == SLOTS]
    ended = [span for span in spans if span.device != SLOTS and gone[span.writer] > newest.get(span.writer, 0)]
    return [*ended, *(slots if len(slots) > 1 else [])]


def follow(
    before: Noted, found: Collection[Span], missing: frozenset[str], putting_back: frozenset[str], now: int
) -> Noted:
    """Return what to remember after a look at `now` (s) that `found` regressions among all that is `missing`.

    Of what was gone before, some that is back says that the folder is syncing; but once the alarm is raised, all of it
    must be, whatever newer events have come. `putting_back` is what this pass publishes again, which would mask it.
    """
    accepted = before.accepted & missing
    still = before.gone & missing if before.raised else frozenset()
    fresh = frozenset(span.name for span in found) - accepted | still
    if not fresh:
        over = not before.healed
        return Noted(accepted=accepted) if over else replace(before, since=0, gone=frozenset(), accepted=accepted)
    syncing = not before.raised and not before.gone <= missing
    begun = bool(before.gone) and not syncing
    since = min(before.since, now) if begun else now
    masked = begun and len(fresh) > 1 and bool(fresh & putting_back)
    lasting = now - since >= PATIENCE_S and not fresh <= putting_back
    raised = before.raised or (now if masked or lasting else 0)
    lost = _greatest(before.lost, [span for span in found if span.name in fresh]) if raised else {}
    healed = before.healed or (bool(raised) and bool(fresh & putting_back))
    return Noted(since, fresh, accepted, lost, raised, healed)


def accept(before: Noted) -> Noted:
    """Return what to remember once a person has accepted what is gone: no alarm, before something else goes."""
    return Noted(accepted=before.accepted | before.gone)


def _greatest(before: Mapping[DeviceId, int], spans: Iterable[Span]) -> dict[DeviceId, int]:
    lost: dict[DeviceId, int] = {}
    for span in spans:
        lost[span.device] = lost.get(span.device, 0) + span.events
    return {device: max(before.get(device, 0), lost.get(device, 0)) for device in {*before, *lost}}
