"""Which absent files are put back, and when, from values alone (SPEC §8)."""

from __future__ import annotations

import pytest

from otpkeep_protocol.healing import (
    CLAIMED_S,
    DAY_S,
    FEW,
    FORGET_S,
    HOUR_S,
    OTHERS_MOST_S,
    OWN_MOST_S,
    Lost,
    damaged,
    due,
    follow,
    put_back,
    unopened,
    wait_s,
)
from otpkeep_protocol.plan import Known, Seen

NOW = 1_700_000_000
OWN = Known(1024, published=True, own=True)
OTHERS = Known(1024, published=True, own=False)
CLAIMED = Known(1024, published=True, own=False, claimed=True)
SEALED = f"{'a' * 32}.otpk"


def chosen(
    lost: dict[str, Lost],
    known: dict[str, Known],
    *,
    after_s: float = 0,
    share: float = 0.0,
    before: bool = True,
    closed: bool = False,
    at_once: bool = False,
) -> list[str]:
    return due(
        lost,
        known,
        lost.keys() if before else (),
        NOW + int(after_s),
        lambda _name, _healed: share,
        closed=closed,
        at_once=at_once,
    )


class TestWhen:
    def test_an_own_file_comes_back_on_the_second_look(self) -> None:
        gone = {"a": Lost(NOW, gone=True)}
        assert chosen(gone, {"a": OWN}, before=False) == []
        assert chosen(gone, {"a": OWN}) == ["a"]

    def test_others_files_come_back_after_a_day_and_a_random_part_of_another(self) -> None:
        gone = {"a": Lost(NOW, gone=True)}
        assert chosen(gone, {"a": OTHERS}, after_s=DAY_S - 1) == []
        assert chosen(gone, {"a": OTHERS}, after_s=DAY_S) == ["a"]
        assert chosen(gone, {"a": OTHERS}, after_s=1.5 * DAY_S - 1, share=0.5) == []
        assert chosen(gone, {"a": OTHERS}, after_s=1.5 * DAY_S, share=0.5) == ["a"]

    def test_what_vanishes_again_waits_twice_as_long_each_time_up_to_a_ceiling(self) -> None:
        own = [wait_s(OWN, healed, 0.0, few=True) for healed in range(40)]
        others = [wait_s(OTHERS, healed, 0.0, few=True) for healed in range(40)]
        assert own[:4] == [0, HOUR_S, 2 * HOUR_S, 4 * HOUR_S]
        assert others[:4] == [DAY_S, 2 * DAY_S, 4 * DAY_S, 8 * DAY_S]
        assert (max(own), max(others)) == (OWN_MOST_S, OTHERS_MOST_S)

    def test_while_a_large_part_is_absent_nothing_comes_back_for_a_day_and_then_all_does(self) -> None:
        known = {str(n): OWN for n in range(2 * FEW + 2)}
        gone = {str(n): Lost(NOW, gone=True) for n in range(FEW + 2)}
        assert chosen(gone, known, after_s=DAY_S - 1) == []
        assert sorted(chosen(gone, known, after_s=DAY_S)) == sorted(gone)

    def test_at_once_waits_for_nothing(self) -> None:
        known = {str(n): OWN if n % 2 else OTHERS for n in range(20)}
        gone = {name: Lost(NOW, gone=True, healed=9) for name in known}
        assert chosen(gone, known, before=False, at_once=True, share=0.9) == list(known)


