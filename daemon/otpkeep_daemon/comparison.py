"""What a digest from another device, or from a sheet of paper, says of what this device holds; in words."""

from __future__ import annotations

from typing import Any

from otpkeep_daemon.accounts import Accounts
from otpkeep_daemon.problem import counted
from otpkeep_protocol import digests
from otpkeep_protocol.digests import Comparison, Verdict
from otpkeep_protocol.ids import event_name


def comparison(accounts: Accounts, text: str) -> dict[str, Any]:
    """Return {verdict, events, event, doubt, message, hint} of what is held beside the digest `text`.

    `events` is by how many the two differ in number; `event` is beside which held event the digest was the right one,
    if that is known; `doubt` is whether something may be missing here. Usage if `text` is no digest.
    """
    archive = accounts.replica.archive
    seen = (beat.seen for beat in archive.beats())
    found = digests.compare(text, accounts.replica.chains, archive.events(), seen)
    return {
        "verdict": found.verdict.value,
        "events": found.events,
        "event": None if found.at is None else event_name(found.at.writer, found.at.seq),
        "doubt": found.is_doubtful,
        "message": _message(found),
        "hint": _HINT if found.is_doubtful else "",
    }


def _message(found: Comparison) -> str:
    number = counted(found.events, "event")
    return {
        Verdict.SAME: "the same: this device holds exactly the events of that digest",
        Verdict.AHEAD: f"this device has more: all events of that digest, and {number} besides",
        Verdict.BEHIND: f"this device lacks at least {number} of that digest",
        Verdict.UNCLEAR: (
            f"this device has {number} more than that digest counts; whether it has all of those, a digest can't tell"
        ),
        Verdict.APART: (
            "as many events as that digest counts, and not the same: this device lacks some of them, and has others"
        ),
        Verdict.DIFFERENT: "not the same; who lacks something can't be told without the number before the digest",
    }[found.verdict]


_HINT = (
    "Let both devices sync, and compare again with what `otpkeep status` shows there then. If it stays so while both "
    "are in sync, the folder withholds something from one of them."
)
