"""state.json: histories of three writers and the state that they fold to, in any order (SPEC §6)."""

from typing import Any

from vector_basis import Case, Json, Value, rendered, sha
from vector_cast import Event
from vector_fold import Subject, encode, fold, winner_and_conflicts
from vector_state_bad import bad
from vector_stories import STORIES, invalid_in


def shown(subject: Subject) -> Json:
    """What people see of a subject: existence, winners, conflicts and, of a hotp account, the counter."""
    fields: dict[str, Value] = {}
    conflicts: dict[str, Value] = {}
    unknown = []
    for name, register in sorted(subject.registers.items()):
        if name == "live" or not register.dots:
            continue
        winner, rivals = winner_and_conflicts(register, name)
        fields[name] = rendered(register.dots[winner][3])
        if not register.dots[winner][2]:
            unknown.append(name)
        if rivals:
            conflicts[name] = [[dot[0].hex(), dot[1], rendered(register.dots[dot][3])] for dot in rivals]
    exists = "live" in subject.registers and bool(subject.registers["live"].dots)
    return {"exists": exists, "fields": fields, "unknown": unknown, "conflicts": conflicts, **counter(subject, fields)}


def counter(subject: Subject, fields: dict[str, Value]) -> Case:
    otp = fields.get("otp")
    if not isinstance(otp, dict) or "counter_key" not in otp:
        return {}
    return {"counter": subject.counters[bytes.fromhex(otp["counter_key"]["bin"])]}


def shuffled(events: list[Event], turn: int) -> list[Event]:
    """An order of these events that looks random and is the same each time."""
    places = sorted(range(len(events)), key=lambda place: sha(bytes([turn]), place.to_bytes(4, "big")))
    return [events[place] for place in places]


def state_case(name: str, events: list[Event]) -> Case:
    invalid = invalid_in(events)
    state = fold(events, invalid)
    expected = encode(state)
    for turn in range(20):
        if encode(fold(shuffled(events, turn), invalid)) != expected:
            raise AssertionError(f"the order of events matters: {name}")
    return {
        "name": name,
        "events": [event.stored() for event in events],
        "state": expected.hex(),
        "shown": {subject.hex(): shown(state[subject]) for subject in sorted(state)},
    }


def document() -> dict[str, Any]:
    return {
        "about": "Histories and the state they fold to (SPEC §6), in whatever order their events are applied;"
        ' "shown" gives winners and, as [writer, seq, value] from the greatest, the survivors in conflict.',
        "good": [state_case(name, story()) for name, story in STORIES.items()],
        "bad": bad(),
    }
