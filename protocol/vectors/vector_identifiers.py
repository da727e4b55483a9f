"""identifiers.json: every id of SPEC §3, counter keys (§5) and recovery codes as text (§9)."""

from typing import Any

from vector_basis import Case, Value, bad, canonical, labelled, mac, public_key, rendered, sha

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def vault_id(first_admin: bytes) -> bytes:
    return sha(b"otpkeep/v1/vault", first_admin)[:16]


def device_id(device: bytes) -> bytes:
    return sha(b"otpkeep/v1/device", device)[:16]


def writer_id(device: bytes, nonce: bytes) -> bytes:
    return sha(b"otpkeep/v1/writer", device, nonce)[:16]


def imported_account(id_key: bytes, identity: Value) -> bytes:
    return mac(id_key, b"otpkeep/v1/account", canonical(identity))[:16]


def event_hash(envelope: bytes) -> bytes:
    return sha(b"otpkeep/v1/event", envelope)


def counter_key(secret: bytes) -> bytes:
    return sha(b"otpkeep/v1/counter", secret)[:16]


def file_name(stored: bytes) -> str:
    return sha(stored).hex()[:32] + ".otpk"


def without_counter(otp: dict[str, Value]) -> dict[str, Value]:
    return {key: value for key, value in otp.items() if key not in ("counter", "counter_key")}


def check_digit(group: int, digits: str) -> str:
    return ALPHABET[sha(b"otpkeep/v1/code", bytes([group]), digits.encode())[0] >> 3]


def code_text(secret: bytes) -> str:
    """The 20 bytes of a recovery code as 8 groups of four digits and a check digit."""
    bits = int.from_bytes(secret, "big")
    digits = "".join(ALPHABET[bits >> (5 * i) & 31] for i in reversed(range(32)))
    quads = [digits[i : i + 4] for i in range(0, 32, 4)]
    return "-".join(quad + check_digit(i, quad) for i, quad in enumerate(quads))


def code_cases() -> list[Case]:
    text = code_text(labelled("code", 20))
    zeros = code_text(bytes(20))
    variants = [text.lower(), text.replace("-", ""), text.replace("-", " "), f"  {text} ", text.replace("-", "--")]
    variants += [" ".join(text.replace("-", "")), text.replace("0", "O").replace("1", "I")]
    variants.append(text.lower().replace("0", "o").replace("1", "l"))
    return [
        {"name": "recovery code", "what": "code", "secret": labelled("code", 20).hex(), "text": text, "also": variants},
        {
            "name": "recovery code of zeros, O and o for 0",
            "what": "code",
            "secret": bytes(20).hex(),
            "text": zeros,
            "also": [zeros.replace("0", "O"), zeros.replace("0", "o")],
        },
        {
            "name": "recovery code of ones",
            "what": "code",
            "secret": (b"\xff" * 20).hex(),
            "text": code_text(b"\xff" * 20),
            "also": [],
        },
        {
            "name": "recovery code that counts up: 00443214C74254B635CF84653A56D7C675BE77DF",
            "what": "code",
            "secret": "00443214c74254b635cf84653a56d7c675be77df",
            "text": code_text(bytes.fromhex("00443214c74254b635cf84653a56d7c675be77df")),
            "also": [],
        },
    ]


def next_digit(digit: str) -> str:
    return ALPHABET[(ALPHABET.index(digit) + 1) % 32]


def bad_codes() -> list[Case]:
    groups = code_text(labelled("code", 20)).split("-")
    texts = []
    for i, group in enumerate(groups):
        wrong = [*groups[:i], group[:4] + next_digit(group[4]), *groups[i + 1 :]]
        texts.append((f"check digit of group {i + 1} wrong", "a check digit", "-".join(wrong)))
    typo = next_digit(groups[0][1])
    swapped = [groups[1], groups[0], *groups[2:]]
    texts += [
        ("one digit mistyped", "a check digit", "-".join([groups[0][0] + typo + groups[0][2:], *groups[1:]])),
        ("two groups exchanged", "the group number in the check digit", "-".join(swapped)),
        ("seven groups", "8 groups", "-".join(groups[:7])),
        ("nine groups", "8 groups", "-".join([*groups, groups[0]])),
        ("last digit missing", "8 groups of five", "-".join(groups)[:-1]),
        ("nothing", "8 groups", ""),
        ("the letter U", "the alphabet", "-".join(["U" + groups[0][1:], *groups[1:]])),
        ("a sign outside the alphabet", "the alphabet", "-".join(["*" + groups[0][1:], *groups[1:]])),
        ("a digit of another script", "the alphabet", "-".join(["\uff10" + groups[0][1:], *groups[1:]])),
    ]
    return [bad(name, f"§9: {why}", "malformed", what="code", text=text) for name, why, text in texts]


def account_cases() -> list[Case]:
    id_key = labelled("id key", 32)
    hotp: dict[str, Value] = {
        "type": "hotp",
        "secret": b"12345678901234567890",
        "algorithm": "SHA1",
        "digits": 6,
        "counter": 41,
        "counter_key": counter_key(b"12345678901234567890"),
    }
    by_otp = ["otp", sha(canonical(without_counter(hotp))), "Example", "alice@example.org"]
    identities: list[tuple[str, list[Value]]] = [
        ("imported account, Aegis", ["aegis", "01234567-89ab-cdef-0123-456789abcdef"]),
        ("imported account by its otp", [*by_otp, 0]),
        ("imported account by its otp, the second equal entry", [*by_otp, 1]),
        ("imported account by its otp, no issuer and name", [*by_otp[:2], "", "", 0]),
    ]
    return [
        {
            "name": name,
            "what": "account",
            "id_key": id_key.hex(),
            "identity": rendered(identity),
            **({"otp": rendered(hotp)} if identity[0] == "otp" else {}),
            "id": imported_account(id_key, identity).hex(),
        }
        for name, identity in identities
    ]


def document() -> dict[str, Any]:
    admin, device = public_key(labelled("admin", 32)), public_key(labelled("device A", 32))
    nonce, envelope = labelled("nonce A", 16), b"any bytes: the hash does not parse them"
    writer = writer_id(device, nonce)
    dot = [writer.hex(), 17, event_hash(envelope)[:16].hex()]
    good: list[Case] = [
        {"name": "vault", "what": "vault", "admin": admin.hex(), "id": vault_id(admin).hex()},
        {"name": "device", "what": "device", "device": device.hex(), "id": device_id(device).hex()},
        {
            "name": "writer",
            "what": "writer",
            "device": device.hex(),
            "nonce": nonce.hex(),
            "id": writer.hex(),
        },
        *account_cases(),
        {"name": "event hash", "what": "event", "envelope": envelope.hex(), "hash": event_hash(envelope).hex()},
        {"name": "dot", "what": "dot", "writer": writer.hex(), "seq": 17, "envelope": envelope.hex(), "dot": dot},
        {
            "name": "event id for people",
            "what": "people",
            "writer": writer.hex(),
            "seq": 17,
            "id": writer.hex()[:6] + ".17",
        },
        {"name": "file name", "what": "file", "stored": envelope.hex(), "file": file_name(envelope)},
        {"name": "file name of nothing", "what": "file", "stored": "", "file": file_name(b"")},
        {
            "name": "counter key",
            "what": "counter key",
            "secret": b"12345678901234567890".hex(),
            "id": counter_key(b"12345678901234567890").hex(),
        },
        *code_cases(),
    ]
    return {
        "about": 'Identifiers (SPEC §3), counter keys (§5) and recovery codes (§9); "also" are texts of the same code.',
        "good": good,
        "bad": bad_codes(),
    }
