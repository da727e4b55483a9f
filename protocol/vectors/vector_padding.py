"""padding.json: padded sizes at every boundary and padded contents to refuse (SPEC §8)."""

from typing import Any

from vector_basis import Case, bad, packed_hex

LARGEST_CONTENT = 67_108_864


def padded_size(length: int) -> int:
    """P(length), length counting the four bytes of the length itself."""
    if length > 16_384:
        exponent = length.bit_length() - 1
        step = 1 << (exponent - exponent.bit_length())
        length = -(-length // step) * step
    return -(-length // 1024) * 1024


def padded(content: bytes) -> bytes:
    framed = len(content).to_bytes(4, "big") + content
    return framed.ljust(padded_size(len(framed)), b"\x00")


def interesting_lengths() -> list[int]:
    """Content lengths at, below and above each change of P's step, from none to the largest content."""
    edges = {1024 * k for k in (1, 2, 15, 16, 17)}
    edges |= {2**e for e in range(14, 27)} | {2**e + 2 ** (e - e.bit_length()) for e in range(14, 27)}
    lengths = {edge - 4 + d for edge in edges for d in (-1, 0, 1)} | {0, 1, 2, LARGEST_CONTENT, LARGEST_CONTENT - 1}
    return sorted(n for n in lengths if 0 <= n <= LARGEST_CONTENT)


def bad_cases() -> list[Case]:
    exact, zeros, length = "the exact size", "zeros", "u32 length of the content"
    content = b"content"
    right = padded(content)
    full = padded(b"\x01" * 1020)
    large = padded(b"\x01" * 70_000)
    cases = [
        ("last byte not zero", zeros, right[:-1] + b"\x01"),
        ("first byte of the padding not zero", zeros, right[:11] + b"\x80" + right[12:]),
        ("1,024 bytes too many", exact, right + bytes(1024)),
        ("one byte too many", exact, right + b"\x00"),
        ("one byte too few", exact, right[:-1]),
        ("not padded", exact, right[:11]),
        ("no padding where the content is full, then 1,024 zeros", exact, full + bytes(1024)),
        ("multiple of 1,024 where Padmé asks for 2,048", exact, large[:-1024]),
        ("length one beyond what is there", length, b"\x00\x00\x03\xfd" + bytes(1020)),
        ("length 2^32-1", length, b"\xff\xff\xff\xff" + bytes(1020)),
        ("length shorter than the content", zeros, b"\x00\x00\x00\x06" + right[4:]),
        ("only a length", exact, bytes(4)),
        ("three bytes", length, bytes(3)),
        ("nothing", length, b""),
    ]
    return [bad(name, f"§8 padding: {why}", "malformed", padded=packed_hex(raw)) for name, why, raw in cases]


def document() -> dict[str, Any]:
    sizes: list[Case] = [
        {"name": f"content of {n}", "length": n, "total": padded_size(4 + n)} for n in interesting_lengths()
    ]
    whole: list[Case] = [
        {"name": f"{n} bytes, whole", "content": packed_hex(b"\x2a" * n), "padded": packed_hex(padded(b"\x2a" * n))}
        for n in (0, 1, 1019, 1020, 1021, 16_380, 16_381, 70_000)
    ]
    return {
        "about": "Padding (SPEC §8): length of a content and size of its padded form; bytes are hex or [hex, times].",
        "good": sizes + whole,
        "bad": [
            *bad_cases(),
            bad(
                "content one byte too large",
                f"§8: a content has at most {LARGEST_CONTENT} bytes",
                "malformed",
                padded=[
                    [(LARGEST_CONTENT + 1).to_bytes(4, "big").hex(), 1],
                    ["00", padded_size(LARGEST_CONTENT + 5) - 4],
                ],
            ),
        ],
    }
