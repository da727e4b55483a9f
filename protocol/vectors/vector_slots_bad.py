"""Bad slot files (SPEC §9): headers, Argon2 parameters, lengths, keyrings, and wrong passphrases and codes."""

from dataclasses import replace
from typing import Any

from vector_basis import Case, Value, bad, canonical, labelled
from vector_cast import EPOCH
from vector_files_bad import flipped, with_byte
from vector_sealing import ADMIN_2_SEED, CODE, PASSPHRASE, Slot, Start, keyring

HEADER, TAG = 119, 16
MALFORMED, FORGED, WRONG_KEY, UNKNOWN = "malformed", "not-authentic", "wrong-key", "unknown-version"
Row = tuple[str, str, str, bytes]
FIELDS = [
    (0, "magic", MALFORMED),
    (9, "minor version", FORGED),
    (13, "vault", WRONG_KEY),
    (44, "epoch", FORGED),
    (45, "salt", WRONG_KEY),
    (77, "commitment", WRONG_KEY),
    (113, "memory, lowest bit", WRONG_KEY),
    (117, "passes, 2 to 3", WRONG_KEY),
    (119, "first byte of the ciphertext", FORGED),
]
FLOOR, CEILING = "§9: refuse below 19,456 KiB × 2", "§9: refuse above 1,048,576 KiB, 16 passes, 4 lanes"
PARAMETERS = [
    ("memory below the floor", FLOOR, (19_455, 2, 1)),
    ("passes below the floor", FLOOR, (65_536, 1, 1)),
    ("17 passes", CEILING, (19_456, 17, 1)),
    ("5 lanes", CEILING, (19_456, 2, 5)),
]
PATCHED = [
    ("memory above the ceiling", CEILING, (1_048_577, 3, 1)),
    ("memory 2^32-1", CEILING, (2**32 - 1, 3, 1)),
    ("passes 2^32-1", CEILING, (65_536, 2**32 - 1, 1)),
    ("255 lanes", CEILING, (65_536, 3, 255)),
    ("no lanes", "RFC 9106: at least one lane", (65_536, 3, 0)),
    ("no parameters", FLOOR, (0, 0, 0)),
]


def patched(stored: bytes, params: tuple[int, int, int]) -> bytes:
    """Other parameters written over those of a slot, since these can't be derived with."""
    memory, passes, lanes = params
    numbers = memory.to_bytes(4, "big") + passes.to_bytes(4, "big") + bytes([lanes])
    return stored[:110] + numbers + stored[119:]


def of_passphrase(slot: Slot, stored: bytes) -> list[Row]:
    cuts = [(n, MALFORMED) for n in (109, 118, 119, 119 + TAG)] + [(119 + TAG + 1, FORGED), (len(stored) - 1, FORGED)]
    future = replace(slot.start, major=2)
    return [
        *((f"slot: {name} flipped", "§8, §9: header", effect, flipped(stored, at)) for at, name, effect in FIELDS),
        *((f"slot: {name}", why, MALFORMED, replace(slot, params=params).stored()) for name, why, params in PARAMETERS),
        *((f"slot: {name}", why, MALFORMED, patched(stored, params)) for name, why, params in PATCHED),
        *((f"slot cut to {n} bytes", "§9: header and one chunk", effect, stored[:n]) for n, effect in cuts),
        ("slot: way 0", "§9: 1 or 2", MALFORMED, with_byte(stored, 109, 0)),
        ("slot: way 3", "§9: 1 or 2", MALFORMED, with_byte(stored, 109, 3)),
        ("slot: a critical bit", "§8: unknown critical bit", UNKNOWN, with_byte(stored, 11, 1)),
        ("slot: major version 2, sealed so", "§8: higher major", UNKNOWN, replace(slot, start=future).stored()),
        *((f"slot: {name}", why, MALFORMED, replace(slot, **changes).stored()) for name, why, changes in rings()),
    ]


def rings() -> list[tuple[str, str, dict[str, Any]]]:
    ring = keyring()
    first, second = ring["epochs"]
    wrong: list[tuple[str, Value]] = [
        *((f"without {key}", {k: v for k, v in ring.items() if k != key}) for key in ("vault", "id_key", "epochs")),
        ("of another vault", {**ring, "vault": bytes(16)}),
        ("without any epoch", {**ring, "epochs": []}),
        ("with its newest epoch first", {**ring, "epochs": [second, first]}),
        ("with an id key of 31 bytes", {**ring, "id_key": bytes(31)}),
        (
            "with an epoch without its admin",
            {**ring, "epochs": [first, {k: v for k, v in second.items() if k != "admin"}]},
        ),
        ("with an epoch key of 31 bytes", {**ring, "epochs": [first, {**second, "key": bytes(31)}]}),
        ("with a seed of 31 bytes", {**ring, "seed": ADMIN_2_SEED[:31]}),
        ("that is an array", list(ring.values())),
    ]
    rows: list[tuple[str, str, dict[str, Any]]] = [
        (f"keyring {how}", "§9: keyring", {"ring": canonical(value)}) for how, value in wrong
    ]
    rows.append(("keyring not canonical", "§2", {"ring": canonical(ring) + b"\xc0"}))
    older = Start(type=2, epoch=EPOCH)
    rows.append(("header epoch not the newest of the keyring", "§9: header epoch", {"start": older}))
    return rows


def bad_slots() -> list[Case]:
    slot = Slot(labelled("slot salt 1", 32))
    stored = slot.stored()
    code_slot = Slot(labelled("slot salt 4", 32), (0, 0, 0), CODE)
    by_code = code_slot.stored()
    with_memory = replace(code_slot, params=(19_456, 2, 1)).stored()
    opens: Case = {"what": "slot", "passphrase": PASSPHRASE}
    code: Case = {"what": "slot", "code": CODE.hex()}
    wrong: Case = {"what": "slot", "passphrase": PASSPHRASE + " "}
    other: Case = {"what": "slot", "code": labelled("another code", 20).hex()}
    return [
        *(bad(name, why, effect, hex=raw.hex(), **opens) for name, why, effect, raw in of_passphrase(slot, stored)),
        bad("slot: wrong passphrase", "§9: key commitment", WRONG_KEY, hex=stored.hex(), **wrong),
        bad("slot: wrong recovery code", "§9: key commitment", WRONG_KEY, hex=by_code.hex(), **other),
        bad(
            "slot of a recovery code with parameters",
            "§9: 0 for a recovery code",
            MALFORMED,
            hex=with_memory.hex(),
            **code,
        ),
        bad("slot of a recovery code, epoch flipped", "§8: header", FORGED, hex=flipped(by_code, 44).hex(), **code),
        bad("slot of a recovery code, salt flipped", "§8: header", WRONG_KEY, hex=flipped(by_code, 45).hex(), **code),
    ]
