"""What lies between two states, and what brings the one back."""

from __future__ import annotations

import pytest

from otpkeep_protocol.comparing import Pair, between, compare, restoring
from otpkeep_protocol.errors import Refused
from otpkeep_protocol.events import Draft, Event
from otpkeep_protocol.state import State, fold
from support_vault import Hand, add, delete, edit, hotp, totp, use, without_body

ACCOUNT, OTHER = b"a" * 16, b"b" * 16


@pytest.fixture
def anna() -> Hand:
    made = Hand("anna")
    made.write(add(ACCOUNT, name="x", note="n"))
    return made


def pair_of(then: State, now: State, account: bytes = ACCOUNT) -> Pair:
    return between(account, then, now)


def back(then: State, now: State, account: bytes = ACCOUNT) -> Draft | None:
    return restoring(pair_of(then, now, account), now)


def test_added_removed_and_changed_accounts_are_told_apart(anna: Hand) -> None:
    then = fold(anna.events)
    anna.write(add(OTHER))
    anna.write(edit(ACCOUNT, name="y", issuer="i"))
    now = fold(anna.events)

    first, second = compare(then, now)
    assert (first.account, first.changed, first.fields) == (ACCOUNT, True, ("issuer", "name"))
    assert (second.account, second.added, second.removed, second.changed) == (OTHER, True, False, False)
    assert [pair.removed for pair in compare(now, then)] == [False, True]
    assert not any(pair.added or pair.removed or pair.changed for pair in compare(now, now))


def test_accounts_that_are_dead_in_both_are_nobody_s_sight(anna: Hand) -> None:
    anna.write(delete(ACCOUNT))
    then = fold(anna.events)
    anna.write(Draft("account.edit", ACCOUNT, values={"name": "y"}))

    assert list(compare(then, fold(anna.events))) == []
    assert back(then, fold(anna.events)) is None


def test_a_used_counter_is_a_difference_but_nothing_to_restore(anna: Hand) -> None:
    event = anna.write(edit(ACCOUNT, otp=hotp(counter=5)))
    then = fold(anna.events)
    anna.write(use(ACCOUNT, (event.values or {})["otp"]["counter_key"], 9))
    now = fold(anna.events)

    assert pair_of(then, now).changed
    assert back(then, now) is None


def test_an_otp_comes_back_with_the_counter_that_was_reached_since(anna: Hand) -> None:
    event = anna.write(edit(ACCOUNT, otp=hotp(counter=5)))
    then = fold(anna.events)
    anna.write(use(ACCOUNT, (event.values or {})["otp"]["counter_key"], 9))
    anna.write(edit(ACCOUNT, otp=totp(b"another")))

    draft = back(then, fold(anna.events))

    assert draft is not None
    assert draft.values == {"otp": hotp(counter=9)}


def test_only_what_differs_is_written_and_unset_fields_are_unset(anna: Hand) -> None:
    then = fold(anna.events)
    anna.write(edit(ACCOUNT, name="y", issuer="i"))

    draft = back(then, fold(anna.events))

    assert draft is not None
    assert (draft.kind, draft.alive, draft.values) == ("account.edit", True, {"name": "x", "issuer": None})


def test_what_only_arranges_gives_no_life_and_a_deleted_account_gets_it(anna: Hand) -> None:
    then = fold(anna.events)
    anna.write(edit(ACCOUNT, position=1))
    arranged = back(then, fold(anna.events))
    anna.write(delete(ACCOUNT))
    revived = back(then, fold(anna.events))

    assert arranged is not None
    assert (arranged.alive, arranged.values) == (None, {"position": None})
    assert revived is not None
    assert (revived.alive, revived.values) == (True, {"position": None})


def test_what_was_dead_or_not_there_is_deleted(anna: Hand) -> None:
    nothing = State()
    deleted = fold([*anna.events, anna.write(delete(ACCOUNT))])
    alive = fold([*anna.events, anna.write(edit(ACCOUNT))])

    for then in (nothing, deleted):
        assert back(then, alive) == Draft("account.delete", ACCOUNT, alive=False)


def conflict(anna: Hand) -> tuple[list[Event], State]:
    """Two edits of the name, of which the one with `x` wins."""
    ben = Hand("ben")
    seen = [anna.piece()]
    anna.write(edit(ACCOUNT, name="x"), wall=1_800_000_000_000)
    ben.write(edit(ACCOUNT, name="y"), seen)
    events = [*anna.events, *ben.events]
    return events, fold(events)


def test_a_conflict_is_settled_even_where_its_winner_was_the_value(anna: Hand) -> None:
    then = fold(anna.events)
    _, now = conflict(anna)

    draft = back(then, now)

    assert draft is not None
    assert draft.values == {"name": "x"}


def test_a_value_whose_body_was_dropped_is_not_put_back(anna: Hand) -> None:
    then = fold([anna.events[0], without_body(anna.events[1])])
    anna.write(edit(ACCOUNT, name="y", note="m", otp=totp(b"another")))

    with pytest.raises(Refused, match="not here any more"):
        back(then, fold(anna.events))
