"""Whether what this device writes gets to the others at all: a folder that only receives looks as usual from here."""

from __future__ import annotations

from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.problem import problem
from otpkeep_daemon.rows import timestamp
from otpkeep_daemon.store import Store
from otpkeep_protocol.context import Context
from otpkeep_protocol.view import is_retired

UNSEEN_MS = 14 * 24 * 3600 * 1000
"""A device says at least once a week what it has seen: after so long it is no delay."""
_HINT = (
    "See that the cloud client sends from here: a folder that only receives, a full quota and a client that is signed "
    "out look as usual. Or update otpkeep there. Until then, what is written here may be on this machine alone."
)


def unseen(store: Store, accounts: Accounts, now_ms: int) -> list[dict[str, str]]:
    """Tell if others are heard of here, and none of them has seen what has lain in the folder for UNSEEN_MS."""
    words = _words(store, accounts)
    heard = max((min(wall, now_ms) for _, wall in words), default=0)
    first = _first_unseen(store, [seen for seen, _ in words])
    if first is None or heard - first < UNSEEN_MS:
        return []
    message = (
        f"no other device has seen what this one wrote since {timestamp(first)}, though they were heard of until "
        f"{timestamp(heard)}: its files do not get to them"
    )
    return [problem("unseen", message, _HINT, "folder")]


def _words(store: Store, accounts: Accounts) -> list[tuple[Context, int]]:
    """Return what each writer of the other devices had seen when it was last heard of, and when (ms) that was."""
    own, replica = store.need("device"), accounts.replica
    others = [w for w, d in store.writers().items() if d != own and not is_retired(replica.state, d)]
    return [replica.chains.last_seen_by(writer) for writer in others]


def _first_unseen(store: Store, contexts: list[Context]) -> int | None:
    """Return when (ms) the first event was written after all that the others have seen of this device, None if none."""
    own = store.need("device")
    ends = {
        writer: max((piece.last for seen in contexts for piece in seen.get(writer, ())), default=0)
        for writer, device in store.writers().items()
        if device == own
    }
    walls = [store.first_published_after(writer, seq) for writer, seq in ends.items()]
    return min((wall for wall in walls if wall is not None), default=None)
