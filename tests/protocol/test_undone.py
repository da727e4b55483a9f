"""Which events are undone: links followed to their end."""

from __future__ import annotations

from itertools import pairwise

from otpkeep_protocol.events import Draft, Event
from otpkeep_protocol.undone import undoes, undone
from support_vault import Hand, edit, use, without_body

ACCOUNT = b"a" * 16


def undo(hand: Hand, target: Event, account: bytes = ACCOUNT) -> Event:
    draft = Draft("account.edit", account, alive=True, values={"name": "x"}, extra={"undoes": target.hash})
    return hand.write(draft)


def test_an_undo_undoes_and_an_undo_of_it_redoes_and_so_on(anna: Hand) -> None:
    event = anna.write(edit(ACCOUNT, name="y"))
    chain = [event]
    for _ in range(5):
        chain.append(undo(anna, chain[-1]))
        effective = chain[::-2]
        assert undone(anna.events) == {e.hash for e in chain if e not in effective}


def test_a_chain_of_thousands_of_redos_is_followed(anna: Hand) -> None:
    links = [anna.last._replace(hash=bytes(28) + number.to_bytes(4, "big")) for number in range(5_000)]
    chain = [
        links[0],
        *(e._replace(extra={"undoes": before.hash}) for before, e in pairwise(links)),
    ]

    assert undone(chain) == {e.hash for e in chain[-2::-2]}


def test_while_one_of_two_undos_stands_the_event_is_undone(anna: Hand) -> None:
    event = anna.write(edit(ACCOUNT, name="y"))
    first, second = undo(anna, event), undo(anna, event)
    undo(anna, first)
    assert undone(anna.events) == {event.hash, first.hash}

    undo(anna, second)

    assert undone(anna.events) == {first.hash, second.hash}


def test_the_order_of_the_events_does_not_matter(anna: Hand) -> None:
    event = anna.write(edit(ACCOUNT, name="y"))
    undo(anna, undo(anna, event))

    assert undone(reversed(anna.events)) == undone(anna.events)


def test_links_to_what_is_not_held_or_cannot_be_undone_mean_nothing(anna: Hand) -> None:
    used = anna.write(use(ACCOUNT, b"k" * 16, 3))
    undo(anna, used)
    stranger = Hand("ben").events[0]
    undo(anna, stranger)

    assert undone(anna.events) == frozenset()


def test_an_event_without_effect_undoes_nothing(anna: Hand) -> None:
    event = anna.write(edit(ACCOUNT, name="y"))
    link = undo(anna, event)

    for powerless in (link._replace(problem="broken"), link._replace(held=False), without_body(link)):
        assert undoes(powerless) is None
        assert undone([*anna.events[:-1], powerless]) == frozenset()
