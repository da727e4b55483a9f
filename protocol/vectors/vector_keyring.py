"""keyring.json: keyrings, statements, certificates, the own vault file's key, and wraps at rest (SPEC §9, §10)."""

import hashlib
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from vector_basis import Case, Value, bad, canonical, hkdf, labelled, rendered, sign
from vector_cast import (
    ACCOUNT,
    ADMIN,
    ADMIN_SEED,
    EPOCH,
    OTHER_ADMIN_SEED,
    VAULT,
    certificate,
    device,
    statement,
    statement_id,
    statement_message,
)
from vector_sealing import EPOCH_2, EPOCH_2_KEY, keyring

MALFORMED, FORGED = "malformed", "not-authentic"
PUBLIC = device("A").public
OWN_PASSPHRASE = "Café zum Löffel"
STORE_LABEL = b"otpkeep/v1/store" + VAULT
LOCAL_LABEL = b"otpkeep/v1/local" + VAULT + ACCOUNT
LOCAL_KEY = labelled("local key", 32)


def wrap(key: bytes, label: bytes, value: bytes, salt: bytes) -> bytes:
    return salt + AESGCM(hkdf(key, salt, label, 32)).encrypt(bytes(12), value, label)


def own_master_key(epoch_key: bytes) -> bytes:
    return hkdf(epoch_key, b"", b"otpkeep/v1/own" + VAULT, 32)


def own_password_slot(master_key: bytes) -> dict[str, Value]:
    salt, nonce = labelled("own salt", 32), labelled("own nonce", 12)
    derived = hashlib.scrypt(OWN_PASSPHRASE.encode(), salt=salt, n=32768, r=8, p=1, maxmem=2**26, dklen=32)
    wrapped = AESGCM(derived).encrypt(nonce, master_key, None)
    uuid = "01234567-89ab-cdef-0123-456789abcdef"
    made = {"key": wrapped[:32], "nonce": nonce, "tag": wrapped[32:], "salt": salt}
    return {"uuid": uuid, **made, "n": 32768, "r": 8, "p": 1}


def slot_set(*slots: str, supersedes: list[bytes] | None = None) -> dict[str, Any]:
    values = {"slots": [labelled(name, 32) for name in slots], "own": own_password_slot(own_master_key(EPOCH_2_KEY))}
    return statement("slot.set", values, supersedes)


def keyring_cases() -> list[Case]:
    one = {**keyring(ADMIN_SEED), "epochs": keyring()["epochs"][:1]}
    rings = [
        ("keyring with a seed", keyring()),
        ("keyring at rest, without a seed", keyring(None)),
        ("keyring of one epoch", one),
    ]
    return [
        {"name": name, "what": "keyring", "hex": canonical(ring).hex(), "value": rendered(ring)} for name, ring in rings
    ]


def statement_case(name: str, made: dict[str, Any]) -> Case:
    message = statement_message(made["epoch"], made["kind"], made["values"], made["supersedes"])
    return {
        "name": name,
        "what": "statement",
        "hex": canonical(made).hex(),
        "value": rendered(made),
        "message": message.hex(),
        "id": statement_id(made).hex(),
    }


def statement_cases() -> list[Case]:
    first, second = slot_set("s1", "s2"), slot_set("s3", "s4")
    both = sorted([statement_id(first), statement_id(second)])
    third = slot_set("s5", "s6", supersedes=both)
    ids = {name: statement_id(made).hex() for name, made in (("1", first), ("2", second), ("3", third))}
    two_current = sorted([ids["1"], ids["2"]])
    return [
        statement_case("device.add", statement("device.add", {"device": PUBLIC})),
        statement_case("slot.set 1", first),
        statement_case("slot.set 2, which supersedes nothing either", second),
        statement_case("slot.set 3, which supersedes both", third),
        current_case("current, one", [first], [ids["1"]]),
        current_case("current, two: the greatest id is used", [first, second], two_current),
        current_case("current, the one that supersedes", [third, first, second], [ids["3"]]),
        current_case("current, what it supersedes not held", [third], [ids["3"]]),
        current_case("current, the same statement twice", [first, first], [ids["1"]]),
    ]


def current_case(name: str, made: list[dict[str, Any]], current: list[str]) -> Case:
    return {
        "name": name,
        "what": "current slot.set",
        "statements": [canonical(one).hex() for one in made],
        "current": current,
        "used": max(current),
    }


def certificate_case() -> Case:
    return {
        "name": "certificate",
        "what": "certificate",
        "device": PUBLIC.hex(),
        "hex": canonical(certificate(PUBLIC)).hex(),
        "message": statement_message(EPOCH, "device.add", {"device": PUBLIC}, []).hex(),
    }


def own_cases() -> list[Case]:
    master = own_master_key(EPOCH_2_KEY)
    return [
        {"name": "own master key", "what": "own", "epoch_key": EPOCH_2_KEY.hex(), "master_key": master.hex()},
        {
            "name": "own password slot",
            "what": "own slot",
            "passphrase": OWN_PASSPHRASE,
            "master_key": master.hex(),
            "own": rendered(own_password_slot(master)),
        },
    ]


def wrap_case(name: str, key: bytes, label: bytes, value: bytes) -> Case:
    salt = labelled(f"wrap {name}", 32)
    return {
        "name": name,
        "what": "wrap",
        "key": key.hex(),
        "label": label.hex(),
        "value": value.hex(),
        "salt": salt.hex(),
        "hex": wrap(key, label, value, salt).hex(),
    }


