"""States that no fold gives: one for each part of the encoding in SPEC §6."""

from typing import Any

from vector_basis import Case, Value, canonical, labelled

RULE = "§6: encode(state)"
SUBJECT, OTHER = labelled("subject 1", 16), labelled("subject 2", 16)
WRITER = labelled("writer", 16)
HASH = labelled("hash", 16)
DOT: list[Value] = [WRITER, 2, HASH, 1000, False, True, "x"]
LATER: list[Value] = [WRITER, 3, HASH, 1000, False, True, "y"]
PIECE: list[Value] = [WRITER, 1, 1, HASH]


def row(**changes: Any) -> list[Value]:
    """One subject with one register, some parts changed."""
    dots, pieces = changes.get("dots", [DOT]), changes.get("pieces", [PIECE])
    registers = changes.get("registers", {changes.get("name", "name"): [dots, pieces]})
    return [
        changes.get("subject", SUBJECT),
        changes.get("born", 1),
        changes.get("changed", 1),
        changes.get("counters", {"00" * 16: 1}),
        registers,
    ]


def dot(place: int, value: Value) -> list[Value]:
    return [*DOT[:place], value, *DOT[place + 1 :]]


def states() -> dict[str, Value]:
    low, high = sorted([SUBJECT, OTHER])
    return {
        "a map": {},
        "a str": "",
        "nil": None,
        "row of four": [row()[:4]],
        "row of six": [[*row(), 1]],
        "subject of 15 bytes": [row(subject=SUBJECT[:15])],
        "subject a str": [row(subject="a" * 16)],
        "subjects descending": [row(subject=high), row(subject=low)],
        "subject twice": [row(), row()],
        "born a str": [row(born="1")],
        "born negative": [row(born=-1)],
        "born a bool": [row(born=True)],
        "changed a str": [row(changed="1")],
        "changed negative": [row(changed=-1)],
        "counters nil": [row(counters=None)],
        "counters an array": [row(counters=[])],
        "counter key of 15 bytes": [row(counters={"00" * 15: 1})],
        "counter key in upper case": [row(counters={"AB" * 16: 1})],
        "counter key with a space": [row(counters={"00" * 8 + " " + "00" * 8: 1})],
        "counter negative": [row(counters={"00" * 16: -1})],
        "counter a str": [row(counters={"00" * 16: "1"})],
        "registers nil": [row(registers=None)],
        "registers an array": [row(registers=[])],
        "register of one": [row(registers={"name": [[DOT]]})],
        "register of three": [row(registers={"name": [[DOT], [PIECE], []]})],
        "dots nil": [row(dots=None)],
        "dots a map": [row(dots={})],
        "dots descending": [row(dots=[LATER, DOT])],
        "dot twice": [row(dots=[DOT, DOT])],
        "dot of six": [row(dots=[DOT[:6]])],
        "dot of eight": [row(dots=[[*DOT, 1]])],
        "dot with a writer of 15 bytes": [row(dots=[dot(0, WRITER[:15])])],
        "dot with seq 0": [row(dots=[dot(1, 0)])],
        "dot with seq a bool": [row(dots=[dot(1, True)])],
        "dot with a hash of 32 bytes": [row(dots=[dot(2, HASH * 2)])],
        "dot with a wall negative": [row(dots=[dot(3, -1)])],
        "dot with weak an int": [row(dots=[dot(4, 0)])],
        "dot with known an int": [row(dots=[dot(5, 1)])],
        "dot with a value that its field forbids": [row(dots=[dot(6, 1)])],
        "dot of live that is not true": [row(name="live", dots=[dot(6, False)])],
        "pieces nil": [row(pieces=None)],
        "pieces descending": [row(pieces=[[WRITER, 5, 6, HASH], PIECE])],
        "piece twice": [row(pieces=[PIECE, PIECE])],
        "pieces that touch": [row(pieces=[PIECE, [WRITER, 2, 3, HASH]])],
        "pieces that overlap": [row(pieces=[[WRITER, 1, 3, HASH], [WRITER, 2, 4, HASH]])],
        "piece of three": [row(pieces=[PIECE[:3]])],
        "piece first 0": [row(pieces=[[WRITER, 0, 1, HASH]])],
    }


def bad() -> list[Case]:
    return [
        {"name": name, "why": RULE, "effect": "malformed", "state": canonical(value).hex()}
        for name, value in states().items()
    ]
