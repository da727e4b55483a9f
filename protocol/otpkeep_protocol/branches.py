"""Forked writers: where they part, and whether the device that they belong to has settled it (SPEC §7).

1 ── 5 ── 6a ── 7a        heads 7a and 6b; settled by a later writer of the same device,
      └── 6b                 an event of which has surely seen both
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from otpkeep_protocol.chains import Chains
from otpkeep_protocol.context import Context, Forks, surely_covers
from otpkeep_protocol.ids import DeviceId, Dot, WriterId, sha256


@dataclass(frozen=True, slots=True)
class Fork:
    """A forked writer: the first seq that stands for two events, and the last held event of each branch, ascending."""

    writer: WriterId
    parted: int
    heads: tuple[Dot, ...]

    @property
    def mark(self) -> bytes:
        """16 bytes that change when a branch grows or another comes to light."""
        return sha256(b"".join(head.seq.to_bytes(8) + head.hash for head in self.heads))[:16]


def unsettled(chains: Chains, devices: Mapping[WriterId, DeviceId]) -> list[Fork]:
    """Return the forks of which no other writer of the same device has seen every held branch to its end."""
    forks = chains.forks
    seen: dict[DeviceId, list[tuple[WriterId, Context]]] = {}
    for writer, device in devices.items() if forks else ():
        seen.setdefault(device, []).append((writer, chains.seen_at_head(writer)))
    found = [_fork(chains, writer, forks) for writer in sorted(forks)]
    return [fork for fork in found if not _is_settled(fork, seen.get(devices.get(fork.writer, b""), []), forks)]


def _fork(chains: Chains, writer: WriterId, forks: Forks) -> Fork:
    places = sorted(forks[writer])
    parted = min(seq for (seq, _), (after, _) in itertools.pairwise(places) if seq == after)
    heads = tuple(Dot(writer, p.last, p.hash) for p in chains.context().get(writer, ()))
    return Fork(writer, parted, heads)


def _is_settled(fork: Fork, seen: list[tuple[WriterId, Context]], forks: Forks) -> bool:
    others = [context for writer, context in seen if writer != fork.writer]
    return any(all(surely_covers(context, head, forks) for head in fork.heads) for context in others)
