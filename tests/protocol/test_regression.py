"""Whether a folder went back in time, decided from values alone."""

from __future__ import annotations

from otpkeep_protocol.plan import PATIENCE_S
from otpkeep_protocol.regression import NOTHING, SLOTS, Noted, Span, accept, follow, regressed

DEVICE, OTHER = b"d" * 16, b"o" * 16
NONE: frozenset[str] = frozenset()


def span(name: str, last: int, *, events: int = 1, device: bytes = DEVICE) -> Span:
    return Span(name, device, device + b"w", events, last)


def slot(name: str) -> Span:
    return Span(name, SLOTS, SLOTS, 1, 0)


def after(*looks: tuple[list[Span], int], back: frozenset[str] = NONE, before: Noted = NOTHING) -> Noted:
    """What is noted after looks that found these regressions at these times."""
    for found, now in looks:
        before = follow(before, found, frozenset(span.name for span in found), back, now)
    return before


def test_only_the_end_of_a_history_counts() -> None:
    hole, end = span("a", 3), span("b", 9, events=2)
    assert regressed([hole], {hole.writer: 8}) == []
    assert regressed([end], {end.writer: 7}) == [end]
    assert regressed([hole, end], {end.writer: 7}) == [hole, end]
    assert regressed([end, span("c", 1, device=OTHER)], {OTHER + b"w": 5}) == [end]


def test_one_copy_of_a_slot_may_be_lost_like_any_file() -> None:
    assert regressed([slot("a")], {}) == []
    assert len(regressed([slot("a"), slot("b")], {})) == 2


def test_it_counts_once_it_has_lasted() -> None:
    gone = [span("a", 9), span("b", 4, events=3, device=OTHER)]
    assert after((gone, 100), (gone, 100 + PATIENCE_S - 1)).raised == 0
    raised = after((gone, 100), (gone, 100 + PATIENCE_S))
    assert (raised.raised, raised.lost) == (100 + PATIENCE_S, {DEVICE: 1, OTHER: 3})


def test_it_counts_at_the_second_look_if_this_pass_would_hide_it() -> None:
    gone = [span("a", 8), span("b", 9)]
    assert after((gone, 100), (gone, 101), back=frozenset({"b"})).raised == 101
    assert after((gone, 100), back=frozenset({"b"})).raised == 0
    assert after(([span("a", 9)], 100), ([span("a", 9)], 9999), back=frozenset({"a"})).raised == 0


def test_while_files_come_back_the_folder_is_syncing() -> None:
    names = [span(f"{number}", number) for number in range(20)]
    looks = [(names[number:], 200 * number) for number in range(19)]
    assert after(*looks).raised == 0


def test_a_clock_that_was_set_back_raises_nothing_early_and_ends_nothing() -> None:
    gone = [span("a", 8), span("b", 9)]
    assert after((gone, 10_000), (gone, 5)).raised == 0
    assert after((gone, 10_000), (gone, 5), (gone, 5 + PATIENCE_S)).raised == 5 + PATIENCE_S


def test_what_was_accepted_is_no_alarm_before_more_goes() -> None:
    gone = [span("a", 8), span("b", 9)]
    accepted = accept(after((gone, 0), (gone, PATIENCE_S)))
    assert accepted == Noted(accepted=frozenset({"a", "b"}))
    later = after((gone, 1000), (gone, 9000), before=accepted)
    assert (later.raised, later.lost, later.accepted) == (0, {}, {"a", "b"})
    more = [*gone, span("c", 10)]
    assert after((more, 10_000), (more, 11_000), before=later).lost == {DEVICE: 1}
    assert after(([], 1000), before=accepted) == NOTHING
