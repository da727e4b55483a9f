"""Undo: what is written so that one event has no effect any more, and when that is refused."""

from __future__ import annotations

from typing import Any

import pytest

from otpkeep_protocol.chains import Chains
from otpkeep_protocol.errors import Refused
from otpkeep_protocol.events import Draft, Event
from otpkeep_protocol.ids import event_name
from otpkeep_protocol.state import fold
from otpkeep_protocol.undo import undo
from otpkeep_protocol.view import View, view
from support_vault import Hand, add, delete, edit, hotp, totp, use, without_body

ACCOUNT = b"a" * 16
MARKER = {"placeholder": "secret", "type": "totp", "algorithm": "SHA1", "digits": 6, "period": 30}


@pytest.fixture
def anna() -> Hand:
    made = Hand("anna")
    made.write(add(ACCOUNT, name="x", note="n"))
    return made


def taken_back(hand: Hand, target: Event, *others: Event, force: bool = False, seen: Any = ()) -> Event:
    """Undo `target` as `hand`, who holds its own events and `others`."""
    events = [*hand.events, *others]
    draft = undo(events, target, Chains(events).forks, force=force)
    assert draft is not None
    lamport = max(event.lamport for event in events) + 1
    return hand.write(draft, seen, lamport=lamport)


def shown(*events: Event) -> View:
    return view(ACCOUNT, fold(events, Chains(events).forks).subjects[ACCOUNT])


class TestWhatIsWritten:
    def test_of_an_edit_the_earlier_values_and_an_unset_field_is_unset_again(self, anna: Hand) -> None:
        event = anna.write(edit(ACCOUNT, name="y", issuer="new", note=None))

        made = taken_back(anna, event)

        assert (made.kind, made.alive, made.extra["undoes"]) == ("account.edit", True, event.hash)
        assert made.values == {"name": "x", "issuer": None, "note": "n"}
        assert shown(*anna.events).values == {"otp": totp(), "name": "x", "note": "n"}

    def test_of_a_delete_an_edit_that_gives_life_and_touches_nothing_else(self, anna: Hand) -> None:
        event = anna.write(delete(ACCOUNT))

        made = taken_back(anna, event)

        assert (made.kind, made.alive, made.fields) == ("account.edit", True, ())
        assert not shown(*anna.events).deleted

    def test_of_an_add_a_delete_and_of_that_a_life_again(self, anna: Hand) -> None:
        made = taken_back(anna, anna.events[1])
        assert (made.kind, made.alive, made.fields) == ("account.delete", False, ())

        again = taken_back(anna, made)

        assert (again.kind, again.alive, again.fields) == ("account.edit", True, ())
        assert shown(*anna.events).values == {"otp": totp(), "name": "x", "note": "n"}

    def test_of_an_edit_that_gave_life_one_event_that_takes_it_and_puts_the_values_back(self, anna: Hand) -> None:
        anna.write(delete(ACCOUNT))
        event = anna.write(edit(ACCOUNT, name="y"))

        made = taken_back(anna, event)
        assert (made.kind, made.alive, made.values) == ("account.edit", False, {"name": "x"})
        assert shown(*anna.events).deleted

        redo = taken_back(anna, made)
        assert (redo.alive, redo.values) == (True, {"name": "y"})
        assert not shown(*anna.events).deleted

    def test_of_an_edit_of_what_is_deleted_now_no_life(self, anna: Hand) -> None:
        event = anna.write(edit(ACCOUNT, name="y"))
        anna.write(delete(ACCOUNT))

        made = taken_back(anna, event)

        assert (made.alive, made.values) == (None, {"name": "x"})
        assert shown(*anna.events).deleted

    def test_what_only_arranges_gives_no_life_either_way(self, anna: Hand) -> None:
        event = anna.write(edit(ACCOUNT, position=3))

        assert taken_back(anna, event).alive is None

    def test_a_redo_writes_what_the_edit_wrote(self, anna: Hand) -> None:
        event = anna.write(edit(ACCOUNT, name="y"))

        redo = taken_back(anna, taken_back(anna, event))

        assert redo.values == {"name": "y"}

    def test_what_is_undone_already_needs_no_event(self, anna: Hand) -> None:
        event = anna.write(edit(ACCOUNT, name="y"))
        taken_back(anna, event)

        assert undo(anna.events, event) is None
        assert undo(anna.events, event, force=True) is None

    def test_a_counter_is_never_put_back_below_what_its_key_has_reached(self, anna: Hand) -> None:
        account = anna.write(edit(ACCOUNT, otp=hotp(counter=5)))
        key = (account.values or {})["otp"]["counter_key"]
        anna.write(use(ACCOUNT, key, 9))
        event = anna.write(edit(ACCOUNT, otp=hotp(counter=9, digits=8)))
        anna.write(use(ACCOUNT, key, 12))

        made = taken_back(anna, event)

        assert made.values == {"otp": hotp(counter=12)}

    def test_a_counter_that_was_reset_on_purpose_goes_back_to_its_old_key(self, anna: Hand) -> None:
        anna.write(edit(ACCOUNT, otp=hotp(counter=5)))
        event = anna.write(edit(ACCOUNT, otp=hotp(counter=0, counter_key=b"fresh key 16 byt")))

        made = taken_back(anna, event)

        assert made.values == {"otp": hotp(counter=5)}
        assert shown(*anna.events).counter == 5


