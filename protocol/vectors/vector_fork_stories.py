"""Histories of a forked writer for state.json: what covers what, as far as held envelopes prove it (SPEC §6, §7)."""

from collections.abc import Callable

from vector_cast import Event
from vector_story import three, union

Story = Callable[[], list[Event]]


def forked(hear_second: bool, without: str = "") -> Story:
    """A is cloned after event 3; B has heard of one branch (and its second event) and edits the same field."""

    def story() -> list[Event]:
        a, b, c, _ = three()
        twin = a.clone()
        first = a.edit({"issuer": "branch 1"})
        second = a.edit({"name": "branch 1, second"})
        twin.edit({"issuer": "branch 2"})
        b.hear(first, *([second] if hear_second else []))
        b.edit({"issuer": "B, who saw branch 1"})
        gone = {"first": first.hash, "second": second.hash, "": b""}[without]
        return [event for event in union(a, twin, b, c) if event.hash != gone]

    return story


def both_branches() -> list[Event]:
    a, b, c, _ = three()
    twin = a.clone()
    a.edit({"issuer": "branch 1"})
    twin.edit({"issuer": "branch 2"})
    twin.delete()
    c.hear(*union(a, twin))
    c.edit({"issuer": "C, who saw both"})
    return union(a, twin, b, c)
