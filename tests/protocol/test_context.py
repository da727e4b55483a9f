"""Contexts (SPEC §6, §7): one form for one set of events, and what they cover."""

from __future__ import annotations

import time
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from otpkeep_protocol.context import Context, Link, covers, from_pieces, pieces_of, unite
from otpkeep_protocol.ids import Dot, Piece

WRITER = b"w" * 16
FORK = {
    WRITER: {
        (1, b"1"): Link(None, held=True),
        (2, b"2"): Link(b"1", held=True),
        (3, b"3a"): Link(b"2", held=True),
        (4, b"4a"): Link(b"3a", held=True),
        (3, b"3b"): Link(b"2", held=True),
        (5, b"5b"): Link(b"4b", held=True),
        (4, b"4b"): Link(None, held=False),
    }
}


def piece(first: int, last: int, digest: bytes | None = None) -> Piece:
    return Piece(WRITER, first, last, digest or b"%d" % last)


def dot(seq: int, digest: bytes | None = None) -> Dot:
    return Dot(WRITER, seq, digest or b"%d" % seq)


intervals = st.lists(
    st.tuples(st.sampled_from([b"w" * 16, b"x" * 16]), st.integers(1, 20), st.integers(0, 6)).map(
        lambda t: Piece(t[0], t[1], t[1] + t[2], b"%d" % (t[1] + t[2]))
    ),
    max_size=8,
)


class TestUnforked:
    def test_touching_and_overlapping_pieces_become_one(self) -> None:
        assert pieces_of(from_pieces([piece(1, 3), piece(4, 6)])) == [piece(1, 6)]
        assert pieces_of(from_pieces([piece(1, 5), piece(3, 9)])) == [piece(1, 9)]
        assert pieces_of(from_pieces([piece(1, 9), piece(3, 5)])) == [piece(1, 9)]

    def test_a_hole_keeps_them_apart(self) -> None:
        assert pieces_of(from_pieces([piece(5, 6), piece(1, 3)])) == [piece(1, 3), piece(5, 6)]

    def test_a_piece_that_fills_the_hole_joins_all(self) -> None:
        assert pieces_of(from_pieces([piece(1, 3), piece(5, 6), piece(4, 4)])) == [piece(1, 6)]

    @given(intervals, st.randoms(use_true_random=False))
    def test_one_set_has_one_form_in_any_order_and_grouping(self, pieces: list[Piece], chance: object) -> None:
        expected = from_pieces(pieces)
        shuffled = sorted(pieces, key=lambda _: chance.random())  # type: ignore[attr-defined]
        halves = from_pieces(shuffled[: len(pieces) // 2])
        unite(halves, pieces_of(from_pieces(shuffled[len(pieces) // 2 :])))

        assert from_pieces(shuffled) == halves == expected
        assert from_pieces([*pieces_of(expected), *pieces]) == expected

    @given(intervals)
    def test_exactly_what_some_piece_names_is_covered(self, pieces: list[Piece]) -> None:
        context = from_pieces(pieces)
        for writer in (b"w" * 16, b"x" * 16, b"y" * 16):
            for seq in range(1, 28):
                named = any(p.writer == writer and p.first <= seq <= p.last for p in pieces)
                assert covers(context, Dot(writer, seq, b"any")) == named


class TestForked:
    def test_a_dot_on_another_branch_is_not_covered(self) -> None:
        context = from_pieces([piece(1, 4, b"4a")], FORK)

        assert covers(context, dot(3, b"3a"), FORK)
        assert not covers(context, dot(3, b"3b"), FORK)

    def test_what_both_branches_have_in_common_is_covered(self) -> None:
        assert covers(from_pieces([piece(1, 3, b"3b")], FORK), dot(2), FORK)

    def test_the_tip_covers_itself_and_not_its_rival(self) -> None:
        context = from_pieces([piece(1, 3, b"3a")], FORK)

        assert covers(context, dot(3, b"3a"), FORK)
        assert not covers(context, dot(3, b"3b"), FORK)

    def test_walking_into_what_is_not_held_proves_nothing(self) -> None:
        context = from_pieces([piece(1, 5, b"5b")], FORK)

        assert covers(context, dot(3, b"3a"), FORK)
        assert covers(context, dot(3, b"3b"), FORK)
        assert not covers(context, dot(4, b"4a"), FORK)  # its rival is named by prev

    def test_a_piece_from_the_middle_covers_nothing_before_it(self) -> None:
        assert not covers(from_pieces([piece(3, 4, b"4a")], FORK), dot(2), FORK)

    def test_pieces_of_both_branches_are_kept(self) -> None:
        pieces = [piece(1, 4, b"4a"), piece(1, 3, b"3b")]
        for order in permutations(pieces):
            assert pieces_of(from_pieces(order, FORK)) == sorted(pieces)

    def test_a_piece_within_another_of_its_branch_goes(self) -> None:
        pieces = [piece(1, 4, b"4a"), piece(1, 3, b"3a"), piece(2, 2, b"2"), piece(1, 3, b"3b")]
        for order in permutations(pieces):
            assert pieces_of(from_pieces(order, FORK)) == sorted([piece(1, 4, b"4a"), piece(1, 3, b"3b")])

    def test_touching_pieces_are_kept_as_they_are(self) -> None:
        pieces = [piece(1, 2), piece(3, 4, b"4a")]

        assert pieces_of(from_pieces(pieces, FORK)) == pieces

    def test_a_piece_within_another_that_proves_nothing_stays(self) -> None:
        pieces = [piece(1, 5, b"5b"), piece(1, 3, b"3b")]

        assert pieces_of(from_pieces(pieces, FORK)) == sorted(pieces)

    def test_other_writers_are_intervals_still(self) -> None:
        pieces = [Piece(b"x" * 16, 1, 2, b"2"), Piece(b"x" * 16, 3, 4, b"4")]

        assert pieces_of(from_pieces(pieces, FORK)) == [Piece(b"x" * 16, 1, 4, b"4")]


class TestManyPieces:
    """A device that was admitted may claim to have seen any number of pieces; nobody is kept busy for it."""

    @given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=20))
    def test_united_at_once_they_are_what_they_are_one_by_one(self, spans: list[tuple[int, int]]) -> None:
        pieces = [Piece(b"w" * 16, first, first + more, bytes([first + more]) * 16) for first, more in spans]
        singly: Context = {}
        for piece in pieces:
            unite(singly, [piece])

        assert from_pieces(pieces) == singly

    def test_their_cost_does_not_grow_with_the_square_of_their_number(self) -> None:
        pieces = [Piece(b"w" * 16, 3 * n + 1, 3 * n + 2, b"h" * 16) for n in range(50_000)]
        start = time.process_time()

        assert pieces_of(from_pieces(pieces)) == pieces

        assert time.process_time() - start < 5, "one after the other they take minutes"