class TestRefusals:
    def test_a_later_edit_of_the_same_field_is_named(self, anna: Hand) -> None:
        event = anna.write(edit(ACCOUNT, name="y"))
        anna.write(edit(ACCOUNT, name="z"))
        newest = anna.write(edit(ACCOUNT, name="zz"))
        anna.write(edit(ACCOUNT, note="another field"))

        with pytest.raises(Refused) as raised:
            undo(anna.events, event)

        assert event_name(anna.writer, newest.dot.seq) in raised.value.message
        assert "--force" in raised.value.hint
        assert "zz" not in raised.value.message + raised.value.hint

    def test_by_force_the_values_before_it_return(self, anna: Hand) -> None:
        event = anna.write(edit(ACCOUNT, name="y"))
        later = anna.write(edit(ACCOUNT, name="z"))

        forced = taken_back(anna, event, force=True)

        assert forced.values == {"name": "x"}
        with pytest.raises(Refused, match=rf"{event_name(anna.writer, forced.dot.seq)} changed"):
            undo(anna.events, later)

    def test_a_later_edit_that_is_undone_stands_on_nothing(self, anna: Hand) -> None:
        event = anna.write(edit(ACCOUNT, name="y"))
        later = anna.write(edit(ACCOUNT, name="z"))
        undone = taken_back(anna, later)

        assert taken_back(anna, event).values == {"name": "x"}
        with pytest.raises(Refused):
            undo(anna.events, undone)

    def test_a_later_edit_that_was_redone_stands(self, anna: Hand) -> None:
        event = anna.write(edit(ACCOUNT, name="y"))
        later = anna.write(edit(ACCOUNT, name="z"))
        taken_back(anna, taken_back(anna, later))

        with pytest.raises(Refused, match=event_name(anna.writer, later.dot.seq)):
            undo(anna.events, event)

    def test_an_add_on_which_edits_stand_is_not_undone(self, anna: Hand) -> None:
        anna.write(edit(ACCOUNT, issuer="of no field that the add wrote"))

        with pytest.raises(Refused):
            undo(anna.events, anna.events[1])

    def test_an_edit_of_another_field_is_no_obstacle_though_both_give_life(self, anna: Hand) -> None:
        event = anna.write(edit(ACCOUNT, name="y"))
        anna.write(edit(ACCOUNT, issuer="i"))

        assert taken_back(anna, event).values == {"name": "x"}

    def test_a_delete_is_not_undone_under_an_edit_that_gave_life_since(self, anna: Hand) -> None:
        event = anna.write(delete(ACCOUNT))
        anna.write(edit(ACCOUNT, name="y"))

        with pytest.raises(Refused):
            undo(anna.events, event)

    @pytest.mark.parametrize("draft", [use(ACCOUNT, b"k" * 16, 1), Draft("writer.close"), Draft("dance", ACCOUNT)])
    def test_uses_and_what_is_no_edit_of_an_account_are_never_undone(self, anna: Hand, draft: Draft) -> None:
        event = anna.write(draft)

        with pytest.raises(Refused, match="can't be undone"):
            undo(anna.events, event, force=True)

    def test_a_value_whose_body_was_dropped_can_not_be_put_back(self, anna: Hand) -> None:
        event = anna.write(edit(ACCOUNT, name="y"))
        events = [anna.events[0], without_body(anna.events[1]), event]

        with pytest.raises(Refused, match="not here any more"):
            undo(events, event, force=True)

    def test_where_only_a_secret_changed_that_no_event_has(self) -> None:
        anna = Hand("anna")
        anna.write(add(ACCOUNT, otp=MARKER))
        event = anna.write(edit(ACCOUNT, otp=MARKER))

        with pytest.raises(Refused, match="without a history"):
            undo(anna.events, event, force=True)

    def test_a_placeholder_s_marker_itself_goes_back(self) -> None:
        anna = Hand("anna")
        anna.write(add(ACCOUNT, otp=MARKER))
        event = anna.write(edit(ACCOUNT, otp={**MARKER, "digits": 8}))

        assert taken_back(anna, event).values == {"otp": MARKER}


