"""Which runs are merged, when a snapshot is worth its bytes, and when a replaced file may go."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from otpkeep_protocol.compaction import FANOUT, FEW_EVENTS, RUN_LIMIT, Leaving, Segment, merges, snapshot_due, stays
from otpkeep_protocol.context import Context, Link
from otpkeep_protocol.ids import Piece

WRITER, OTHER = b"w" * 16, b"x" * 16


def segments(*counts: int, writer: bytes = WRITER, first: int = 1, size: int = 1024) -> list[Segment]:
    """Neighbouring runs of so many events each."""
    made = []
    for count in counts:
        made.append(Segment(writer + first.to_bytes(16), writer, first, first + count - 1, size))
        first += count
    return made


def counts_of(groups: list[tuple[Segment, ...]]) -> list[list[int]]:
    return [[s.last - s.first + 1 for s in group] for group in groups]


class TestMerging:
    def test_fewer_than_a_handful_are_left_alone(self) -> None:
        assert merges(segments(*[1] * (FANOUT - 1))) == []

    def test_eight_of_a_level_become_one(self) -> None:
        assert counts_of(merges(segments(*[1] * 8))) == [[1] * 8]

    def test_the_ninth_level_carries_on_to_the_next_in_one_go(self) -> None:
        assert counts_of(merges(segments(*[8] * 7, *[1] * 8))) == [[8] * 7 + [1] * 8]

    def test_a_large_run_is_not_written_again_for_a_few_small_ones(self) -> None:
        assert counts_of(merges(segments(64, *[1] * 8))) == [[1] * 8]

    def test_many_that_waited_become_one(self) -> None:
        assert counts_of(merges(segments(*[1] * 100))) == [[1] * 100]

    def test_runs_of_two_writers_are_never_merged(self) -> None:
        made = segments(*[1] * 7) + segments(*[1] * 7, writer=OTHER)
        assert merges(made) == []

    def test_a_hole_keeps_runs_apart(self) -> None:
        made = segments(*[1] * 4) + segments(*[1] * 4, first=6)
        assert merges(made) == []

    def test_overlapping_runs_are_left_alone(self) -> None:
        made = [dataclasses.replace(s, first=max(1, s.first - 1)) for s in segments(*[2] * 8)]
        assert merges(made) == []

    def test_a_full_run_is_not_written_again(self) -> None:
        full = segments(1000, size=RUN_LIMIT // 2 + 1)
        assert counts_of(merges(full + segments(*[1] * 8, first=1001))) == [[1] * 8]

    def test_runs_of_which_eight_are_too_large_together_become_full_ones(self) -> None:
        made = segments(*[64] * 9, size=RUN_LIMIT // 4)
        assert counts_of(merges(made)) == [[64] * 4, [64] * 4]

    def test_what_makes_no_full_run_waits_for_more(self) -> None:
        made = segments(*[64] * 2, size=RUN_LIMIT // 8) + segments(*[64], first=129, size=RUN_LIMIT // 2)
        assert merges(made) == []

    def test_no_merged_run_grows_beyond_the_limit(self) -> None:
        made = segments(*[1] * 64, size=RUN_LIMIT // 8)
        assert all(sum(s.size for s in group) <= RUN_LIMIT for group in merges(made))
        assert merges(made)

    @given(st.lists(st.integers(1, 40), min_size=1, max_size=120), st.sampled_from([2, 3, 8]))
    def test_whatever_comes_in_stays_in_order_and_few_files_are_left(self, days: list[int], fanout: int) -> None:
        files: list[Segment] = []
        total = 0
        for count in days:
            for one in segments(*[1] * count, first=total + 1):
                files.append(one)
            total += count
            for group in merges(files, fanout):
                merged = Segment(group[0].file + b"+", WRITER, group[0].first, group[-1].last, 1)
                files = sorted([f for f in files if f not in group] + [merged], key=lambda f: f.first)
        # then: every event once, in order; each level has fewer than `fanout` files
        assert [f.first for f in files[1:]] == [f.last + 1 for f in files[:-1]]
        assert (files[0].first, files[-1].last) == (1, total)
        levels, power = 1, fanout
        while power <= total:
            levels, power = levels + 1, power * fanout
        assert len(files) <= (fanout - 1) * levels


class TestSnapshots:
    def test_none_for_what_is_folded_in_a_moment(self) -> None:
        assert not snapshot_due(FEW_EVENTS - 1, 0)
        assert snapshot_due(FEW_EVENTS, 0)

    def test_one_is_worth_as_many_bytes_as_the_events_since_took(self) -> None:
        assert not snapshot_due(999, 1_024_000)
        assert snapshot_due(1000, 1_024_000)


class TestLeaving:
    leaving = Leaving(since=1000, writer=WRITER, seq=20, span=(WRITER, 3, 12), reads_back=True)

    def seen(self, *pieces: tuple[int, int]) -> Context:
        return {WRITER: tuple(Piece(WRITER, first, last, b"h" * 16) for first, last in pieces)}

    def test_goes_when_the_quarantine_is_over_and_everybody_has_seen_it(self) -> None:
        assert stays(self.leaving, 2000, 1000, {"phone": self.seen((1, 20))}, {}) is None
        assert stays(self.leaving, 2000, 1000, {}, {}) is None

    def test_stays_for_the_quarantine(self) -> None:
        assert stays(self.leaving, 1999, 1000, {}, {}) == "the quarantine is not over"

    def test_stays_while_its_replacement_does_not_read_back(self) -> None:
        broken = dataclasses.replace(self.leaving, reads_back=False)
        assert "not whole" in (stays(broken, 9999, 1, {}, {}) or "")

    def test_stays_while_a_device_has_not_seen_the_pack(self) -> None:
        assert stays(self.leaving, 9999, 1, {"phone": self.seen((1, 19))}, {}) == "phone has not seen all of it"

    def test_stays_while_a_device_misses_one_of_its_events(self) -> None:
        devices = {"tablet": self.seen((1, 20)), "phone": self.seen((1, 7), (9, 20))}
        assert stays(self.leaving, 9999, 1, devices, {}) == "phone has not seen all of it"

    def test_stays_for_ever_where_the_writer_is_forked(self) -> None:
        forks = {WRITER: {(1, b"h" * 16): Link(None, held=True)}}
        assert stays(self.leaving, 9999, 1, {"phone": self.seen((1, 20))}, forks) is not None
