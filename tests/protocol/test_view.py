"""What a person sees of a state (SPEC §5, §6)."""

from __future__ import annotations

from otpkeep_protocol.events import Draft
from otpkeep_protocol.state import fold
from otpkeep_protocol.view import View, exists, is_account, view, views
from support_vault import START_MS, Hand, add, delete, edit, hotp, totp, use, without_body

ACCOUNT = b"a" * 16


def shown(hand: Hand) -> View:
    return view(ACCOUNT, fold(hand.events).subjects[ACCOUNT])


def test_accounts_are_ordered_by_position_then_issuer_name_and_id() -> None:
    anna = Hand("anna")
    anna.write(add(b"1" * 16, issuer="Zoo", name="z", position=0))
    anna.write(add(b"2" * 16, issuer="alpha", name="b"))
    anna.write(add(b"3" * 16, issuer="Alpha", name="a"))
    anna.write(add(b"5" * 16, issuer="Beta", name="same"))
    anna.write(add(b"4" * 16, issuer="Beta", name="same"))
    anna.write(add(b"6" * 16, position=1))

    order = [v.account[:1] for v in views(fold(anna.events))]

    assert order == [b"1", b"6", b"3", b"2", b"4", b"5"]


def test_devices_and_lone_uses_are_no_accounts() -> None:
    anna = Hand("anna")
    extra = {"certificate": anna.author.certificate}
    anna.write(Draft("device.add", anna.author.device, values={"label": "x"}, extra=extra))
    anna.write(use(ACCOUNT, b"k" * 16, 3))

    assert views(fold(anna.events)) == []


def test_a_deleted_account_is_shown_as_deleted_with_all_its_values() -> None:
    anna = Hand("anna")
    anna.write(add(ACCOUNT, name="x"))
    anna.write(delete(ACCOUNT))

    assert shown(anna).deleted
    assert shown(anna).values == {"otp": totp(), "name": "x"}
    subject = fold(anna.events).subjects[ACCOUNT]
    assert (is_account(subject), exists(subject)) == (True, False)


def test_unset_fields_are_absent() -> None:
    anna = Hand("anna")
    anna.write(add(ACCOUNT, name="x"))
    anna.write(edit(ACCOUNT, name=None))

    assert "name" not in shown(anna).values


def test_fields_without_their_bodies_are_named() -> None:
    anna = Hand("anna")
    anna.events[-1] = without_body(anna.write(add(ACCOUNT, name="x")))

    assert shown(anna).unknown == ("name", "otp")
    assert shown(anna).values == {}


def test_only_hotp_has_a_counter() -> None:
    anna, ben = Hand("anna"), Hand("ben")
    anna.write(add(ACCOUNT))
    ben.write(add(ACCOUNT, otp=hotp(counter=4)))

    assert (shown(anna).counter, shown(ben).counter) == (None, 4)


def test_conflicts_are_listed_best_first() -> None:
    hands = [Hand(name) for name in ("anna", "ben", "carl")]
    events = [hand.write(add(ACCOUNT, name=hand.writer.hex()), wall=START_MS + n) for n, hand in enumerate(hands)]

    conflicts = view(ACCOUNT, fold(events).subjects[ACCOUNT]).conflicts["name"]

    assert [loser.dot for loser in conflicts] == [events[1].dot, events[0].dot]


def test_neither_values_nor_losers_are_in_its_repr() -> None:
    anna, ben = Hand("anna"), Hand("ben")
    events = [anna.write(add(ACCOUNT, name="visible")), ben.write(add(ACCOUNT, name="seen too"))]

    text = repr(view(ACCOUNT, fold(events).subjects[ACCOUNT]))

    assert "visible" not in text
    assert "seen too" not in text
