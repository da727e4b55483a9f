"""The histories of state.json: three writers, concurrent edits, deletes, weak adds, counters, holes (SPEC §6)."""

from vector_basis import labelled
from vector_cast import ACCOUNT, ACCOUNT_2, SECRET, WALL, Event, otp_of, placeholder_of
from vector_fork_stories import Story, both_branches, forked
from vector_identifiers import counter_key
from vector_story import three, union


def one_field() -> list[Event]:
    a, b, c, _ = three()
    a.edit({"issuer": "from A"}, wall=WALL + 90_000)
    b.edit({"issuer": "from B"}, wall=WALL + 95_000)
    c.edit({"issuer": "from C"}, wall=WALL + 80_000)
    return union(a, b, c)


def settled() -> list[Event]:
    a, b, _, _ = three()
    a.edit({"issuer": "from A"}, wall=WALL + 90_000)
    b.edit({"issuer": "from B, in 2099"}, wall=WALL + 2_400_000_000_000)
    a.hear(*b.held)
    a.edit({"issuer": "settled"}, wall=WALL + 91_000)
    return union(a, b)


def other_fields() -> list[Event]:
    a, b, c, _ = three()
    a.edit({"issuer": "from A"})
    b.edit({"name": "from B", "tags": ["b"]})
    c.edit({"otp": otp_of(digits=8), "note": "from C"})
    return union(a, b, c)


def same_wall() -> list[Event]:
    a, b, c, _ = three()
    for author in (a, b, c):
        author.edit({"name": f"from {author.device.label}", "note": "equal"}, wall=WALL + 90_000)
    return union(a, b, c)


def delete_and_edit() -> list[Event]:
    a, b, _, _ = three()
    a.delete(wall=WALL + 95_000)
    b.edit({"name": "renamed meanwhile"}, wall=WALL + 90_000)
    return union(a, b)


def delete_and_position() -> list[Event]:
    a, b, _, _ = three()
    a.delete()
    b.edit({"position": 3, "favourite": True})
    return union(a, b)


def deletes() -> list[Event]:
    a, b, _, _ = three()
    a.delete()
    b.delete()
    return union(a, b)


def revived() -> list[Event]:
    a, b, _, _ = three()
    a.delete()
    b.hear(*a.held)
    b.edit({"name": "back"})
    return union(a, b)


def unset() -> list[Event]:
    a, b, _, _ = three()
    a.edit({"issuer": None})
    b.add(otp_of("motp"), ACCOUNT_2)
    return union(a, b)


def weak_adds() -> list[Event]:
    a, b, c, _ = three()
    a.add(otp_of(digits=8), ACCOUNT_2, weak=True, wall=WALL + 95_000)
    b.add(otp_of(digits=7), ACCOUNT_2, weak=True, wall=WALL + 90_000)
    c.edit({"otp": otp_of(digits=6)}, ACCOUNT_2, wall=WALL + 20_000)
    return union(a, b, c)


def only_weak() -> list[Event]:
    a, b, _, _ = three()
    a.add(otp_of(digits=8), ACCOUNT_2, weak=True, wall=WALL + 95_000)
    b.add(otp_of(digits=7), ACCOUNT_2, weak=True, wall=WALL + 90_000)
    return union(a, b)


def hotp() -> list[Event]:
    a, b, c, _ = three()
    a.add(otp_of("hotp", counter=5), ACCOUNT_2)
    b.hear(*a.held)
    c.hear(*a.held)
    a.use(counter_key(SECRET), 6, ACCOUNT_2)
    b.use(counter_key(SECRET), 9, ACCOUNT_2)
    c.edit({"otp": otp_of("hotp", digits=8, counter=5)}, ACCOUNT_2)
    c.add(otp_of("hotp", counter=0), ACCOUNT_2, weak=True)
    return union(a, b, c)


def hotp_reset() -> list[Event]:
    a, b, _, _ = three()
    a.add(otp_of("hotp", counter=5), ACCOUNT_2)
    b.hear(*a.held)
    a.use(counter_key(SECRET), 70, ACCOUNT_2)
    b.edit({"otp": otp_of("hotp", counter=1, counter_key=labelled("reset", 16))}, ACCOUNT_2)
    return union(a, b)


def counters_no_conflict() -> list[Event]:
    a, b, _, _ = three()
    a.edit({"otp": otp_of("hotp", counter=5)})
    b.edit({"otp": otp_of("hotp", counter=7, counter_key=labelled("reset", 16))})
    return union(a, b)


def use_alone() -> list[Event]:
    a, b, _, _ = three()
    add = a.add(otp_of("hotp", counter=5), ACCOUNT_2)
    b.hear(*a.held)
    b.use(counter_key(SECRET), 6, ACCOUNT_2)
    return [event for event in union(a, b) if event.hash != add.hash]


