"""Which problems a person is told of, and when: decided from values alone.

    what is found now + what was told before + the time  ->  what to tell + what to remember

An alarm is a kind and a subject, not the words, whose numbers change. It comes when its problem has lasted for as long
as its kind asks for, and again when a day has passed, or when it was cleared and came back. Cleared is what has stayed
away for SETTLED_S: a folder that comes and goes is told of once. New ones of a kind that was told of just now wait for
PAUSE_S, and then come as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

REPEAT_S = 86_400.0
SETTLED_S = 3_600.0
PAUSE_S = 600.0
MANY = 50
"""More of one kind are one alarm, without regard to which they are."""
ANY = "*"
"""The subject of such an alarm."""
LASTING_S = 600.0
"""How long a problem must last whose kind is not named below: much mends itself with the next look."""

QUIET = frozenset({"folder-unreachable", "other-vault", "conflict-copy", "retired"})
"""Shown by `status` alone: of a folder that stays away `stale` tells."""
AT_ONCE = frozenset(
    {
        *(
            "integrity",
            "damaged",
            "rejected",
            "fork",
            "event",
            "verify",
            "drill",
            "slots",
            "held",
            "new-device",
            "silent",
            "unseen",
        ),
        *("rollback", "copied"),
        *("clock", "disk", "job", "config", "watching", "newer", "on-problem"),
        *("store-full", "store-read-only", "store-unwritable", "folder-full", "folder-read-only"),
    }
)
PATIENT = frozenset({"stale", "gap", "locked", "watched-missing"})
"""Ordinary for a while, and told once they have lasted for the setting `stale_after_s`."""
NEWS = frozenset({"new-device"})
"""Told once, and not as cleared."""
WEEKLY = frozenset({"silent", "unseen"})
KEYED = frozenset({"gap", "fork", "slots", "event", "clock", "silent", "unseen", "retired"})
"""Of these some, or all, are found only while the keys are here: that they are not found says nothing without them."""
GRAVE = frozenset({"integrity", "damaged", "rejected", "fork", "rollback", "verify", "drill", "not-started"})
"""The backup itself is in doubt."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong as it is now: its kind, what or whom it is about, and the words for people."""

    kind: str
    subject: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What is remembered of an alarm, in seconds since 1970.

    `since` is when it was found first, `told` when a person last heard of it, `gone` since when it is not found.
    """

    since: float
    told: float | None = None
    gone: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person is told: the problems of one kind that were raised, or that the last of them is cleared.

    `since` is when the first of them was found (seconds since 1970).
    """

    kind: str
    raised: bool
    since: float
    problems: tuple[Problem, ...] = ()


def decide(
    found: Sequence[Problem],
    told: Mapping[Key, Told],
    now: float,
    stale_after_s: float,
    unseen: Callable[[str], bool] = lambda _kind: False,
) -> tuple[list[Notice], dict[Key, Told]]:
    """Return what to tell now, and what to remember instead of `told`; `now` is in seconds since 1970.

    `unseen` says of which kinds nothing could be found now, whatever is wrong: those are not cleared.
    """
    before = {key: _not_after(entry, now) for key, entry in told.items()}
    here = {(p.kind, p.subject): p for p in _as_one(found, before) if p.kind not in QUIET}
    memory = {key: replace(before.get(key, Told(now)), gone=None) for key in here}
    for key, entry in before.items():
        if key not in here and (kept := entry if unseen(key[0]) else _absent(entry, now)):
            memory[key] = kept
    notices = []
    for kind in sorted({kind for kind, _ in here}):
        raised = [key for key in here if key[0] == kind and now - memory[key].since >= patience(kind, stale_after_s)]
        if _is_due(kind, [memory[key] for key in raised], now):
            notices.append(Notice(kind, True, min(memory[k].since for k in raised), tuple(here[k] for k in raised)))
            memory |= {key: replace(memory[key], told=now) for key in raised}
    return notices + _cleared(before, memory), memory


def patience(kind: str, stale_after_s: float) -> float:
    """Return for how long (s) a problem of this kind must last before it is told."""
    if kind in PATIENT:
        return stale_after_s
    return 0.0 if kind in AT_ONCE else LASTING_S


def _not_after(entry: Told, now: float) -> Told:
    """Return what is remembered, nothing of it in the future: the clock may have been set back."""
    told, gone = (min(time, now) if time is not None else None for time in (entry.told, entry.gone))
    return Told(min(entry.since, now), told, gone)


def _absent(entry: Told, now: float) -> Told | None:
    """Return what to remember of an alarm that is not found now; None once it is cleared, or was never told."""
    gone = entry.gone if entry.gone is not None else now
    return replace(entry, gone=gone) if entry.told is not None and now - gone < SETTLED_S else None


def _is_due(kind: str, raised: Iterable[Told], now: float) -> bool:
    """Tell whether people must hear of a kind now: of one that is new, or, when it is time, of all again."""
    entries = list(raised)
    times = [entry.told for entry in entries if entry.told is not None]
    if not times:
        return bool(entries)
    repeat_s = math.inf if kind in NEWS else 7 * REPEAT_S if kind in WEEKLY else REPEAT_S
    if len(times) < len(entries):
        return now - max(times) >= PAUSE_S
    return now - min(times) >= repeat_s


def _cleared(before: Mapping[Key, Told], memory: Mapping[Key, Told]) -> list[Notice]:
    left = {kind for (kind, _), entry in memory.items() if entry.told is not None} | NEWS
    since: dict[str, float] = {}
    for (kind, _), entry in before.items():
        if entry.told is not None and kind not in left:
            since[kind] = min(entry.since, since.get(kind, math.inf))
    return [Notice(kind, False, when) for kind, when in sorted(since.items())]


def _as_one(found: Sequence[Problem], told: Mapping[Key, Told]) -> Iterable[Problem]:
    """Yield the problems, of a kind that has very many a single one. Once so, it stays so until they are few."""
    kinds: dict[str, list[Problem]] = {}
    for problem in found:
        kinds.setdefault(problem.kind, []).append(problem)
    for kind, problems in kinds.items():
        most = MANY // 2 if (kind, ANY) in told else MANY
        if len(problems) <= most:
            yield from problems
        else:
            message = f"{problems[0].message} ({len(problems) - 1} more of this kind)"
            yield Problem(kind, ANY, message, problems[0].hint)
