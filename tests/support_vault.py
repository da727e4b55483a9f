"""A vault for tests: keys, devices over real stores and folders in memory, a deterministic random source and clock.

world = World(tmp_path);  laptop = world.device("laptop");  laptop.add("mail");  world.deliver(laptop, phone)
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from otpkeep_daemon import device as device_secrets
from otpkeep_daemon.accounts import Accounts, edit_draft
from otpkeep_daemon.compactor import Compacted, Compactor
from otpkeep_daemon.engine import Engine, Outcome
from otpkeep_daemon.keys import Keys, Surroundings
from otpkeep_daemon.lock import try_lock
from otpkeep_daemon.memory_folder import MemoryFolder
from otpkeep_daemon.problems import problems
from otpkeep_daemon.replica import Replica
from otpkeep_daemon.store import NewFile, Store
from otpkeep_daemon.turns import Turns
from otpkeep_protocol import content, sealing, slots, wire
from otpkeep_protocol.account import Otp
from otpkeep_protocol.compaction import FANOUT
from otpkeep_protocol.content import Author
from otpkeep_protocol.events import Draft, Event, Place, compose
from otpkeep_protocol.ids import Piece, device_id, event_hash, sha256, writer_id
from otpkeep_protocol.keyring import Keyring, new_keyring, public_key
from otpkeep_protocol.naming import file_name
from otpkeep_protocol.state import encode
from otpkeep_protocol.statements import make_certificate, make_statement

START_MS = 1_700_000_000_000
DAY_MS = 24 * 3600 * 1000
SECRET = b"12345678901234567890"


class Random:
    """Bytes that depend on nothing but the label and how often it was asked."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._asked = 0

    def __call__(self, size: int) -> bytes:
        self._asked += 1
        seed = f"{self._label} {self._asked}".encode()
        return hashlib.shake_256(seed).digest(size)


class Clock:
    """A clock in ms that stands still until it is set."""

    def __init__(self, ms: int = START_MS) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


@cache
def keyring(label: str = "vault") -> Keyring:
    """The keyring of a vault, admin seed included."""
    return new_keyring(Random(f"keyring {label}")(112))


@cache
def make_author(label: str, ring: Keyring | None = None) -> Author:
    """A device's signing side, admitted by the admin of `ring`."""
    ring = ring or keyring()
    seed = Random(f"device {label}")(32)
    return Author(seed, Random(f"nonce {label}")(16), make_certificate(ring, public_key(seed)))


def make_keys(label: str, ring: Keyring | None = None) -> Keys:
    """Everything that an unlocked device has in memory."""
    ring, random = ring or keyring(), Random(f"keys {label}")
    return Keys(ring.without_seed(), make_author(label, ring), random(32), random(32))


def totp(secret: bytes = SECRET, **changes: Any) -> dict[str, Any]:
    """The wire value of a TOTP."""
    return Otp.make("totp", secret, **changes).to_wire()


def hotp(secret: bytes = SECRET, counter: int = 0, **changes: Any) -> dict[str, Any]:
    """The wire value of a HOTP."""
    return Otp.make("hotp", secret, counter=counter, **changes).to_wire()


# events by hand