def wrap_cases() -> list[Case]:
    secrets = {"seed": device("A").seed, "salt_secret": labelled("salt secret", 32), "local_key": LOCAL_KEY}
    return [
        wrap_case("store wrap of the device secrets", EPOCH_2_KEY, STORE_LABEL, canonical(secrets)),
        wrap_case("local wrap of a placeholder's secret", LOCAL_KEY, LOCAL_LABEL, b"any bytes"),
        wrap_case("local wrap of nothing", LOCAL_KEY, LOCAL_LABEL, b""),
    ]


def bad_statements() -> list[Case]:
    good = statement("device.add", {"device": PUBLIC}, [bytes(32), b"\x01" * 32])
    flipped = good["signature"][:-1] + bytes([good["signature"][-1] ^ 1])
    plain = statement_message(EPOCH, "device.add", {"device": PUBLIC}, []).removeprefix(b"otpkeep/v1/statement")
    undomained = {**statement("device.add", {"device": PUBLIC}), "signature": sign(ADMIN_SEED, plain)}
    by_other = statement("device.add", {"device": PUBLIC}, seed=OTHER_ADMIN_SEED)
    descending = statement("device.add", {"device": PUBLIC}, [b"\x01" * 32, bytes(32)])
    twice = statement("device.add", {"device": PUBLIC}, [bytes(32), bytes(32)])
    rows: list[tuple[str, str, Value]] = [
        ("signature flipped", FORGED, {**good, "signature": flipped}),
        ("signed by another admin", FORGED, by_other),
        ("signed for another vault", FORGED, statement("device.add", {"device": PUBLIC}, vault=bytes(16))),
        ("signed without the domain", FORGED, undomained),
        ("kind changed", FORGED, {**good, "kind": "device.revoke"}),
        ("values changed", FORGED, {**good, "values": {"device": device("B").public}}),
        ("supersedes changed", FORGED, {**good, "supersedes": good["supersedes"][:1]}),
        ("epoch of the other admin", FORGED, {**good, "epoch": EPOCH_2}),
        ("epoch unknown", FORGED, {**good, "epoch": bytes(16)}),
        ("supersedes descending", MALFORMED, descending),
        ("supersedes one twice", MALFORMED, twice),
        ("supersedes nil", MALFORMED, {**good, "supersedes": None}),
        ("signature of 63 bytes", MALFORMED, {**good, "signature": flipped[:63]}),
        ("values an array", MALFORMED, {**good, "values": []}),
        *((f"without {key}", MALFORMED, {k: v for k, v in good.items() if k != key}) for key in good),
    ]
    return [
        bad(f"statement {name}", "§9: statement", effect, what="statement", hex=canonical(value).hex())
        for name, effect, value in rows
    ]


def bad_keyrings() -> list[Case]:
    ring = keyring()
    first, second = ring["epochs"]
    rows: list[tuple[str, Value]] = [
        *((f"without {key}", {k: v for k, v in ring.items() if k != key}) for key in ring),
        *((f"with an epoch without {key}", {**ring, "epochs": [without(first, key), second]}) for key in first),
        *((f"with {key} of 15 bytes", {**ring, key: bytes(15)}) for key in ("vault", "id_key", "seed")),
        *((f"with an epoch's {key} of 15 bytes", {**ring, "epochs": [{**first, key: bytes(15)}]}) for key in first),
        ("without any epoch", {**ring, "epochs": []}),
        ("whose epochs are a map", {**ring, "epochs": first}),
        ("that is an array", list(ring.values())),
    ]
    return [
        bad(f"keyring {name}", "§9: keyring", MALFORMED, what="keyring", hex=canonical(v).hex()) for name, v in rows
    ]


def without(value: dict[str, Value], key: str) -> dict[str, Value]:
    return {k: v for k, v in value.items() if k != key}


def bad_wraps() -> list[Case]:
    good = wrap(LOCAL_KEY, LOCAL_LABEL, b"any bytes", labelled("wrap", 32))
    rows = [
        ("salt flipped", FORGED, LOCAL_KEY, LOCAL_LABEL, bytes([good[0] ^ 1]) + good[1:]),
        ("ciphertext flipped", FORGED, LOCAL_KEY, LOCAL_LABEL, good[:32] + bytes([good[32] ^ 1]) + good[33:]),
        ("tag flipped", FORGED, LOCAL_KEY, LOCAL_LABEL, good[:-1] + bytes([good[-1] ^ 1])),
        ("label of another account", FORGED, LOCAL_KEY, LOCAL_LABEL[:-1] + b"\x00", good),
        ("label of the store", FORGED, LOCAL_KEY, STORE_LABEL, good),
        ("key of another device", FORGED, bytes(32), LOCAL_LABEL, good),
        ("cut by one byte", FORGED, LOCAL_KEY, LOCAL_LABEL, good[:-1]),
        ("cut to 47 bytes", MALFORMED, LOCAL_KEY, LOCAL_LABEL, good[:47]),
        ("empty", MALFORMED, LOCAL_KEY, LOCAL_LABEL, b""),
    ]
    return [
        bad(f"wrap {name}", "§10: wrap", effect, what="wrap", key=key.hex(), label=label.hex(), hex=raw.hex())
        for name, effect, key, label, raw in rows
    ]


def document() -> dict[str, Any]:
    return {
        "about": "Keyrings, statements, certificates (SPEC §9) under the keyring given, keys of the own vault file,"
        " and wraps of the device's store (§10).",
        "given": {"vault": VAULT.hex(), "admin": ADMIN.hex(), "keyring": rendered(keyring(None))},
        "good": [*keyring_cases(), *statement_cases(), certificate_case(), *own_cases(), *wrap_cases()],
        "bad": [*bad_keyrings(), *bad_statements(), *bad_wraps()],
    }
