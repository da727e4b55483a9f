"""Which files that the folder lost or broke are put back, and when: decided from values alone (SPEC §8).

    lost so far + what is absent now  ->  follow  ->  lost now  ->  due  ->  names to put back

One's own come back at the second look, others' after a day or two, so that their owner can do it, and not everybody at
once. What was put back and vanishes again waits twice as long each time: somebody does not want it there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from otpkeep_protocol.naming import NameKind, classify
from otpkeep_protocol.plan import Known, Seen

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
OWN_MOST_S = 7 * DAY_S
OTHERS_MOST_S = 8 * DAY_S
"""Ceilings of the waiting, the latter before the random part, which is as much again at most."""
CLAIMED_S = 30 * DAY_S
"""For so long a file that a pack calls replaced is left to what replaces it, though that is not here yet."""
FORGET_S = 14 * DAY_S
"""What has stayed for so long is whole again: how often it was put back no longer counts."""
REPEATED = 3
"""A file that vanished so often is a problem for a person."""
FEW = 8
"""So many absent files are put back whatever share of the folder they are."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A file that is absent, missing or damaged, or that was put back lately.

    `since` (s) is when it was found `gone`, or there again; `healed` how often this device has put it back.
    """

    since: int
    gone: bool
    healed: int = 0

    @property
    def vanished(self) -> int:
        """How often it was found absent."""
        return self.healed + self.gone


def damaged(listing: Mapping[str, Seen], known: Collection[str], looked: Mapping[str, Seen]) -> list[str]:
    """Return the names that hold other bytes than they stand for, unless they have changed since that was found."""
    return [
        name
        for name, verdict in looked.items()
        if verdict.verdict == "damaged" and name in known and _unchanged(listing.get(name), verdict)
    ]


def unopened(listing: Mapping[str, Seen], known: Collection[str], looked: Mapping[str, Seen], *, locked: bool) -> bool:
    """Tell whether some file in the folder may say that others were replaced, and nobody here has read it.

    Unlocked it is one whose name is its hash, and that did not open; locked it is any that is not known.
    """
    return any(_is_closed(name, seen, looked.get(name), locked) for name, seen in listing.items() if name not in known)


def _is_closed(name: str, seen: Seen, judged: Seen | None, locked: bool) -> bool:
    if judged is None or not _unchanged(seen, judged):
        return locked or classify(name) is NameKind.SEALED_NAME
    return judged.verdict in ("pending", "newer") and (locked or judged.content == name)


def _unchanged(seen: Seen | None, judged: Seen) -> bool:
    return seen is not None and (seen.size, seen.mtime_ns) == (judged.size, judged.mtime_ns)


def follow(lost: Mapping[str, Lost], absent: Collection[str], now_s: int) -> dict[str, Lost]:
    """Return what to remember after a look that found these names absent; all others are there, or no longer known."""
    after = {name: Lost(now_s, gone=True) for name in absent if name not in lost}
    for name, row in lost.items():
        since = min(row.since, now_s)
        if row.gone != (name in absent):
            since = now_s
        if name in absent or (row.healed and now_s - since < FORGET_S):
            after[name] = Lost(since, name in absent, row.healed)
    return after


def put_back(row: Lost, now_s: int) -> Lost:
    """Return what to remember of a file that was put back now."""
    return replace(row, since=now_s, gone=False, healed=row.healed + 1)


def due(
    lost: Mapping[str, Lost],
    known: Mapping[str, Known],
    before: Collection[str],
    now_s: int,
    share: Callable[[str, int], float],
    *,
    closed: bool,
    at_once: bool,
) -> list[str]:
    """Return the names to put back now. `before` are those that were absent at an earlier look, too.

    `share` gives, for a name and how often it was put back, the random part of a waiting, from 0 to below 1. While the
    folder is `closed`, some file in it is unopened, and only one's own come back. `at_once` waits for nothing but that.
    """
    gone = {name: row for name, row in lost.items() if row.gone and name in known}
    published = sum(file.published and not file.passing for file in known.values())
    few = len(gone) <= FEW or 2 * len(gone) <= published

    def is_due(name: str, row: Lost) -> bool:
        file = known[name]
        if closed and not file.own:
            return False
        if at_once and not file.claimed:
            return True
        return name in before and now_s - row.since >= wait_s(file, row.healed, share(name, row.healed), few=few)

    return [name for name, row in gone.items() if is_due(name, row)]


def wait_s(file: Known, healed: int, share: float, *, few: bool) -> float:
    """Return how long (s) an absent file stays so that was put back so often; `few` is whether most others are there.

    While a large part is absent, the folder is being synced, was rolled back, or is another one: all wait for a day.
    """
    if file.claimed:
        return CLAIMED_S * (1 + share)
    doubled = 1 << min(healed, 10)
    if not file.own:
        return min(DAY_S * doubled, OTHERS_MOST_S) * (1 + share)
    wait = min(HOUR_S * doubled / 2, OWN_MOST_S) if healed else 0
    return wait if few else max(wait, DAY_S)