class Hand:
    """A writer whose events a test composes one by one, with exactly the `seen` that the test wants."""

    def __init__(self, label: str, ring: Keyring | None = None) -> None:
        self.author = make_author(label, ring)
        self.vault = (ring or keyring()).vault
        self.writer = self.author.writer
        self.events: list[Event] = []
        self.pairs: list[tuple[bytes, bytes]] = []
        self._random = Random(f"salts {label}")
        self.write(self.opening())

    def opening(self) -> Draft:
        """What seq 1 must be."""
        return Draft("writer.open", extra={"device": self.author.public_key, "nonce": self.author.nonce})

    @property
    def last(self) -> Event:
        """The newest event."""
        return self.events[-1]

    def copy(self, label: str) -> Hand:
        """The same writer again, as a cloned machine has it."""
        other = Hand.__new__(Hand)
        other.author, other.vault, other.writer = self.author, self.vault, self.writer
        other.events, other.pairs = list(self.events), list(self.pairs)
        other._random = Random(f"salts {label}")
        return other

    def piece(self, first: int = 1, last: int | None = None) -> Piece:
        """The piece `first`…`last` of this writer as it knows itself."""
        last = len(self.events) if last is None else last
        return Piece(self.writer, first, last, self.events[last - 1].dot.hash)

    def write(
        self, draft: Draft, seen: Iterable[Piece] = (), *, wall: int = START_MS, lamport: int | None = None
    ) -> Event:
        """Compose the next event; its own past is always seen, `seen` besides."""
        seq = len(self.events) + 1
        own = [self.piece()] if self.events else []
        place = Place(
            self.vault,
            self.writer,
            seq,
            self.events[-1].hash if self.events else None,
            lamport if lamport is not None else seq,
            wall,
            tuple(sorted([*own, *seen])),
            self._random(16),
        )
        envelope, body, event = compose(draft, place)
        self.events.append(event)
        self.pairs.append((envelope, body))
        return event

    def run(self, first: int = 1, last: int | None = None) -> bytes:
        """The content of the run of events `first`…`last`."""
        return content.make_run(self.author, self.vault, self.pairs[first - 1 : last])


def add(account: bytes, *, weak: bool = False, **values: Any) -> Draft:
    """The draft that adds an account."""
    return Draft("account.add", account, alive=True, weak=weak, values={"otp": totp(), **values})


def edit(account: bytes, **values: Any) -> Draft:
    """The draft that edits one."""
    return edit_draft(account, values)


def delete(account: bytes) -> Draft:
    """The draft that deletes one."""
    return Draft("account.delete", account, alive=False)


def use(account: bytes, key: bytes, counter: int) -> Draft:
    """The draft that records a HOTP use."""
    return Draft("account.use", account, extra={"counter": [key, counter]})


def without_body(event: Event) -> Event:
    """The event as it is once its body was dropped."""
    return event._replace(values=None, extra={})


def seal(made: bytes, label: str = "sealing", ring: Keyring | None = None) -> bytes:
    """The sealed file of some content."""
    ring = ring or keyring()
    return sealing.seal(
        made,
        vault=ring.vault,
        epoch=ring.newest.id,
        key=ring.newest.key,
        salt_secret=bytes(32),
        random=Random(label)(32),
    )


# devices