def holes() -> list[Event]:
    a, b, c, _ = three()
    first = a.edit({"issuer": "first"})
    a.edit({"issuer": "second"})
    b.hear(a.held[-1])
    b.edit({"issuer": "third", "note": "B held A's second only"})
    c.edit({"issuer": "from C"})
    return [event for event in union(a, b, c) if event.hash != first.hash]


def hole_not_covered() -> list[Event]:
    a, b, c, _ = three()
    a.edit({"issuer": "first, which B did not hold"})
    a.edit({"name": "second"})
    b.hear(a.held[-1])
    b.edit({"issuer": "third, by B who held A's second only"})
    return union(a, b, c)


def without_add() -> list[Event]:
    a, b, _, everything = three()
    a.edit({"issuer": "edited"})
    return [event for event in union(a, b) if event.header["kind"] != "account.add" or event not in everything]


def redelivered() -> list[Event]:
    events = settled()
    return [*events, *events[3:], *reversed(events)]


def body_dropped() -> list[Event]:
    a, b, c, _ = three()
    a.edit({"issuer": "from A", "name": "n"}, wall=WALL + 90_000)
    dropped = b.edit({"issuer": "from B, dropped"}, wall=WALL + 95_000)
    c.edit({"note": "dropped as well"})
    gone = {dropped.hash, c.held[-1].hash}
    return [event.without_body() if event.hash in gone else event for event in union(a, b, c)]


def body_comes_back() -> list[Event]:
    return [*body_dropped(), *[event for event in union_of_dropped() if event.header["seq"] == 3]]


def union_of_dropped() -> list[Event]:
    a, b, c, _ = three()
    a.edit({"issuer": "from A", "name": "n"}, wall=WALL + 90_000)
    b.edit({"issuer": "from B, dropped"}, wall=WALL + 95_000)
    c.edit({"note": "dropped as well"})
    return union(a, b, c)


def unknown_things() -> list[Event]:
    a, b, _, _ = three()
    a.write("account.paint", {"colour": "red", "issuer": "painted"}, account=ACCOUNT, alive=True)
    b.write("account.paint", {"colour": "blue"}, {"brush": 3}, account=ACCOUNT)
    b.write("account.fade", account=ACCOUNT, alive=False)
    return union(a, b)


def devices() -> list[Event]:
    a, b, c, _ = three()
    a.write("device.rename", {"label": "Laptop"}, account=b.device.id)
    b.write("device.rename", {"label": "Notebook"}, account=b.device.id, wall=WALL + 90_000)
    c.write("device.retire", {"retired": True}, account=a.device.id)
    return union(a, b, c)


def placeholders() -> list[Event]:
    a, b, _, _ = three()
    a.add(placeholder_of("hotp"), ACCOUNT_2)
    b.add({"placeholder": "push"}, labelled("account 3", 16))
    return union(a, b)


def invalid_event() -> list[Event]:
    a, b, _, _ = three()
    a.edit({"issuer": 5, "name": "lost with it"})
    a.edit({"note": "after the invalid one"})
    b.edit({"issuer": "from B"})
    return union(a, b)


def invalid_in(events: list[Event]) -> frozenset[bytes]:
    """The events whose issuer is an int: the only invalid ones that the stories have."""
    return frozenset(e.hash for e in events if e.values and isinstance(e.values["set"].get("issuer"), int))


STORIES: dict[str, Story] = {
    "one add": lambda: three()[3],
    "concurrent edits of one field": one_field,
    "a conflict is settled by the next edit, whatever the clock said": settled,
    "concurrent edits of different fields": other_fields,
    "equal walls are decided by writer; equal values are no conflict": same_wall,
    "an edit beats a concurrent delete": delete_and_edit,
    "an edit of position and favourite does not revive": delete_and_position,
    "concurrent deletes": deletes,
    "an edit that has seen the delete revives": revived,
    "a field unset, and a second account": unset,
    "weak adds lose to an older edit without conflict": weak_adds,
    "only weak adds are in conflict with each other": only_weak,
    "hotp counters rise, whatever is edited or imported again": hotp,
    "hotp counter with a new key after a reset": hotp_reset,
    "otp values are compared without counters": counters_no_conflict,
    "a use without its add: a subject that nothing has written": use_alone,
    "a hole: an event that is named and not held": holes,
    "a hole in what the author held: the dot in it is not covered": hole_not_covered,
    "an edit without its add": without_add,
    "every event twice and more": redelivered,
    "bodies dropped: unknown never wins over known": body_dropped,
    "bodies dropped, then held again": body_comes_back,
    "unknown kinds, fields and body keys": unknown_things,
    "devices renamed and retired": devices,
    "placeholders": placeholders,
    "an invalid event occupies its seq and has no effect": invalid_event,
    "forked writer: an edit that saw one branch does not cover the other": forked(hear_second=False),
    "forked writer: a piece that ends after the fork": forked(hear_second=True),
    "forked writer: walking back proves by prev, the event itself not held": forked(True, "first"),
    "forked writer: walking back meets an event that is not held, which proves nothing": forked(True, "second"),
    "forked writer: an edit that saw both branches covers both": both_branches,
}
