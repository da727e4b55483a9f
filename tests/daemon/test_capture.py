"""The pure decision: what a file held, what it holds now, what is known here -> events, or a reason to wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otpkeep_daemon import capture
from otpkeep_daemon.capture import Decision, Held, Here, Item, compare, decide, digest_of
from otpkeep_protocol import wire
from otpkeep_protocol.state import comparable
from otpkeep_protocol.view import View
from support_vault import hotp, totp

MAIL, BANK, SHOP = b"M" * 16, b"B" * 16, b"S" * 16


def item(label: str, account: bytes | None = None, *, uuid: str | None = None, **fields: Any) -> Item:
    values = {"otp": totp(label.encode()), "name": label, **fields}
    return Item(label, ("aegis", uuid) if uuid else None, {k: v for k, v in values.items() if v is not None}, account)


def view(account: bytes, of: Item, *, deleted: bool = False, counter: int | None = None, **values: Any) -> View:
    return View(account, deleted, 0, 0, counter, {**of.fields, **values}, {})


def here(*views: View, placeholders: tuple[bytes, ...] = (), had: Any = None, elsewhere: Any = None) -> Here:
    return Here(
        {v.account: v for v in views},
        frozenset(placeholders),
        had=lambda _account: had or {},
        had_elsewhere=lambda _account: elsewhere or {},
        writes=lambda _account, _registers: (),
        is_behind=lambda _item: False,
    )


def encoded(name: str, value: Any) -> set[bytes]:
    return {wire.encode(comparable(name, value))}


def after(item_: Item, **fields: Any) -> Item:
    changed = {**item_.fields, **fields}
    return replace(item_, account=None, fields={k: v for k, v in changed.items() if v is not None})


def edits(decision: Decision) -> list[tuple[bytes | None, dict[str, Any]]]:
    return [(d.account, dict(d.values)) for d in decision.drafts if d.kind == "account.edit"]


HELD = item("mail", MAIL)
OTHER = item("bank", BANK)
KNOWN = here(view(MAIL, HELD), view(BANK, OTHER))


class TestWhichEntriesAreOne:
    def test_the_format_s_own_identity_comes_first(self) -> None:
        old = [item("mail", MAIL, uuid="1"), item("bank", BANK, uuid="2")]
        new = [item("bank", uuid="1"), item("mail", uuid="2")]
        assert [(a.account, b.label) for a, b in compare(old, new).pairs] == [(MAIL, "bank"), (BANK, "mail")]

    def test_else_a_secret_that_is_unique_in_both(self) -> None:
        changes = compare([HELD], [after(HELD, name="renamed", issuer="new")])
        assert len(changes.pairs) == 1
        assert not changes.gone + changes.fresh

    def test_else_secret_and_name(self) -> None:
        same = totp(b"shared")
        old = [item("one", MAIL, otp=same), item("two", BANK, otp=same)]
        new = [item("two", otp=same, issuer="x"), item("three", otp=same)]
        changes = compare(old, new)
        assert [(a.account, b.label) for a, b in changes.pairs] == [(BANK, "two")]
        assert [gone.account for gone in changes.gone] == [MAIL]
        assert [fresh.label for fresh in changes.fresh] == ["three"]

    def test_order_is_no_difference(self) -> None:
        old = [item(f"n{n}", bytes([n]) * 16) for n in range(20)]
        changes = compare(old, [replace(one, account=None) for one in reversed(old)])
        assert not changes.gone + changes.fresh
        assert digest_of(old) == digest_of(list(reversed(old)))


class TestEdits:
    def test_a_renamed_account_is_an_edit_of_its_name_alone(self) -> None:
        made = decide(Held((HELD,)), [after(HELD, name="renamed")], KNOWN)
        assert edits(made) == [(MAIL, {"name": "renamed"})]
        assert len(made.drafts) == 1

    def test_a_field_that_went_is_unset(self) -> None:
        noted = item("mail", MAIL, note="old")
        made = decide(Held((noted,)), [after(noted, note=None)], here(view(MAIL, noted)))
        assert edits(made) == [(MAIL, {"note": None})]

    def test_what_differs_from_the_vault_but_not_from_what_the_file_held_is_no_edit(self) -> None:
        merged = here(view(MAIL, HELD, note="from elsewhere", name="elsewhere"))
        assert decide(Held((HELD,)), [after(HELD)], merged).drafts == ()

    def test_what_the_account_has_already_is_no_edit(self) -> None:
        made = decide(Held((HELD,)), [after(HELD, note="n")], here(view(MAIL, HELD, note="n")))
        assert made.drafts == ()

    def test_late_news_of_another_device_s_edit_undoes_nothing(self) -> None:
        known = here(view(MAIL, HELD, note="two"), elsewhere={"note": encoded("note", "one")})
        assert decide(Held((HELD,)), [after(HELD, note="one")], known).drafts == ()

    def test_but_going_back_by_hand_is_an_edit(self) -> None:
        noted = item("mail", MAIL, note="two")
        known = here(view(MAIL, noted), elsewhere={"note": encoded("note", "one")})
        assert edits(decide(Held((noted,)), [after(noted, note="one")], known)) == [(MAIL, {"note": "one"})]

    def test_an_edit_of_an_account_that_was_deleted_elsewhere_gives_it_life(self) -> None:
        made = decide(Held((HELD,)), [after(HELD, note="n")], here(view(MAIL, HELD, deleted=True)))
        assert [(d.account, d.alive) for d in made.drafts] == [(MAIL, True)]

    def test_a_counter_is_only_raised(self) -> None:
        counted = item("mail", MAIL, otp=hotp(b"c", 5))
        known = here(view(MAIL, counted, counter=7))
        for counter, uses in ((6, []), (7, []), (9, [9])):
            made = decide(Held((counted,)), [after(counted, otp=hotp(b"c", counter))], known)
            assert [d.extra["counter"][1] for d in made.drafts] == uses

    def test_other_digits_keep_the_counter_that_was_reached_and_its_key(self) -> None:
        counted = item("mail", MAIL, otp=hotp(b"c", 5))
        reset = {**hotp(b"c", 2), "counter_key": b"k" * 16}
        for kept, counter in ((hotp(b"c", 5), 7), (reset, 2)):
            known = here(view(MAIL, counted, counter=counter, otp=kept))
            made = decide(Held((counted,)), [after(counted, otp=hotp(b"c", 5, digits=8))], known)
            otp = edits(made)[0][1]["otp"]
            assert (otp["digits"], otp["counter"], otp["counter_key"]) == (8, counter, kept["counter_key"])


class TestDeletes:
    def test_what_the_file_held_and_holds_no_more_is_deleted(self) -> None:
        made = decide(Held((HELD, OTHER)), [after(HELD)], KNOWN)
        assert [(d.kind, d.account) for d in made.drafts] == [("account.delete", BANK)]

    def test_what_it_never_held_is_not(self) -> None:
        assert decide(Held((HELD,)), [after(HELD)], KNOWN).drafts == ()

    def test_nor_what_is_deleted_already(self) -> None:
        known = here(view(MAIL, HELD), view(BANK, OTHER, deleted=True))
        assert decide(Held((HELD, OTHER)), [after(HELD)], known).drafts == ()

    def test_nor_an_account_for_which_another_entry_stands(self) -> None:
        twice = item("twice", MAIL)
        assert decide(Held((HELD, twice)), [after(HELD)], KNOWN).drafts == ()


class TestPlaceholders:
    @pytest.mark.parametrize("now", [[], [after(HELD, note="n", otp=totp(b"x"))]])
    def test_no_draft_is_made_for_one(self, now: list[Item]) -> None:
        known = here(view(MAIL, HELD), view(BANK, OTHER), placeholders=(MAIL,))
        assert decide(Held((HELD, OTHER)), [*now, after(OTHER)], known).drafts == ()


class TestAnotherVersionBesideIt:
    """A conflict copy, or the file that won over one."""

    def test_absence_deletes_nothing(self) -> None:
        assert decide(Held((HELD, OTHER)), [after(HELD)], KNOWN, concurrent=True).drafts == ()

    def test_only_values_that_the_account_never_had_count(self) -> None:
        noted = item("mail", MAIL, note="mine", issuer="I")
        known = here(view(MAIL, noted), had={"note": encoded("note", "old")})
        for note, made in (("old", []), (None, []), ("theirs", [(MAIL, {"note": "theirs"})])):
            assert edits(decide(Held((noted,)), [after(noted, note=note)], known, concurrent=True)) == made


def many(number: int) -> list[Item]:
    return [item(f"n{n}", bytes([n + 1]) * 16, uuid=str(n)) for n in range(number)]


def know(items: list[Item]) -> Here:
    return here(*(view(one.account or b"", one) for one in items))


class TestWhatWaitsForAPerson:
    def test_more_than_three_accounts_that_would_go(self) -> None:
        items = many(8)
        assert decide(Held(tuple(items)), items[3:], know(items)).reason is None
        held = decide(Held(tuple(items)), items[4:], know(items))
        assert held.reason == capture.MASS
        assert len(held.deleted) == 4
        assert decide(Held(tuple(items)), items[4:], know(items), accepted=True).reason is None

    def test_a_file_that_holds_nothing_any_more(self) -> None:
        assert decide(Held((HELD,)), [], KNOWN).reason == capture.EMPTY
        assert decide(Held(), [], KNOWN).reason is None

    def test_an_older_state_that_undoes_more_than_one_event(self) -> None:
        old = many(3)
        new = [after(one, note="n") for one in old[:2]] + [after(old[2])]
        held = tuple(replace(one, account=before.account) for one, before in zip(new, old, strict=True))
        past = (digest_of(old), digest_of(new))
        assert decide(Held(held, past=past), old, know(list(held))).reason == capture.OLDER
        assert decide(Held(held, past=past[1:]), old, know(list(held))).reason is None

    def test_one_undone_edit_is_just_an_edit(self) -> None:
        noted = item("mail", MAIL, note="n")
        past = (digest_of([HELD]), digest_of([noted]))
        made = decide(Held((noted,), past=past), [after(HELD)], here(view(MAIL, noted)))
        assert made.reason is None
        assert edits(made) == [(MAIL, {"note": None})]

    def test_a_value_that_flips_three_times_within_an_hour(self) -> None:
        for apart, reasons in ((60_000, [None, None, capture.FLIPPING]), (3_600_001, [None, None, None])):
            held, found = Held((HELD,)), []
            for n in range(3):
                made = decide(held, [after(HELD, note="theirs")], KNOWN, wall=n * apart)
                found.append(made.reason)
                held = Held((HELD,), flips=made.flips)  # and the other program writes it back
            assert found == reasons

    def test_but_one_program_may_change_its_mind_as_often_as_it_likes(self) -> None:
        held, known = Held((HELD,)), KNOWN
        for n in range(9):
            now = after(HELD, note="n" if n % 2 == 0 else None)
            made = decide(held, [now], known, wall=n)
            assert (len(made.drafts), made.reason) == (1, None)
            mine = replace(now, account=MAIL)
            held, known = Held((mine,), flips=made.flips), here(view(MAIL, mine))

    def test_missing_entries_beside_ones_that_can_t_be_read(self) -> None:
        made = decide(Held((HELD, OTHER)), [after(HELD)], KNOWN, skipped=1)
        assert made.reason == capture.SKIPPED
        assert decide(Held((HELD, OTHER), skipped=1), [after(HELD)], KNOWN, skipped=1).reason is None


def test_what_a_file_held_survives_the_store() -> None:
    flips = decide(Held((HELD,)), [after(HELD, note="n")], KNOWN, wall=5).flips
    held = Held((HELD, item("x", uuid="1")), 2, (b"d" * 32,), flips)
    assert capture.decode(capture.encode(held)) == held
