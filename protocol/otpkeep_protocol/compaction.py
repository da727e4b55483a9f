"""Which runs of one writer to merge, and when to write a snapshot: a log-structured merge (SPEC §8).

A run of n events stands on level ⌊log(n) / log(fanout)⌋. As soon as `fanout` neighbours stand on one level they become
one run of a higher level: so the number of runs grows with the logarithm of the history, and an event is
written again once a level.

    1 1 1 1 1 1 1 1        fanout 8: eight runs of one event
    8                      one of eight
    8 8 8 8 8 8 8 8 1      a ninth event; the eight of eight become one
    64 1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from otpkeep_protocol.context import Context, Forks
from otpkeep_protocol.ids import WriterId

FANOUT = 8
RUN_LIMIT = 16_777_216
"""Bytes that a merged run grows to at most: what a cloud client carries, and a reader holds in memory, with ease."""
EVENT_BYTES = 1_024
"""What an event cost in the folder when it was written: a file of its own, on the smallest step of padding."""
FEW_EVENTS = 256
"""So many events are folded in a moment, without any snapshot."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored run: hash of its file, writer, first and last seq, size of its file in bytes."""

    file: bytes
    writer: WriterId
    first: int
    last: int
    size: int


def merges(segments: Sequence[Segment], fanout: int = FANOUT) -> list[tuple[Segment, ...]]:
    """Return groups of neighbours to merge, each into one run. `segments` are one device's, in any order."""
    found = []
    for stretch in _stretches(sorted(segments, key=lambda s: (s.writer, s.first))):
        groups: list[tuple[Segment, ...]] = [(segment,) for segment in stretch]
        for level in range(_level(stretch[-1].last - stretch[0].first + 1, fanout) + 1):
            groups = _merged(groups, level, fanout)
        found += [group for group in groups if len(group) > 1]
    return found


@dataclass(frozen=True, slots=True)
class Leaving:
    """A replaced file in the folder: known as such since (s), the pack event's writer and seq, and what replaces it.

    `span` is writer, first and last seq of the file with its events now; `reads_back` whether that is whole there.
    """

    since: int
    writer: WriterId
    seq: int
    span: tuple[WriterId, int, int]
    reads_back: bool


def stays(leaving: Leaving, now_s: int, quarantine_s: int, devices: Mapping[str, Context], forks: Forks) -> str | None:
    """Return why a replaced file must stay, None if it may go: `devices` has what each active other one has seen."""
    if leaving.span[0] in forks or leaving.writer in forks:
        return "two histories were written under one identity of this device"
    if not leaving.reads_back:
        return "the file that replaces it is not whole in the folder"
    if now_s - leaving.since < quarantine_s:
        return "the quarantine is not over"
    pack = (leaving.writer, leaving.seq, leaving.seq)
    for name, seen in devices.items():
        if not _has_seen(seen, leaving.span, forks) or not _has_seen(seen, pack, forks):
            return f"{name} has not seen all of it"
    return None


def _has_seen(seen: Context, span: tuple[WriterId, int, int], forks: Forks) -> bool:
    writer, first, last = span
    return writer not in forks and any(p.first <= first and last <= p.last for p in seen.get(writer, ()))


def superfluous(one: tuple[bytes, Mapping[bytes, bool]], other: tuple[bytes, Mapping[bytes, bool]]) -> bytes | None:
    """Return the hash of that of two runs all of whose events and bodies the other has, None if neither is so.

    Each is its file's hash and, by event hash, whether the body is there. Of equal ones the lesser hash stays: whoever
    compares them comes to the same, and nothing goes that is not elsewhere.
    """
    first, second = _has_all(other[1], one[1]), _has_all(one[1], other[1])
    if first and second:
        return max(one[0], other[0])
    if first or second:
        return one[0] if first else other[0]
    return None


def _has_all(outer: Mapping[bytes, bool], inner: Mapping[bytes, bool]) -> bool:
    return all(digest in outer and outer[digest] >= body for digest, body in inner.items())


def snapshot_due(events: int, last_size: int) -> bool:
    """Tell whether so many events since the last snapshot, of `last_size` bytes or 0, are worth another.

    One that costs no more than the events did at most doubles what is written in all.
    """
    return events >= FEW_EVENTS and events * EVENT_BYTES >= last_size


def _stretches(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Cut into stretches of one writer without holes, overlaps or files that are full."""
    stretch: list[Segment] = []
    for segment in segments:
        full = 2 * segment.size > RUN_LIMIT
        follows = stretch and (stretch[-1].writer, stretch[-1].last + 1) == (segment.writer, segment.first)
        if stretch and (full or not follows):
            yield stretch
            stretch = []
        if not full:
            stretch.append(segment)
    if stretch:
        yield stretch


def _merged(groups: Sequence[tuple[Segment, ...]], level: int, fanout: int) -> list[tuple[Segment, ...]]:
    """Merge what stands on `level`, and what is older and below it, wherever `fanout` of that level are neighbours."""
    done: list[tuple[Segment, ...]] = []
    waiting: list[tuple[Segment, ...]] = []

    def settle() -> None:
        here = [at for at, group in enumerate(waiting) if _level_of(group, fanout) == level]
        end = here[-1] + 1 if len(here) >= fanout else 0
        done.extend([sum(waiting[:end], ()), *waiting[end:]] if end else waiting)
        waiting.clear()

    for group in groups:
        low = _level_of(group, fanout) <= level
        too_big = sum(s.size for part in (*waiting, group) for s in part) > RUN_LIMIT
        if not low or too_big:
            settle()
        (waiting if low else done).append(group)
    settle()
    return done


def _level_of(group: Sequence[Segment], fanout: int) -> int:
    return _level(group[-1].last - group[0].first + 1, fanout)


def _level(events: int, fanout: int) -> int:
    level = 0
    while events >= fanout:
        events //= fanout
        level += 1
    return level
