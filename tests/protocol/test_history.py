"""The history of an account: what each event changed, and what its author did not know of."""

from __future__ import annotations

from otpkeep_protocol.chains import Chains
from otpkeep_protocol.events import Event
from otpkeep_protocol.history import Entry, annotate
from support_vault import Hand, delete, edit

ACCOUNT = b"a" * 16


def entries(*events: Event) -> dict[bytes, Entry]:
    """Entries by event, the events given in log order."""
    return {entry.event.hash: entry for entry in annotate(events, Chains(events).forks)}


def test_each_entry_has_what_its_author_saw_before(anna: Hand) -> None:
    anna.write(edit(ACCOUNT, name="y"))
    anna.write(edit(ACCOUNT, name="z", note="n"))

    found = annotate(anna.events[1:])

    assert [entry.before for entry in found] == [{}, {"name": "x"}, {"name": "y"}]
    assert not any(entry.concurrent for entry in found)


def test_edits_of_one_field_that_did_not_know_of_each_other_are_concurrent(anna: Hand, ben: Hand) -> None:
    seen = [anna.piece()]
    here = anna.write(edit(ACCOUNT, name="here"))
    there = ben.write(edit(ACCOUNT, name="there"), seen)

    found = entries(*anna.events[1:], there)

    assert (found[here.hash].concurrent, found[there.hash].concurrent) == (True, True)
    assert found[there.hash].before == {"name": "x"}
    assert not found[anna.events[1].hash].concurrent


def test_edits_of_different_fields_are_no_conflict_and_not_marked(anna: Hand, ben: Hand) -> None:
    seen = [anna.piece()]
    here = anna.write(edit(ACCOUNT, name="here"))
    there = ben.write(edit(ACCOUNT, note="there"), seen)

    found = entries(*anna.events[1:], there)

    assert not found[here.hash].concurrent
    assert not found[there.hash].concurrent


def test_an_edit_and_a_delete_that_did_not_know_of_each_other_are_concurrent(anna: Hand, ben: Hand) -> None:
    seen = [anna.piece()]
    gone = anna.write(delete(ACCOUNT))
    there = ben.write(edit(ACCOUNT, note="there"), seen)

    assert all(entries(*anna.events[1:], there)[event.hash].concurrent for event in (gone, there))


def test_an_author_who_missed_one_event_and_held_the_next_did_not_know_of_the_one(anna: Hand, ben: Hand) -> None:
    missed = anna.write(edit(ACCOUNT, name="missed"))
    anna.write(edit(ACCOUNT, note="seen"))
    there = ben.write(edit(ACCOUNT, name="there"), [anna.piece(1, 2), anna.piece(4, 4)])

    found = entries(*anna.events[1:], there)

    assert found[there.hash].before == {"name": "x"}
    assert (found[missed.hash].concurrent, found[there.hash].concurrent) == (True, True)


def test_branches_of_a_fork_are_concurrent(anna: Hand) -> None:
    twin = anna.copy("twin")
    one, other = anna.write(edit(ACCOUNT, name="one")), twin.write(edit(ACCOUNT, name="other"))

    found = entries(*anna.events[1:], other)

    assert (found[one.hash].concurrent, found[other.hash].concurrent) == (True, True)
    assert found[other.hash].before == {"name": "x"}


def test_an_edit_after_a_fork_that_saw_one_branch_did_not_know_of_the_other(anna: Hand, ben: Hand) -> None:
    twin = anna.copy("twin")
    one, other = anna.write(edit(ACCOUNT, name="one")), twin.write(edit(ACCOUNT, name="other"))
    there = ben.write(edit(ACCOUNT, name="there"), [twin.piece()])

    found = entries(anna.events[1], one, other, there)

    assert found[there.hash].before == {"name": "other"}
    assert found[there.hash].concurrent


def test_values_are_not_in_its_repr(anna: Hand) -> None:
    anna.write(edit(ACCOUNT, name="visible"))

    assert "visible" not in repr(annotate(anna.events[1:]))
