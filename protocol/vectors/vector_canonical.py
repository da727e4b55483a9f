"""canonical.json: values and their one encoding (SPEC §2), and encodings that a reader must refuse."""

from typing import Any

from vector_basis import LARGEST_INT, Case, Value, bad, canonical, packed_hex, rendered

EDGES = (0, 1, 127, 128, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**32, LARGEST_INT)
NEGATIVE_EDGES = (-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -LARGEST_INT)


def nested(depth: int, innermost: Value) -> Value:
    """`innermost` inside arrays, so that the whole has `depth` levels, the innermost counting as one."""
    value = innermost
    for _ in range(depth - 1):
        value = [value]
    return value


def good_values() -> list[tuple[str, Value]]:
    lengths = (0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536)
    return [
        ("nil", None),
        ("true", True),
        ("false", False),
        *((f"int {n}", n) for n in EDGES + NEGATIVE_EDGES),
        *((f"str of {n} bytes", "a" * n) for n in lengths),
        *((f"bin of {n} bytes", b"\x00" * n) for n in lengths),
        *((f"array of {n}", [None] * n) for n in (0, 1, 15, 16, 255, 256, 65535, 65536)),
        *((f"map of {n}", {f"{i:03}": i for i in range(n)}) for n in (0, 1, 15, 16, 300)),
        ("str outside ASCII", "é ☃ 🔑"),
        ("str in decomposed form stays as it is", "e\u0301"),
        ("str with U+0000", "a\u0000b"),
        ("str with a noncharacter", "\uffff\U0010ffff"),
        ("map keys ascend by encoded bytes, so the shorter first", {"b": 1, "aa": 2, "": 3, "B": 4}),
        ("map keys of 31 and 32 bytes", {"z" * 31: 1, "a" * 32: 2}),
        ("map keys outside ASCII", {"é": 1, "zz": 2, "za": 3}),
        ("depth 16, a scalar innermost", nested(16, 0)),
        ("depth 16, an empty array innermost", nested(16, [])),
        ("depth 16 through maps", {"k": nested(14, {"k": 1})}),
    ]


def bad_encodings() -> list[tuple[str, str, bytes]]:
    shortest, order = "the shortest form of each int, length and key", "map keys ascend and are distinct"
    types, text = "no floats, no ext types", "str is UTF-8 without surrogates"
    depth, end = "nesting at most 16", "no bytes after the value"
    h = bytes.fromhex
    return [
        *((f"int 5 in long form {x}", shortest, h(x)) for x in ("cc05", "cd0005", "ce00000005", "d005")),
        ("int 5 as int64", shortest, h("d30000000000000005")),
        ("int 5 as uint64", shortest, h("cf0000000000000005")),
        ("int 128 as uint16", shortest, h("cd0080")),
        ("int 128 as int16", shortest, h("d10080")),
        ("int 256 as int16, equally long as uint16", shortest + " (the unsigned family)", h("d10100")),
        ("int 65536 as int32, equally long as uint32", shortest + " (the unsigned family)", h("d200010000")),
        ("int 2^32 as int64, equally long", shortest + " (the unsigned family)", h("d30000000100000000")),
        ("int -1 as int8", shortest, h("d0ff")),
        ("int -32 as int8", shortest, h("d0e0")),
        ("int -33 as int16", shortest, h("d1ffdf")),
        ("str length as str8 where fixstr fits", shortest, h("d90161")),
        ("str length as str16 where str8 fits", shortest, h("da0020") + b"a" * 32),
        ("str length as str32", shortest, h("db0000000161")),
        ("bin length as bin16 where bin8 fits", shortest, h("c5000161")),
        ("bin length as bin32", shortest, h("c60000000161")),
        ("array length as array16 where fixarray fits", shortest, h("dc0001c0")),
        ("array length as array32", shortest, h("dd00000001c0")),
        ("map length as map16 where fixmap fits", shortest, h("de0001a161c0")),
        ("map length as map32", shortest, h("df00000001a161c0")),
        ("map key in long form", shortest, h("81d90161c0")),
        ("map keys unsorted", order, h("82a16201a16102")),
        ("map keys sorted as text, not by encoded bytes", order, h("82a2616101a16202")),
        ("map keys twice", order, h("82a16101a16101")),
        ("map keys unsorted inside an array", order, h("9182a16201a16102")),
        ("float 32", types, h("ca3f800000")),
        ("float 64", types, h("cb3ff0000000000000")),
        ("float inside a map", types, h("81a161cb3ff0000000000000")),
        ("fixext 1", types, h("d40100")),
        ("timestamp", types, h("d6ff00000000")),
        ("ext 8", types, h("c7010100")),
        ("the byte that msgpack never uses", types, h("c1")),
        ("int 2^53", "int within 2^53-1", h("cf0020000000000000")),
        ("int 2^64-1", "int within 2^53-1", h("cf") + b"\xff" * 8),
        ("int -2^53", "int within 2^53-1", h("d3ffe0000000000000")),
        ("surrogate in str", text, h("a3eda080")),
        ("surrogate in a map key", text, h("81a3eda080c0")),
        ("str that is not UTF-8", text, h("a1ff")),
        ("str in overlong UTF-8", text, h("a2c080")),
        ("str beyond U+10FFFF", text, h("a4f4908080")),
        ("int as map key", "map with str keys", h("810101")),
        ("bin as map key", "map with str keys", h("81c4016101")),
        ("nil as map key", "map with str keys", h("81c001")),
        ("depth 17, a scalar innermost", depth, canonical(nested(17, 0))),
        ("depth 17, an empty array innermost", depth, canonical(nested(17, []))),
        ("depth 17 through maps", depth, canonical({"k": nested(15, {"k": 1})})),
        ("depth 100,000", depth, b"\x91" * 99999 + b"\xc0"),
        ("a byte after the value", end, h("0100")),
        ("two values", end, h("c0c0")),
        ("nothing", "one value", b""),
        ("int cut short", "one value", h("cd01")),
        ("str cut short", "one value", h("a36161")),
        ("bin cut short", "one value", h("c4026f")),
        ("array cut short", "one value", h("9201")),
        ("array that claims 2^32-1 elements", "one value", h("ddffffffff")),
        ("map without its last value", "one value", h("81a161")),
    ]


def good_case(name: str, value: Value) -> Case:
    """Long arrays and strings of one repeated element show only their type and length."""
    case = {"name": name, "hex": packed_hex(canonical(value))}
    if isinstance(value, list | str) and len(value) >= 1024:
        return case | {"type": type(value).__name__, "length": len(value)}
    return case | {"value": rendered(value)}


def document() -> dict[str, Any]:
    return {
        "about": "Canonical values (SPEC §2); bytes are hex, or a list of [hex, times] to be joined;"
        ' in "value" a bin is {"bin": bytes}, and a value of 1,024 elements or more is only described.',
        "good": [good_case(name, value) for name, value in good_values()],
        "bad": [bad(name, f"§2: {why}", "malformed", hex=packed_hex(raw)) for name, why, raw in bad_encodings()],
    }