class TestNever:
    def test_others_files_stay_away_while_a_file_is_unopened_even_at_once(self) -> None:
        gone = {"a": Lost(NOW, gone=True), "b": Lost(NOW, gone=True)}
        known = {"a": OTHERS, "b": OWN}
        assert chosen(gone, known, after_s=99 * DAY_S, closed=True) == ["b"]
        assert chosen(gone, known, after_s=99 * DAY_S, closed=True, at_once=True) == ["b"]

    def test_what_somebody_calls_replaced_is_left_to_what_replaces_it_for_a_month(self) -> None:
        gone = {"a": Lost(NOW, gone=True)}
        assert chosen(gone, {"a": CLAIMED}, after_s=CLAIMED_S - 1, at_once=True) == []
        assert chosen(gone, {"a": CLAIMED}, after_s=CLAIMED_S) == ["a"]

    def test_what_the_store_no_longer_has_is_not_put_back(self) -> None:
        assert chosen({"a": Lost(NOW, gone=True)}, {}, after_s=99 * DAY_S, at_once=True) == []


class TestMemory:
    def test_a_file_that_comes_back_by_itself_is_forgotten(self) -> None:
        lost = follow({}, {"a"}, NOW)
        assert lost == {"a": Lost(NOW, gone=True)}
        assert follow(lost, set(), NOW + 60) == {}

    def test_one_that_was_put_back_is_remembered_for_two_weeks(self) -> None:
        lost = follow({"a": put_back(Lost(NOW, gone=True), NOW)}, set(), NOW + FORGET_S - 1)
        assert lost == {"a": Lost(NOW, gone=False, healed=1)}
        assert follow(lost, set(), NOW + FORGET_S) == {}

    def test_one_that_vanishes_again_waits_from_then_on(self) -> None:
        lost = follow({"a": Lost(NOW, gone=False, healed=2)}, {"a"}, NOW + DAY_S)
        assert lost == {"a": Lost(NOW + DAY_S, gone=True, healed=2)}
        assert lost["a"].vanished == 3

    def test_a_clock_that_was_set_back_keeps_nothing_away_for_longer(self) -> None:
        assert follow({"a": Lost(NOW, gone=True)}, {"a"}, NOW - 99 * DAY_S)["a"].since == NOW - 99 * DAY_S


class TestUnopened:
    SEEN = Seen(1024, 5)

    def closed(self, name: str = SEALED, judged: Seen | None = None, *, locked: bool = False) -> bool:
        return unopened({name: self.SEEN}, {}, {} if judged is None else {name: judged}, locked=locked)

    def test_a_file_of_the_store_is_no_secret(self) -> None:
        assert not unopened({SEALED: self.SEEN}, {SEALED}, {}, locked=True)

    def test_an_intact_file_that_does_not_open_is_unopened_and_a_broken_one_is_not(self) -> None:
        assert self.closed(judged=Seen(1024, 5, "pending", content=SEALED))
        assert self.closed(judged=Seen(1024, 5, "newer", content=SEALED))
        assert not self.closed(judged=Seen(1024, 5, "pending", content=f"{'b' * 32}.otpk"))

    @pytest.mark.parametrize("verdict", ["ok", "replaced", "foreign", "other-vault", "rejected", "slot"])
    def test_what_was_judged_is_not_unopened_locked_or_not(self, verdict: str) -> None:
        for locked in (True, False):
            assert not self.closed(judged=Seen(1024, 5, verdict), locked=locked)

    def test_what_was_not_read_is_unopened_if_its_name_may_be_its_hash(self) -> None:
        assert self.closed()
        assert self.closed(judged=Seen(1024, 4, "ok"))
        assert not self.closed("holiday.jpg")

    def test_locked_anything_that_is_not_known_is_unopened(self) -> None:
        assert self.closed("holiday.jpg", locked=True)
        assert self.closed("holiday.jpg", Seen(1024, 4, "foreign"), locked=True)
        assert self.closed(judged=Seen(1024, 5, "pending", content="other"), locked=True)


def test_damage_counts_until_the_file_has_changed() -> None:
    judged = {"a": Seen(7, 5, "damaged"), "b": Seen(7, 5, "damaged"), "c": Seen(7, 5, "ok")}
    assert damaged({"a": Seen(7, 5), "b": Seen(1024, 6), "c": Seen(7, 5)}, {"a", "b", "c"}, judged) == ["a"]
