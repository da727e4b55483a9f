"""The digest of what a device holds, short enough to be compared by eye or noted on paper (SPEC §7).

    57-9f86d081884c7d65      57 events are held; the rest is a hash of which

Equal digests mean equal events. Of others the number tells who lacks something at least; and a digest that was taken
right before or after any held event, or by a beat, is found again among the states that the events themselves describe.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from otpkeep_protocol import wire
from otpkeep_protocol.chains import Chains
from otpkeep_protocol.errors import Usage
from otpkeep_protocol.events import Event
from otpkeep_protocol.ids import Dot, Piece, sha256

_FORM = re.compile(r"(?:([0-9]{1,15})-)?([0-9a-f]{16})")


class Verdict(enum.Enum):
    """How what this device holds stands to a digest from elsewhere."""

    SAME = "same"
    AHEAD = "ahead"
    """The digest is of an earlier state: all that was held there is held here, and more."""
    BEHIND = "behind"
    """More events were held there: some are not here."""
    UNCLEAR = "unclear"
    """Fewer events were held there; whether all of them are here can't be told."""
    APART = "apart"
    """As many events were held there, and others: each side lacks some."""
    DIFFERENT = "different"
    """The digest came without its number: nothing more can be told."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A verdict; by how many events the two differ in number; and, if AHEAD, the event beside which that was."""

    verdict: Verdict
    events: int = 0
    at: Dot | None = None

    @property
    def is_doubtful(self) -> bool:
        """Tell whether this device may lack something that was held where the digest comes from."""
        return self.verdict not in (Verdict.SAME, Verdict.AHEAD)


def digest(chains: Chains) -> str:
    """Return the digest of the events that are held."""
    return f"{chains.held_count}-{_hash(chains.seen())}"


def read(text: str) -> tuple[int | None, str]:
    """Return number, None if it is not given, and hash of a digest as people type it. Usage if it is none."""
    found = _FORM.fullmatch("".join(text.lower().split()))
    if found is None:
        raise Usage(
            "A digest is a number, a dash and 16 hexadecimal digits, such as 57-9f86d081884c7d65.",
            "`otpkeep status` on the other device shows it.",
        )
    return (int(found[1]) if found[1] else None), found[2]


def compare(text: str, chains: Chains, history: Iterable[Event], beats: Iterable[Sequence[Piece]] = ()) -> Comparison:
    """Return how what is held stands to the digest `text`. Usage if that is none.

    `history` is the held events, `beats` what devices have said that they held.
    """
    number, wanted = read(text)
    if wanted == _hash(chains.seen()):
        return Comparison(Verdict.SAME)
    for at, state in _states(history, beats):
        if _hash(state) == wanted and chains.has_all(state):
            fewer = chains.held_count - (number if number is not None else _size(state))
            return Comparison(Verdict.AHEAD, max(1, fewer), at)
    if number is None:
        return Comparison(Verdict.DIFFERENT)
    more = number - chains.held_count
    if more == 0:
        return Comparison(Verdict.APART)
    return Comparison(Verdict.BEHIND if more > 0 else Verdict.UNCLEAR, abs(more))


def _states(history: Iterable[Event], beats: Iterable[Sequence[Piece]]) -> Iterable[tuple[Dot | None, Sequence[Piece]]]:
    """Yield what the author of each event held right before and right after it, and what beats say."""
    for event in history:
        yield event.dot, event.seen
        yield event.dot, _with(event)
    for seen in beats:
        yield None, seen


def _with(event: Event) -> Sequence[Piece]:
    """Return what its author held once an event was made."""
    writer, seq, digest16 = event.dot
    first, others = seq, []
    for piece in event.seen:
        if (piece.writer, piece.last) == (writer, seq - 1) and event.prev is not None and event.prev[:16] == piece.hash:
            first = piece.first
        else:
            others.append(piece)
    return sorted([*others, Piece(writer, first, seq, digest16)])


def _hash(pieces: Sequence[Piece]) -> str:
    return sha256(b"otpkeep/v1/digest", wire.encode([list(piece) for piece in pieces])).hex()[:16]


def _size(pieces: Sequence[Piece]) -> int:
    return sum(piece.last - piece.first + 1 for piece in pieces)
