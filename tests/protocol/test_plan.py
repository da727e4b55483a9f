"""What a look over the folder leads to, from values alone (SPEC §8)."""

from __future__ import annotations

import pytest

from otpkeep_protocol.errors import Unreachable
from otpkeep_protocol.plan import (
    BEAT_EVERY_MS,
    FINAL_VERDICTS,
    PATIENCE_S,
    Known,
    Plan,
    Seen,
    beat_due,
    check_folder,
    decide,
    overdue,
)

OWN = Known(1024, published=True, own=True)
OTHERS = Known(1024, published=True, own=False)
WAITING = Known(1024, published=False, own=True)


def plan(
    listing: dict[str, Seen] | None = None,
    known: dict[str, Known] | None = None,
    looked: dict[str, Seen] | None = None,
    *,
    evicted: frozenset[str] = frozenset(),
    unlocked: bool = True,
    publishing: bool = True,
) -> Plan:
    return decide(
        listing or {},
        known or {},
        looked or {},
        evicted=evicted,
        unlocked=unlocked,
        publishing=publishing,
    )


class TestReading:
    def test_an_unknown_name_is_read(self) -> None:
        assert plan({"a": Seen(1024, 5)}).read == ("a",)

    def test_a_stored_file_is_read_once_too_for_its_size_proves_nothing(self) -> None:
        assert plan({"a": Seen(1024, 5)}, {"a": OWN}).read == ("a",)

    @pytest.mark.parametrize("verdict", sorted(FINAL_VERDICTS))
    def test_a_final_verdict_holds_while_the_file_stays_as_it_is(self, verdict: str) -> None:
        assert plan({"a": Seen(7, 5)}, looked={"a": Seen(7, 5, verdict)}).read == ()

    @pytest.mark.parametrize("changed", [Seen(8, 5), Seen(7, 6)], ids=["size", "time"])
    def test_a_changed_file_is_read_again_whatever_was_said_of_it(self, changed: Seen) -> None:
        assert plan({"a": changed}, {"a": OWN}, {"a": Seen(7, 5, "ok")}).read == ("a",)

    @pytest.mark.parametrize("verdict", ["pending", "damaged"])
    def test_what_did_not_open_is_tried_at_each_look(self, verdict: str) -> None:
        assert plan({"a": Seen(7, 5)}, looked={"a": Seen(7, 5, verdict)}).read == ("a",)

    def test_nothing_is_read_while_locked(self) -> None:
        made = plan({"a": Seen(7, 5)}, {"b": WAITING}, unlocked=False)

        assert (made.read, made.publish) == ((), ("b",))

    def test_verdicts_of_what_is_gone_are_forgotten(self) -> None:
        assert plan({}, looked={"a": Seen(7, 5, "ok")}).forget == ("a",)


class TestPublishing:
    def test_what_waits_is_published_and_not_missing(self) -> None:
        made = plan({}, {"a": WAITING})

        assert (made.publish, made.missing) == (("a",), ())

    def test_what_was_published_and_is_gone_is_missing_whosever_it_is(self) -> None:
        made = plan({}, {"a": OWN, "b": OTHERS})

        assert (made.publish, made.missing) == ((), ("a", "b"))

    def test_what_may_go_at_any_time_is_never_missing(self) -> None:
        assert plan({}, {"a": Known(1024, published=True, own=False, passing=True)}).missing == ()

    def test_an_evicted_file_is_not_missing(self) -> None:
        assert plan({}, {"a": OWN}, evicted=frozenset({"a"})).missing == ()

    def test_a_file_is_not_missing_while_a_copy_of_it_is_there_under_another_name(self) -> None:
        copy = Seen(1024, 5, "ok", content="a")

        assert plan({"b": Seen(1024, 5)}, {"a": OWN}, {"b": copy}).missing == ()

    def test_backup_off_publishes_nothing(self) -> None:
        made = plan({}, {"a": OWN, "b": WAITING}, publishing=False)

        assert (made.publish, made.missing) == ((), ("a",))


class TestFolder:
    def test_one_known_file_is_proof_enough(self) -> None:
        check_folder({"a", "x"}, 2, {"a": OWN, "b": OWN}, 1)

    def test_none_of_the_known_files_is_not_the_folder(self) -> None:
        with pytest.raises(Unreachable):
            check_folder({"x"}, 1, {"a": OWN, "b": WAITING}, 1)

    def test_what_only_waits_proves_nothing(self) -> None:
        with pytest.raises(Unreachable):
            check_folder({"b"}, 1, {"a": OWN, "b": WAITING}, 1)

    def test_a_new_folder_is_known_by_its_disk(self) -> None:
        check_folder(set(), 1, {"b": WAITING}, 1)
        with pytest.raises(Unreachable):
            check_folder(set(), 2, {"b": WAITING}, 1)


class TestBeats:
    def test_at_most_daily_with_news_and_weekly_without(self) -> None:
        assert beat_due(BEAT_EVERY_MS, 0, news=True)
        assert not beat_due(BEAT_EVERY_MS - 1, 0, news=True)
        assert beat_due(7 * BEAT_EVERY_MS, 0, news=False)
        assert not beat_due(7 * BEAT_EVERY_MS - 1, 0, news=False)

    def test_a_clock_set_back_writes_no_beats(self) -> None:
        assert not beat_due(0, 10**12, news=True)


def test_a_file_may_be_on_its_way_for_a_while() -> None:
    looked = {
        "late": Seen(1, 1, "pending", 0),
        "broken": Seen(1, 1, "damaged", 0),
        "fresh": Seen(1, 1, "pending", 1),
        "fine": Seen(1, 1, "ok", 0),
    }

    assert list(overdue(looked, PATIENCE_S)) == ["late", "broken"]
