"""Bad sealed files: headers, chunks and padding (SPEC §8)."""

from vector_basis import Case, bad, canonical
from vector_cast import EPOCH_KEY
from vector_full_chunks import run_of_size
from vector_padding import padded
from vector_sealing import CHUNK, Start, run_of, sealed
from vector_story import three

HEADER, TAG = 109, 16
MALFORMED, FORGED, WRONG_KEY, UNKNOWN = "malformed", "not-authentic", "wrong-key", "unknown-version"
FIELDS = [
    (0, "magic, first byte", MALFORMED),
    (7, "magic, last byte", MALFORMED),
    (9, "minor version", FORGED),
    (13, "vault, first byte", WRONG_KEY),
    (28, "vault, last byte", WRONG_KEY),
    (29, "epoch, first byte", WRONG_KEY),
    (44, "epoch, last byte", WRONG_KEY),
    (45, "salt, first byte", WRONG_KEY),
    (76, "salt, last byte", WRONG_KEY),
    (77, "commitment, first byte", WRONG_KEY),
    (108, "commitment, last byte", WRONG_KEY),
]
Row = tuple[str, str, str, bytes]


def run_content() -> bytes:
    a, _, _, everything = three()
    return canonical(run_of(a.device, [e for e in everything if e.header["writer"] == a.device.writer]))


def flipped(stored: bytes, at: int) -> bytes:
    return stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]


def with_byte(stored: bytes, at: int, value: int) -> bytes:
    return stored[:at] + bytes([value]) + stored[at + 1 :]


def headers(stored: bytes, content: bytes) -> list[Row]:
    rule = "§8: header"
    return [
        *((f"header: {name} flipped", rule, effect, flipped(stored, at)) for at, name, effect in FIELDS),
        (
            "header: major version 2 written over 1",
            "§8: higher major, valid commitment",
            UNKNOWN,
            with_byte(stored, 8, 2),
        ),
        ("header: major version 0", rule, MALFORMED, with_byte(stored, 8, 0)),
        ("header: a critical bit written over 0", "§8: unknown critical bit", UNKNOWN, with_byte(stored, 11, 1)),
        (
            "header: the highest critical bit written over 0",
            "§8: unknown critical bit",
            UNKNOWN,
            with_byte(stored, 10, 128),
        ),
        ("header: type 0", "§8: type is 1 or 2", MALFORMED, with_byte(stored, 12, 0)),
        ("header: type 3", "§8: type is 1 or 2", MALFORMED, with_byte(stored, 12, 3)),
        ("major version 2, sealed so", "§8: higher major, valid commitment", UNKNOWN, sealed(content, Start(major=2))),
        ("critical bit, sealed so", "§8: unknown critical bit", UNKNOWN, sealed(content, Start(critical=1))),
        ("vault of another, sealed so", "§8: the header's vault", WRONG_KEY, sealed(content, Start(vault=bytes(16)))),
        ("epoch unknown, sealed so", "§8: the header's epoch", WRONG_KEY, sealed(content, Start(epoch=bytes(16)))),
        ("sealed with another key", "§8: key commitment", WRONG_KEY, sealed(content, key=bytes(32))),
    ]


def lengths(stored: bytes) -> list[Row]:
    short = [(n, MALFORMED) for n in (0, 7, 8, 45, 77, HEADER - 1, HEADER, HEADER + 1, HEADER + TAG)]
    cut = [(n, FORGED) for n in (HEADER + TAG + 1, HEADER + 1024, len(stored) - TAG, len(stored) - 1)]
    rule = "§8: header and at least one chunk that is not empty, each with its tag"
    return [
        *((f"cut to {n} bytes", rule, effect, stored[:n]) for n, effect in short + cut),
        ("one byte more", "§8: tags", FORGED, stored + b"\x00"),
        ("first byte of the ciphertext flipped", "§8: tags", FORGED, flipped(stored, HEADER)),
        ("last byte of the tag flipped", "§8: tags", FORGED, flipped(stored, len(stored) - 1)),
    ]


def chunks_and_padding(content: bytes) -> list[Row]:
    plain = padded(content)
    full = padded(canonical(run_of_size(65_532)))
    half = len(plain) // 2
    short_chunks = [(plain[:half], False), (plain[half:], True)]
    beyond = (len(plain)).to_bytes(4, "big") + plain[4:]
    return [
        ("final flag 0 on the last chunk", "§8: flag 1 if last", FORGED, sealed(content, chunks=[(plain, False)])),
        (
            "final flag on the first of two chunks",
            "§8: flag",
            FORGED,
            sealed(b"", plain=full, chunks=[(full, True), (full[:1024], True)]),
        ),
        (
            "empty last chunk",
            "§8: the last chunk is never empty",
            MALFORMED,
            sealed(b"", plain=full, chunks=[(full, False), (b"", True)]),
        ),
        ("chunks smaller than 65,536", "§8: chunks of 65,536 bytes", FORGED, sealed(content, chunks=short_chunks)),
        ("padding not zero", "§8: zeros", MALFORMED, sealed(b"", plain=plain[:-1] + b"\x01")),
        ("padding too long", "§8: the exact size", MALFORMED, sealed(b"", plain=plain + bytes(1024))),
        ("padding too short", "§8: the exact size", MALFORMED, sealed(b"", plain=plain[: 4 + len(content)])),
        ("length beyond the plaintext", "§8: length", MALFORMED, sealed(b"", plain=beyond)),
    ]


def sliced() -> list[Case]:
    base, piece = "run of two full chunks", CHUNK + TAG
    first, second = [HEADER, HEADER + piece], [HEADER + piece, HEADER + 2 * piece]
    rows = [
        ("last chunk dropped", [[0, HEADER], first]),
        ("first chunk dropped", [[0, HEADER], second]),
        ("chunks exchanged", [[0, HEADER], second, first]),
        ("first chunk twice", [[0, HEADER], first, first]),
        ("last chunk twice", [[0, HEADER], first, second, second]),
        ("last chunk cut by one byte", [[0, HEADER], first, [second[0], second[1] - 1]]),
        ("last chunk cut to its tag's length", [[0, HEADER], first, [second[0], second[0] + TAG]]),
    ]
    return [
        bad(name, "§8: nonce holds the index and whether it is last", FORGED, what="sealed", base=base, slices=slices)
        for name, slices in rows
    ]


def bad_files() -> list[Case]:
    content = run_content()
    stored = sealed(content, key=EPOCH_KEY)
    rows = [*headers(stored, content), *lengths(stored), *chunks_and_padding(content)]
    whole = [bad(name, why, effect, what="sealed", hex=raw.hex()) for name, why, effect, raw in rows]
    return whole + sliced()
