"""Runs that two devices merged at once out of a retired one's: which of them stays.

Mostly they are one and the same file, since merging seals alike everywhere. Where the two had not the same files at
hand, the one that has all the events of the other takes its place; both devices find the same, so neither is lost.
"""

from __future__ import annotations

from otpkeep_daemon.archive import Archive
from otpkeep_daemon.store import Store
from otpkeep_protocol import content
from otpkeep_protocol.compaction import superfluous


def duplicates(store: Store, archive: Archive, owner: bytes) -> list[tuple[bytes, bytes]]:
    """Return (old, new) for runs of a device whose events another of its runs has, too; no file is in two pairs."""
    pairs: list[tuple[bytes, bytes]] = []
    taken: set[bytes] = set()
    for idle in store.idle_runs(owner):
        run = archive.run(idle)
        for other in store.files_of_events(*content.ends(run)):
            old = superfluous((idle, content.bodied(run)), (other, content.bodied(archive.run(other))))
            if old is not None and not taken & {idle, other}:
                taken |= {idle, other}
                pairs.append((old, other if old == idle else idle))
    return pairs
