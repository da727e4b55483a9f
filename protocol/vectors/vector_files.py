"""files.json: whole stored files of every kind (SPEC §8, §9), and the bad ones of vector_files_bad."""

from typing import Any

from vector_basis import Case, Value, canonical, labelled, packed_hex, rendered
from vector_cast import WALL, device
from vector_chains import at
from vector_files_bad import bad_files
from vector_files_content_bad import bad_contents
from vector_fold import Lore, encode, fold
from vector_full_chunks import run_of_size
from vector_identifiers import file_name
from vector_sealing import (
    CODE,
    EPOCH_2,
    EPOCH_2_KEY,
    PASSPHRASE,
    RANDOM,
    SALT_SECRET,
    Slot,
    Start,
    beat_of,
    keyring,
    run_of,
    sealed,
    snapshot_of,
)
from vector_slots_bad import bad_slots
from vector_story import Author, three


def contents() -> list[tuple[str, dict[str, Value]]]:
    a, _, _, everything = three()
    author, own = a.device, at([e for e in everything if e.header["writer"] == a.device.writer], 1, 2, 3)
    again = Author(device("A2"), everything)
    opened = again.write("writer.open", body={"device": again.device.public, "nonce": again.device.nonce})
    lore = Lore(everything)
    return [
        ("run of one event", run_of(author, own[:1])),
        ("run of several events", run_of(author, own)),
        ("run that begins in the middle of a chain", run_of(author, own[1:])),
        ("run with a dropped body", run_of(author, [own[0], own[1].without_body(), own[2]])),
        ("run of another device", run_of(again.device, [opened])),
        ("beat", beat_of(author, WALL, lore.seen())),
        ("beat of a device that has seen nothing", beat_of(author, 0, [])),
        ("snapshot", snapshot_of(author, encode(fold(everything)), lore.seen())),
        ("snapshot of nothing", snapshot_of(author, canonical([]), [])),
        ("run that fills one chunk", run_of_size(65_532)),
        ("run of two full chunks", run_of_size(131_068)),
    ]


def sealed_case(name: str, content: dict[str, Value], start: Start, key: bytes) -> Case:
    stored = sealed(canonical(content), start, key)
    shown = {k: rendered(v) for k, v in content.items() if k != "payload"}
    return {
        "name": name,
        "what": "sealed",
        "hex": stored.hex(),
        "file": file_name(stored),
        "epoch_key": key.hex(),
        "content": packed_hex(canonical(content)),
        "shown": shown,
    }


def sealed_cases() -> list[Case]:
    first = Start(), bytes.fromhex(keyring()["epochs"][0]["key"].hex())
    made = contents()
    cases = [sealed_case(name, content, *first) for name, content in made]
    run = made[1][1]
    second = Start(epoch=EPOCH_2)
    cases.append(sealed_case("run sealed anew under the second epoch", run, second, EPOCH_2_KEY))
    cases.append(sealed_case("run with a minor version that the reader ignores", run, Start(minor=7), first[1]))
    return cases


def slot_case(name: str, slot: Slot) -> Case:
    stored = slot.stored()
    opens: Case = {"code": CODE.hex()} if slot.code else {"passphrase": PASSPHRASE}
    return {
        "name": name,
        "what": "slot",
        "hex": stored.hex(),
        "file": file_name(stored),
        **opens,
        "memory_kib": slot.params[0],
        "passes": slot.params[1],
        "lanes": slot.params[2],
        "salt": slot.salt.hex(),
        "secret": slot.secret().hex(),
        "keyring": slot.ring.hex(),
    }


def slot_cases() -> list[Case]:
    none = (0, 0, 0)
    return [
        slot_case("slot of a passphrase", Slot(labelled("slot salt 1", 32))),
        slot_case("slot of a passphrase, the second copy", Slot(labelled("slot salt 2", 32))),
        slot_case("slot of a passphrase, other parameters", Slot(labelled("slot salt 3", 32), (20_000, 3, 4))),
        slot_case("slot of a recovery code", Slot(labelled("slot salt 4", 32), none, CODE)),
    ]


def document() -> dict[str, Any]:
    return {
        "about": "Stored files (SPEC §8, §9). A reader holds the keyring given here. `hex` is the file, or, in a"
        " bad case with `base`, the file is made of the named good file's slices [start, end] joined. Good sealed files"
        " are made with the salt secret and 32 random bytes given, good slot files with their salt.",
        "given": {
            "keyring": rendered(keyring(None)),
            "salt_secret": SALT_SECRET.hex(),
            "random": RANDOM.hex(),
            "passphrase": PASSPHRASE,
            "code": CODE.hex(),
        },
        "good": sealed_cases() + slot_cases(),
        "bad": bad_files() + bad_contents() + bad_slots(),
    }
