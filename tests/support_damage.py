"""A vault of two devices whose folder is harmed in every way that `verify` must find, and the service that looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from otpkeep_daemon.calls import call
from otpkeep_daemon.own_vault import OwnVault
from otpkeep_daemon.service import Service
from otpkeep_protocol import content, wire
from otpkeep_protocol.events import Draft
from otpkeep_protocol.ids import Piece, sha256
from otpkeep_protocol.naming import file_name
from otpkeep_protocol.state import State, encode
from support_vault import Device, Hand, World, add, edit, keyring, make_author, publish_slots, seal, slot_set

ACCOUNT = b"a" * 16


class Scene:
    """The laptop, whose folder is checked, and the phone; both have everything that the other made."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.laptop, self.phone = world.device("laptop"), world.device("phone")
        self.slots = publish_slots(self.laptop)
        self.laptop.add("mail")
        self.account = self.phone.add("bank")
        self.phone.run()
        self.phone.change(self.account, note="a second file")
        world.sync()
        self.folder = self.laptop.folder
        self.service = serve(self.laptop)
        self.first, self.second, self.third = [n for n in self.phone.own_files() if self._kind(n) == "run"][:3]

    def _kind(self, name: str) -> str:
        stored = self.phone.store.file_named(name)
        assert stored is not None
        return stored.kind

    def verify(self, depth: str = "content", *, repair: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = call(self.service, "verify", {"depth": depth, "repair": repair})
        return found

    def read(self, name: str) -> bytes:
        data = self.folder.read(name)
        assert data is not None
        return data

    def put(self, data: bytes) -> str:
        """Place a file under the name that its bytes have, and return it."""
        self.folder.put(file_name(data), data)
        return file_name(data)

    def look(self) -> None:
        """Have the laptop read what is in the folder."""
        assert self.service.engine.run().trouble is None


def serve(device: Device) -> Service:
    """Return the service of an unlocked daemon over this device."""
    with device.store.transaction():
        device.store.put("folder", b"/nowhere")
    service = Service(
        device.store, device.folder, OwnVault(device.path / "own.json", device.random), device.around, pid=1
    )
    service.unlock(device.replica.keys)
    return service


@dataclass(frozen=True, slots=True)
class Damage:
    """What is done to the folder, what `verify` says of it by depth, and whether a repair makes all whole."""

    do: Callable[[Scene], object]
    names: Sequence[str]
    content: Sequence[str]
    rebuild: Sequence[str]
    mended: bool

    def expected(self, depth: str) -> list[str]:
        return sorted({"names": self.names, "content": self.content, "rebuild": self.rebuild}[depth])


def _swap(scene: Scene) -> None:
    one, other = scene.read(scene.second), scene.read(scene.third)
    scene.folder.put(scene.second, other)
    scene.folder.put(scene.third, one)


def _change(change: Callable[[bytes], bytes]) -> Callable[[Scene], object]:
    return lambda scene: scene.folder.put(scene.third, change(scene.read(scene.third)))


def _flip(data: bytes) -> bytes:
    return data[:300] + bytes([data[300] ^ 1]) + data[301:]


def _other_vault(scene: Scene) -> None:
    scene.put(seal(Hand("stranger", keyring("other")).run(), "other", keyring("other")))


def _uncertified(scene: Scene) -> None:
    """A device that has the keys, and whose certificate is by the admin of another vault."""
    forger = replace(make_author("forger"), certificate=make_author("forger", keyring("other")).certificate)
    hand = Hand("forger")
    scene.put(seal(content.make_run(forger, hand.vault, hand.pairs), "forged"))


def _unsigned(scene: Scene) -> None:
    made = wire.unpack(Hand("tablet").run())
    scene.put(seal(wire.encode({key: value for key, value in made.items() if key != "signature"}), "unsigned"))


def tablet() -> Hand:
    """A third device, of which events are made one by one."""
    return Hand("tablet")


def _hole(scene: Scene) -> None:
    hand = tablet()
    hand.write(add(ACCOUNT, name="x"))
    hand.write(edit(ACCOUNT, name="y"))
    scene.put(seal(hand.run(1, 1), "first"))
    scene.put(seal(hand.run(3, 3), "third"))


def _withheld(scene: Scene) -> None:
    """The phone has seen a device of which nothing has come here."""
    hand, seen = Hand("witness"), tablet()
    hand.write(edit(ACCOUNT, name="x"), [seen.piece()])
    scene.put(seal(hand.run(), "witness"))


def _boast(scene: Scene) -> None:
    """A claim about more events than anybody could list."""
    hand = Hand("witness")
    head = scene.phone.replica.keys.author.writer
    hand.write(edit(ACCOUNT, name="x"), [Piece(head, 1, 2**53 - 1, b"?" * 16)])
    scene.put(seal(hand.run(), "witness"))


def _contradiction(scene: Scene) -> None:
    hand, held = Hand("witness"), tablet()
    held.write(add(ACCOUNT, name="x"))
    scene.put(seal(held.run(), "held"))
    hand.write(edit(ACCOUNT, name="y"), [Piece(held.writer, 1, 2, b"?" * 16)])
    scene.put(seal(hand.run(), "witness"))


def _contradicting_beat(scene: Scene) -> None:
    author, held = make_author("witness"), scene.phone.replica.keys.author.writer
    beat = content.make_beat(author, keyring().vault, 1, [Piece(held, 1, 2, b"?" * 16)])
    scene.put(seal(beat, "beat"))


def _fork(scene: Scene) -> None:
    one = tablet()
    other = one.copy("clone")
    one.write(add(ACCOUNT, name="x"))
    other.write(add(ACCOUNT, name="y"))
    scene.put(seal(one.run(), "one"))
    scene.put(seal(other.run(), "other"))


def _lying_pack(scene: Scene) -> None:
    old = sha256(scene.read(scene.second))
    scene.phone.commit(Draft("pack", extra={"replaced": [old], "file": sha256(scene.read(scene.third))}))
    scene.phone.run()
    scene.put(scene.phone.store.data(scene.phone.store.files()[-1].hash))


def _packed_away(scene: Scene) -> None:
    """Others' files were replaced by one that never comes."""
    scene.phone.commit(Draft("pack", extra={"replaced": [b"o" * 32], "file": b"n" * 32}))
    scene.phone.run()
    scene.put(scene.phone.store.data(scene.phone.store.files()[-1].hash))


def snapshot(scene: Scene, state: bytes) -> str:
    author = scene.phone.replica.keys.author
    seen = scene.laptop.replica.chains.seen()
    return scene.put(seal(content.make_snapshot(author, keyring().vault, state, seen), "snapshot"))


def _lying_snapshot(scene: Scene) -> None:
    snapshot(scene, encode(State()))


def _new_passphrase(scene: Scene) -> None:
    """The slots are replaced; the old ones stay in the folder."""
    replica = scene.service.open.replica
    made = [scene.laptop.store.data(f.hash) for f in scene.laptop.store.files_of("slot")][:1]
    replica.commit([slot_set(made, supersedes=list(replica.slot_statements))])
    scene.service.engine.publish()


def _all_slots_gone(scene: Scene) -> None:
    for name in scene.slots:
        scene.folder.take(name)


def _slot_flipped(scene: Scene) -> None:
    scene.folder.put(scene.slots[0], _flip(scene.read(scene.slots[0])))


def _unnamed_slot(scene: Scene) -> None:
    scene.put(_flip(scene.read(scene.slots[0])))


def _without_bodies(scene: Scene) -> None:
    hand = tablet()
    hand.write(add(ACCOUNT, name="x"))
    pairs = [hand.pairs[0], (hand.pairs[1][0], None)]
    scene.put(seal(content.make_run(hand.author, hand.vault, pairs), "bare"))


def _newer_event(scene: Scene) -> None:
    """An event with a critical feature that nobody knows yet."""
    hand = tablet()
    envelope, body = hand.pairs[0]
    newer = wire.encode({**wire.unpack(envelope), "critical": ["time-machine"]})
    hand.pairs[0] = (newer, body)
    scene.put(seal(content.make_run(hand.author, hand.vault, hand.pairs), "newer"))


def _invalid_event(scene: Scene) -> None:
    hand = tablet()
    envelope, body = hand.pairs[0]
    hand.pairs[0] = (wire.encode({**wire.unpack(envelope), "colour": "red"}), body)
    scene.put(seal(content.make_run(hand.author, hand.vault, hand.pairs), "invalid"))


def _newer_file(scene: Scene) -> None:
    data = scene.read(scene.third)
    scene.put(data[:8] + b"\2" + data[9:])


def _copy_cut(scene: Scene) -> None:
    data = scene.read(scene.third)
    scene.folder.put(f"{scene.third[:-5]} (1).otpk", data[: len(data) // 2])


def _beat_flipped(scene: Scene) -> None:
    author = scene.phone.replica.keys.author
    data = seal(content.make_beat(author, keyring().vault, 5, scene.phone.replica.chains.seen()), "beat")
    name = scene.put(data)
    scene.look()
    scene.folder.put(name, _flip(data))


def _snapshot_flipped(scene: Scene) -> None:
    name = snapshot(scene, scene.laptop.state())
    scene.look()
    scene.folder.put(name, _flip(scene.read(name)))


def _store_flipped(scene: Scene) -> None:
    """This device's own copy goes bad, and then the folder's."""
    stored = scene.laptop.store.file_named(scene.third)
    assert stored is not None
    with scene.laptop.store.transaction():
        scene.laptop.store.change(
            "UPDATE files SET data = ? WHERE hash = ?", _flip(scene.read(scene.third)), stored.hash
        )
    scene.folder.take(scene.third)


FINE = ("beat", "snapshot")
DAMAGE = {
    "nothing": Damage(lambda scene: None, [], [], [], mended=True),
    "a missing file": Damage(
        lambda s: s.folder.take(s.third), ["missing"], ["missing"], ["missing", "rebuild"], mended=True
    ),
    "a file cut short": Damage(
        _change(lambda d: d[:500]), ["damaged"], ["damaged"], ["damaged", "rebuild"], mended=True
    ),
    "an empty file": Damage(_change(lambda _: b""), ["damaged"], ["damaged"], ["damaged", "rebuild"], mended=True),
    "a file of zeros": Damage(
        _change(lambda d: bytes(len(d))), ["damaged"], ["damaged"], ["damaged", "rebuild"], mended=True
    ),
    "a flipped bit": Damage(_change(_flip), ["damaged"], ["damaged"], ["damaged", "rebuild"], mended=True),
    "swapped names": Damage(_swap, 2 * ["damaged"], 2 * ["damaged"], 2 * ["damaged"], mended=True),
    "a file not downloaded": Damage(
        lambda s: s.folder.evicted.add(s.third), ["not-here"], ["not-here"], ["not-here", "rebuild"], mended=False
    ),
    "a damaged copy": Damage(_copy_cut, ["damaged"], ["damaged"], ["damaged"], mended=False),
    "a damaged beat": Damage(_beat_flipped, ["damaged"], ["damaged"], ["damaged"], mended=False),
    "a damaged snapshot": Damage(_snapshot_flipped, ["damaged"], ["damaged"], ["damaged"], mended=False),
    "a file of another vault": Damage(_other_vault, ["other-vault"], ["other-vault"], ["other-vault"], mended=True),
    "a newer file": Damage(_newer_file, ["unknown-version"], ["unknown-version"], ["unknown-version"], mended=False),
    "a device without certificate": Damage(_uncertified, [], ["rejected"], ["rejected"], mended=False),
    "a dropped signature": Damage(_unsigned, [], ["rejected"], ["rejected"], mended=False),
    "a hole in a chain": Damage(_hole, [], ["gap"], ["gap"], mended=False),
    "a withheld writer": Damage(_withheld, [], ["gap"], ["gap"], mended=False),
    "a claim beyond what exists": Damage(_boast, [], ["gap"], ["gap"], mended=False),
    "a contradicting event": Damage(_contradiction, [], ["contradiction"], ["contradiction"], mended=False),
    "a contradicting beat": Damage(_contradicting_beat, [], ["contradiction"], ["contradiction"], mended=False),
    "a fork": Damage(_fork, [], ["fork"], ["fork"], mended=True),
    "a lying pack": Damage(_lying_pack, [], ["pack"], ["pack"], mended=False),
    "a pack whose file never comes": Damage(_packed_away, [], ["missing"], ["missing"], mended=False),
    "a lying snapshot": Damage(_lying_snapshot, [], ["snapshot"], ["snapshot"], mended=False),
    "a superseded slot": Damage(_new_passphrase, [], ["superseded-slot"], ["superseded-slot"], mended=True),
    "a damaged slot": Damage(_slot_flipped, ["damaged"], ["damaged"], ["damaged"], mended=True),
    "a slot that nobody names": Damage(_unnamed_slot, [], ["slot"], ["slot"], mended=False),
    "no slot left": Damage(
        _all_slots_gone,
        2 * ["missing"],
        ["missing", "missing", "no-slot"],
        ["missing", "missing", "no-slot"],
        mended=True,
    ),
    "values that are gone": Damage(_without_bodies, [], ["body"], ["body"], mended=False),
    "a newer event": Damage(_newer_event, [], ["unknown-version"], ["unknown-version"], mended=False),
    "an invalid event": Damage(_invalid_event, [], ["event"], ["event"], mended=True),
    "a damaged store": Damage(
        _store_flipped, ["missing", "store"], ["missing", "store"], ["missing", "rebuild", "store"], mended=False
    ),
}


def only_sealed(directory: Path, words: Sequence[bytes]) -> bool:
    """Tell whether none of these words is in any file of a directory, which only its owner may enter."""
    found = [path.read_bytes() for path in directory.iterdir()]
    return directory.stat().st_mode & 0o777 == 0o700 and not any(word in data for data in found for word in words)