class TestConcurrency:
    def test_an_edit_concurrent_and_later_in_the_log_stands_in_the_way(self, anna: Hand, ben: Hand) -> None:
        seen = [anna.piece()]
        event = anna.write(edit(ACCOUNT, name="anna"))
        other = ben.write(edit(ACCOUNT, name="ben"), seen, lamport=event.lamport + 1)

        with pytest.raises(Refused, match=event_name(ben.writer, other.dot.seq)):
            undo([*anna.events, *ben.events], event)

    def test_what_was_concurrent_and_earlier_in_the_log_is_what_stood_before(self, anna: Hand, ben: Hand) -> None:
        seen = [anna.piece()]
        event = anna.write(edit(ACCOUNT, name="anna"), lamport=9)
        ben.write(edit(ACCOUNT, name="ben"), seen, lamport=3)

        made = taken_back(anna, event, *ben.events, seen=[ben.piece()])

        assert made.values == {"name": "ben"}
        assert shown(*anna.events, *ben.events).conflicts == {}

    def test_what_its_author_knew_is_before_it_whatever_the_log_says(self, anna: Hand, ben: Hand) -> None:
        anna.write(edit(ACCOUNT, name="y"), lamport=90)
        event = ben.write(edit(ACCOUNT, name="z"), [anna.piece()], lamport=2)

        assert taken_back(ben, event, *anna.events).values == {"name": "y"}

    def test_of_two_weak_adds_of_one_account_the_other_keeps_it_alive(self, ben: Hand) -> None:
        anna = Hand("anna")
        first = anna.write(add(ACCOUNT, weak=True, name="anna"))
        second = ben.write(add(ACCOUNT, weak=True, name="ben", issuer="i"), lamport=first.lamport + 1)

        made = taken_back(ben, second, *anna.events, seen=[anna.piece()])

        assert (made.kind, made.alive) == ("account.edit", True)
        assert shown(*anna.events, *ben.events).values == {"otp": totp(), "name": "anna"}

    def test_a_delete_is_undone_although_another_device_deleted_too(self, anna: Hand, ben: Hand) -> None:
        seen = [anna.piece()]
        event = anna.write(delete(ACCOUNT), lamport=9)
        ben.write(delete(ACCOUNT), seen, lamport=3)

        taken_back(anna, event, *ben.events, seen=[ben.piece()])

        assert not shown(*anna.events, *ben.events).deleted

    def test_a_delete_of_what_was_dead_already_took_no_life_to_give_back(self, anna: Hand) -> None:
        anna.write(delete(ACCOUNT))
        event = anna.write(delete(ACCOUNT))

        assert taken_back(anna, event).alive is None
        assert shown(*anna.events).deleted

    def test_the_branches_of_a_fork_are_told_apart(self, anna: Hand, ben: Hand) -> None:
        twin = anna.copy("twin")
        mine = anna.write(edit(ACCOUNT, name="mine"))
        theirs = twin.write(edit(ACCOUNT, name="theirs"))
        first, second = sorted([mine, theirs], key=lambda event: event.hash)
        held = [*anna.events, theirs]

        made = taken_back(ben, second, *held, seen=[anna.piece(), twin.piece()])

        assert made.values == first.values
        with pytest.raises(Refused):
            undo(held, first, Chains(held).forks)
