"""What a pass over the folder should do, decided from values alone (SPEC §8).

    listing + what the store has + what earlier looks made of it  ->  Plan

Nothing here opens a file; nothing in the engine decides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from otpkeep_protocol.errors import Unreachable

PATIENCE_S = 300
"""How long a file that does not open may still be on its way before it is called damaged."""

FINAL_VERDICTS = frozenset({"ok", "foreign", "other-vault", "newer", "rejected", "slot", "replaced"})
"""Verdicts that hold for as long as the file does not change."""

BEAT_EVERY_MS = 24 * 3600 * 1000
BEAT_ANYWAY_MS = 7 * BEAT_EVERY_MS
"""Without any news, too, so that nobody who waits for a month takes a quiet device for a lost one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file in the folder, or an earlier verdict on it: size in bytes, time of change in ns, verdict and since (s).

    `content` is the name that the bytes stand for, if they may be sound: a conflict copy has another one.
    """

    size: int
    mtime_ns: int
    verdict: str = ""
    since: int = 0
    content: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A file that the store holds: its size, whether it was ever in the folder, whether this device answers for it.

    A beat or snapshot is `passing`: it may go at any time, once there is a newer one, and is never missed. One that
    was replaced, as somebody says, by a file that is not here is `claimed`, and not missed either.
    """

    size: int
    published: bool
    own: bool
    passing: bool = False
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Names to read; verdicts to forget; names that wait to be published; names that are missing."""

    read: tuple[str, ...]
    forget: tuple[str, ...]
    publish: tuple[str, ...]
    missing: tuple[str, ...]


def check_folder(there: Collection[str], device: int, known: Mapping[str, Known], last_device: int) -> None:
    """Raise Unreachable unless this is the folder that it was; `there` is the names in it.

    It is if any file known to be in it is still there: an unmounted or emptied folder has none. While nothing was
    ever published, only the device that the directory is on can tell.
    """
    published = [name for name, file in known.items() if file.published]
    if published and not any(name in there for name in published):
        raise Unreachable(
            f"the folder is there, but none of the {len(published)} files that otpkeep knows in it: it is not mounted, "
            "not synced yet, or was emptied; edits are saved on this device and nothing is written there",
            "Bring it back; or, if it really is to be filled anew, run `otpkeep backup now --here`.",
        )
    if not published and device != last_device:
        raise Unreachable(
            "the folder is on another disk than when it was chosen; edits are saved on this device",
            "Mount the disk; or, if this is the folder, run `otpkeep backup now --here`.",
        )


def decide(
    listing: Mapping[str, Seen],
    known: Mapping[str, Known],
    looked: Mapping[str, Seen],
    *,
    evicted: frozenset[str],
    unlocked: bool,
    publishing: bool,
    resting: frozenset[str] = frozenset(),
) -> Plan:
    """Return what to do about what a look saw; `evicted` is there, but its bytes are not on this machine.

    `resting` are names that did not open at many looks, and are read again only when they have changed.

    What is missing is named here, and whether it is put back decided once the files to read were read (`healing`).
    """
    read = [name for name, seen in listing.items() if _to_read(seen, looked.get(name), resting=name in resting)]
    copies = {seen.content for name, seen in looked.items() if name in listing}
    there = listing.keys() | evicted | copies
    missing = [name for name, file in known.items() if file.published and not file.passing and name not in there]
    waiting = [name for name, file in known.items() if not file.published]
    return Plan(
        tuple(read) if unlocked else (),
        tuple(name for name in looked if name not in listing),
        tuple(waiting) if publishing else (),
        tuple(missing),
    )


def _to_read(seen: Seen, looked: Seen | None, *, resting: bool) -> bool:
    if looked is None or (looked.size, looked.mtime_ns) != (seen.size, seen.mtime_ns):
        return True
    return looked.verdict not in FINAL_VERDICTS and not resting


def beat_due(now: int, last_word: int, *, news: bool) -> bool:
    """Tell whether to write a beat: daily with news, else weekly. Times in ms; `last_word` is this device's newest."""
    return now - last_word >= (BEAT_EVERY_MS if news else BEAT_ANYWAY_MS)


def overdue(looked: Mapping[str, Seen], now_s: int) -> Sequence[str]:
    """Return the names that have failed to open for too long to be still on their way."""
    return [n for n, s in looked.items() if s.verdict in ("pending", "damaged") and now_s - s.since >= PATIENCE_S]
