"""What a device does by itself once it sees that it was restored or copied, when the folder has been read (SPEC §7)."""

from __future__ import annotations

from otpkeep_daemon.replica import Replica
from otpkeep_protocol import again, branches
from otpkeep_protocol.events import Draft
from otpkeep_protocol.view import is_account


def settle(replica: Replica) -> None:
    """Write again what is covered by mistake, and settle this device's forks.

    Not before the folder has been read as far as it can be: lost events may still be in it.
    """
    for writer in _own_writers(replica):
        _write_again(replica, writer)
    _close_forks(replica)


def _own_writers(replica: Replica) -> list[bytes]:
    own = replica.keys.author.device
    return [writer for writer, device in replica.store.writers().items() if device == own]


def _write_again(replica: Replica, writer: bytes) -> None:
    """After a rollback, write again what only claims about lost events cover; once for each of these."""
    store, forks = replica.store, replica.chains.forks
    last = replica.chains.last_known(writer)
    head = store.head(writer)
    mark = f"{last} {len(forks.get(writer, ()))}".encode()
    if head is None or not (last > head[0] or writer in forks) or store.get(f"again.{writer.hex()}") == mark:
        return
    key = f"again.done.{writer.hex()}"
    done = store.get(key) or b""
    before = {done[start : start + again.MARK] for start in range(0, len(done), again.MARK)}
    fresh = {m: draft for draft in _doubtful(replica, writer) if (m := again.mark(draft)) not in before}
    if fresh:
        replica.commit(list(fresh.values()), also=lambda: store.put(key, done + b"".join(fresh)))
    with store.transaction():
        store.put(f"again.{writer.hex()}", mark)


def _doubtful(replica: Replica, writer: bytes) -> list[Draft]:
    held, forks = replica.store.places_of(writer), replica.chains.forks
    accounts = [account for account, subject in replica.state.subjects.items() if is_account(subject)]
    histories = (replica.archive.log(account, newest=False) for account in accounts)
    return [draft for history in histories for draft in again.drafts(history, writer, held, forks)]


def _close_forks(replica: Replica) -> None:
    """Open a new writer where one of this device's has forked: what that has seen names every branch to its end."""
    if not replica.chains.forks:
        return
    own = set(_own_writers(replica))
    if any(fork.writer in own for fork in branches.unsettled(replica.chains, replica.store.writers())):
        replica.renew_writer()
        replica.commit([])