class Device:
    """One device: a store on disk, a folder in memory, and what runs between them."""

    def __init__(self, path: Path, label: str, folder: MemoryFolder, ring: Keyring, clock: Clock) -> None:
        """Open the store at `path`, set up before or not."""
        self.path, self.label, self.folder, self.ring, self.clock = path, label, folder, ring, clock
        self.random = Random(f"random {label}")
        self.around = Surroundings(self.random, clock)
        self.understood: frozenset[str] = frozenset()
        self.open()

    def open(self) -> None:
        """Open the store and unlock."""
        self.path.mkdir(exist_ok=True)
        lock = try_lock(self.path / "lock", "tests")
        assert lock is not None
        self.store = Store(self.path / "store.db", lock)
        if self.store.get("secrets") is None:
            self._furnish()
        self.engine = Engine(self.store, self.folder, self.around, Turns())
        self.unlock()

    def _furnish(self) -> None:
        keys = make_keys(self.label, self.ring)
        with self.store.transaction():
            self.store.put("vault", self.ring.vault)
            self.store.put("device", keys.author.device)
            self.store.put("label", self.label.encode())
            self.store.put("tag", b"ab12")
            self.store.put("folder.device", str(self.folder.device).encode())
            device_secrets.keep_secrets(self.store, self.ring, keys, self.random(32))

    def unlock(self) -> None:
        """Load the replica."""
        keys = replace(device_secrets.unlock(self.store, self.ring), understood=self.understood)
        self.replica = Replica(self.store, keys, self.around)
        self.accounts = Accounts(self.replica)
        self.engine.replica = self.replica

    def lock_keys(self) -> None:
        """Leave the engine without keys, as after `otpkeep lock`."""
        self.engine.replica = None

    def close(self) -> None:
        """Close as a daemon does that is asked to end."""
        self.engine.settle()
        self.store.close()

    def restart(self) -> None:
        """Close and open again."""
        self.close()
        self.open()

    def update(self, understood: frozenset[str]) -> None:
        """Go on with a version of otpkeep that understands these critical features."""
        self.understood = understood
        self.restart()

    def introduce(self) -> Event:
        """Announce the device as `init` and `recover` do."""
        author = self.replica.keys.author
        extra = {"certificate": author.certificate}
        return self.commit(Draft("device.add", author.device, values={"label": self.label}, extra=extra))

    def commit(self, *drafts: Draft) -> Event:
        """Record drafts and return the event of the last."""
        return self.replica.commit(drafts)[-1]

    def add(self, name: str, **values: Any) -> str:
        """Add an account with a TOTP of its own, and return its id in hex."""
        fields = {"name": name, "otp": totp(sha256(name.encode())), **values}
        return self.accounts.add(fields, placeholder=False)[0].hex()

    def change(self, account: str, **values: Any) -> Event | None:
        """Edit fields of an account; `otp` holds parameters to change."""
        otp = values.pop("otp", {})
        return self.accounts.edit(account, values, otp, placeholder=False)[1]

    def run(self) -> Outcome:
        """Make one pass over the folder."""
        return self.engine.run()

    def compact(self, *, fanout: int = FANOUT, dry_run: bool = False, quarantine_ms: int = 14 * DAY_MS) -> Compacted:
        """Merge runs, make a snapshot if one is due, and remove from the folder what nobody needs any more."""
        compactor = Compactor(self.engine, self.folder, self.replica, quarantine_ms // 1000)
        return compactor.run(fanout=fanout, dry_run=dry_run)

    def problems(self) -> list[dict[str, str]]:
        """What status says is wrong with the folder and the vault."""
        return problems(self.store, self.engine, self.accounts, self.clock.ms, labels=True)

    def names(self) -> list[str]:
        """Names of the accounts that live here."""
        return [shown.values.get("name", "") for shown in self.accounts.views() if not shown.deleted]

    def values(self, account: str) -> Mapping[str, Any]:
        """The winning values of an account."""
        return self.accounts.view(bytes.fromhex(account)).values

    def state(self) -> bytes:
        """The canonical bytes of the whole state."""
        return encode(self.replica.state)

    def held(self) -> set[bytes]:
        """Hashes of all events in the store."""
        return {event for event, _ in self.store.log(None)}

    def own_files(self) -> list[str]:
        """Names of the files that this device made, oldest first."""
        return [file.name for file in self.store.files() if file.owner == self.store.need("device")]

    def verdicts(self) -> dict[str, str]:
        """What earlier looks made of the names in the folder."""
        return {name: looked.verdict for name, looked in self.store.looked().items()}


class World:
    """Several devices of one vault, each with a folder of its own that a cloud would keep alike."""

    def __init__(self, path: Path, ring: Keyring | None = None) -> None:
        self.path, self.ring = path, ring or keyring()
        self.devices: list[Device] = []

    def device(self, label: str, *, folder: MemoryFolder | None = None, introduced: bool = True) -> Device:
        """Set up a device."""
        made = Device(self.path / label, label, folder or MemoryFolder(label), self.ring, Clock())
        self.devices.append(made)
        if introduced:
            made.introduce()
        return made

    def clone(self, device: Device, label: str) -> Device:
        """Copy a device with its store and folder; both go on."""
        device.close()
        shutil.copytree(device.path, self.path / label)
        device.open()
        folder = MemoryFolder(label)
        for name in device.folder.names():
            folder.put(name, device.folder.read(name) or b"")
        made = Device(self.path / label, label, folder, self.ring, Clock(device.clock.ms))
        if device.understood:
            made.update(device.understood)
        self.devices.append(made)
        return made

    def sync(self) -> None:
        """Publish everything and deliver it everywhere."""
        for _ in range(2):
            for device in self.devices:
                device.run()
            for source in self.devices:
                for target in self.devices:
                    deliver(source, target)
        for device in self.devices:
            outcome = device.run()
            assert outcome.trouble is None

    def close(self) -> None:
        """Close every store."""
        for device in self.devices:
            device.close()


@contextmanager
def memory_directory() -> Iterator[Path]:
    """Give a new directory on a memory disk where there is one: small stores that nobody unplugs need no fsync."""
    memory = Path("/dev/shm")  # noqa: S108 - the directory in it is made by mkdtemp
    path = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def new_world(ring: Keyring | None = None) -> Iterator[World]:
    """Give a world in a memory directory, and close its stores in the end."""
    with memory_directory() as path:
        world = World(path, ring)
        try:
            yield world
        finally:
            world.close()


def deliver(
    source: Device, target: Device, names: Iterable[str] | None = None, spell: Callable[[str], str] = lambda name: name
) -> None:
    """Carry files from one folder to another as a cloud does, under the name that `spell` makes of theirs."""
    for name in source.folder.names() if names is None else names:
        data = source.folder.read(name)
        if data is not None and target.folder.read(spell(name)) != data:
            target.folder.put(spell(name), data)


def publish_slots(device: Device, number: int = 2) -> list[str]:
    """Give the vault recovery slots and the statement that names them, and return the slots' names."""
    ring, code = device.ring, Random("code")(slots.CODE_SIZE)
    made = [slots.recovery_slot(ring, code, device.random(32)) for _ in range(number)]
    with device.store.transaction():
        for data in made:
            device.store.add(NewFile(sha256(data), file_name(data), "slot", None, False, data))
    device.commit(slot_set(made, ring))
    return [file_name(data) for data in made]


def slot_set(made: Sequence[bytes], ring: Keyring | None = None, supersedes: Iterable[bytes] = ()) -> Draft:
    """The draft that names these slot files."""
    own = {"uuid": "u", "key": b"k", "nonce": b"n", "tag": b"t", "salt": b"s", "n": 32768, "r": 8, "p": 1}
    values = {"slots": sorted(sha256(data) for data in made), "own": own}
    statement = make_statement(ring or keyring(), "slot.set", values, supersedes)
    return Draft("slot.set", extra={"statement": statement})


def odd_run(hand: Hand, first: int = 1) -> bytes:
    """The content of a hand's run from `first` on, of which the last pair may be one that no honest device makes."""
    asserted = [hand.writer, len(hand.pairs), event_hash(hand.pairs[-1][0])]
    return content._make(hand.author, hand.vault, "run", [list(pair) for pair in hand.pairs[first - 1 :]], asserted)


def writer_of(author: Author, nonce: bytes) -> bytes:
    """The writer that this device would have with another nonce."""
    return writer_id(author.public_key, nonce)


def device_of(label: str) -> bytes:
    """The id of the device of that label."""
    return device_id(make_author(label).public_key)


def raw_event(**changes: Any) -> tuple[bytes, bytes]:
    """Envelope and body of a valid account.edit, with some envelope keys changed; `...` removes one."""
    body = bytes(16) + wire.encode({"set": {"name": "x"}})
    envelope = {
        "v": 1,
        "vault": keyring().vault,
        "writer": b"w" * 16,
        "seq": 2,
        "prev": b"p" * 32,
        "lamport": 2,
        "wall": START_MS,
        "seen": [],
        "kind": "account.edit",
        "account": b"a" * 16,
        "alive": True,
        "fields": ["name"],
        "body": sha256(body),
    } | changes
    return wire.encode({key: value for key, value in envelope.items() if value is not ...}), body
