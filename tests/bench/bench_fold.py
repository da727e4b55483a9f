"""Folding a long history out of the store, beside the least that any reader must do with the same files.

The floor: HKDF, decrypting, hashing each envelope and unpacking content, envelopes and bodies, of bytes that are in
memory already. Signatures were checked when the files entered the store, so neither side checks them. Both are pure
computation, so processor time is measured: what else the machine does would only blur it.
"""

from __future__ import annotations

import gc
import hashlib
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgpack
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from otpkeep_daemon.keys import Keys, Surroundings
from otpkeep_daemon.lock import try_lock
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.store import NewFile, Store
from otpkeep_protocol import content, events, keyring, sealing
from otpkeep_protocol.content import Author
from otpkeep_protocol.events import Draft, Event, Place
from otpkeep_protocol.ids import Piece, sha256
from otpkeep_protocol.naming import file_name
from otpkeep_protocol.statements import make_certificate
from support_bench import Timed, begin, fields, in_turns, show_pair, workplace

_RANDOM = random.Random(1)
_START_MS = 1_700_000_000_000
AROUND = Surroundings(_RANDOM.randbytes, lambda: _START_MS)
DEVICES, TURN = 3, 50
_FILE, _EVENT = b"otpkeep/v1/file", b"otpkeep/v1/event"

Made = tuple[bytes, bytes, Event]


def drafts(number: int, accounts: int) -> Iterator[Draft]:
    """Yield the edits of a life: the accounts, then renames, notes, tags, favourites, new secrets and counters used."""
    ids = [_RANDOM.randbytes(16) for _ in range(accounts)]
    for which, account in enumerate(ids):
        yield Draft("account.add", account, alive=True, values=fields(which))
    for at in range(number - accounts):
        account, others = ids[_RANDOM.randrange(accounts)], fields(at)
        values = (
            {"name": others["name"]},
            {"note": f"changed for the {at}th time"},
            {"tags": [f"tag {at % 7}", "work"]},
            {"otp": others["otp"]},
            {"favourite": at % 2 == 0},
        )[at % 5]
        yield Draft("account.edit", account, alive=None if "favourite" in values else True, values=values)


def author_of(ring: keyring.Keyring) -> Author:
    """Return a device of this vault."""
    author = Author(_RANDOM.randbytes(32), _RANDOM.randbytes(16), [])
    return Author(author.seed, author.nonce, make_certificate(ring, author.public_key))


class Writer:
    """The chain of one device: where its next event stands."""

    def __init__(self, author: Author) -> None:
        self.author = author
        self.id = author.writer
        self.head: Piece | None = None
        self.hash: bytes | None = None

    def write(self, draft: Draft, vault: bytes, number: int, seen: Sequence[Piece]) -> Made:
        """Return the event that is this draft, the `number`th of the vault."""
        seq = self.head.last + 1 if self.head is not None else 1
        wall = _START_MS + number * 60_000
        made = events.compose(
            draft, Place(vault, self.id, seq, self.hash, number, wall, tuple(seen), _RANDOM.randbytes(16))
        )
        self.head, self.hash = Piece(self.id, 1, seq, made[2].dot.hash), made[2].hash
        return made


def history(vault: bytes, writers: Sequence[Writer], number: int, accounts: int) -> Iterator[tuple[Writer, Made]]:
    """Yield the events, with their writers: devices that take turns of fifty edits, each having seen all before."""
    rest = drafts(number - len(writers), accounts)
    for at in range(number):
        writer = writers[at // TURN % len(writers)]
        opening = {"device": writer.author.public_key, "nonce": writer.author.nonce}
        draft = next(rest) if writer.head is not None else Draft("writer.open", extra=opening)
        yield writer, writer.write(draft, vault, at + 1, sorted(each.head for each in writers if each.head is not None))


def fill(store: Store, ring: keyring.Keyring, keys: Keys, number: int, accounts: int, run: int) -> list[bytes]:
    """Store the history as runs of at most `run` events, in one transaction. Return the files."""
    writers = [Writer(keys.author), *(Writer(author_of(ring)) for _ in range(DEVICES - 1))]
    files = []
    with store.transaction():
        for writer, turn in itertools.groupby(history(ring.vault, writers, number, accounts), key=lambda made: made[0]):
            rest = list(turn)
            while rest:
                made, rest = [each for _, each in rest[:run]], rest[run:]
                files.append(_keep(store, keys, writer.author, made))
    return files


def _keep(store: Store, keys: Keys, author: Author, made: Sequence[Made]) -> bytes:
    ring = keys.keyring
    data = sealing.seal(
        content.make_run(author, ring.vault, [(envelope, body) for envelope, body, _ in made]),
        vault=ring.vault,
        epoch=ring.newest.id,
        key=ring.newest.key,
        salt_secret=keys.salt_secret,
        random=_RANDOM.randbytes(32),
    )
    found = tuple(event for _, _, event in made)
    store.add(NewFile(sha256(data), file_name(data), "run", author.device, True, data, found[0].dot.writer, found))
    return data


def floor(files: Sequence[bytes], key: bytes) -> None:
    """Do the least, file by file and without any check but the commitment's and the tags'."""
    sha, unpack = hashlib.sha256, msgpack.unpackb
    for data in files:
        header = data[:109]
        keys = HKDF(algorithm=SHA256(), length=64, salt=header[45:77], info=_FILE + header[13:29]).derive(key)
        assert keys[32:] == header[77:109]
        cipher = AESGCM(keys[:32])
        starts = range(109, len(data), 65_552)
        padded = b"".join(
            cipher.decrypt(i.to_bytes(11, "big") + bytes([i == len(starts) - 1]), data[s : s + 65_552], header)
            for i, s in enumerate(starts)
        )
        inside = unpack(padded[4 : 4 + int.from_bytes(padded[:4], "big")])
        for envelope, body in inside["payload"]:
            sha(_EVENT + envelope).digest()
            unpack(envelope)
            unpack(body[16:])


def measure(place: Path, number: int, accounts: int, run: int, n: int) -> None:
    """Print the figure for one shape of history."""
    lock = try_lock(place / f"{run}.lock", "bench")
    assert lock is not None
    store = Store(place / f"{run}.sqlite3", lock)
    ring = keyring.new_keyring(_RANDOM.randbytes(112))
    keys = Keys(ring.without_seed(), author_of(ring), _RANDOM.randbytes(32), _RANDOM.randbytes(32))
    files = fill(store, ring, keys, number, accounts, run)

    def fold() -> None:
        replica = Replica(store, keys, AROUND)
        assert len(replica.state.subjects) == accounts

    pair = in_turns(_computed(fold), _computed(lambda: floor(files, ring.newest.key)), n, warm=1)
    rate = number / sorted(pair.ours)[n // 2]
    title = f"folding {number} events of {accounts} accounts in {len(files)} files ({rate:,.0f} events a second)"
    show_pair(title, pair, 3, "the floor")
    store.close()


def _computed(act: Callable[[], object]) -> Timed:
    def run() -> float:
        gc.collect()
        begun = time.process_time()
        act()
        return time.process_time() - begun

    return run


def main(number: int, accounts: int, n: int) -> None:
    """Print the figures for files of one event, as edits make them, and for runs of fifty, as an import does."""
    with workplace() as place:
        begin("bench.bench_fold", place)
        for run in (1, 50):
            measure(place, number, accounts, run, n)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:4] or ("100000", "1000", "5")))
