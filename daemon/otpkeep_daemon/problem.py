"""A problem as `status` and the alarms have it."""

from __future__ import annotations

from otpkeep_protocol.errors import OtpkeepError


def problem(kind: str, message: str, hint: str, subject: str = "") -> dict[str, str]:
    """Return {kind, subject, message, hint}; `subject` says which of its kind it is, in words that stay the same."""
    return {"kind": kind, "subject": subject, "message": message, "hint": hint}


def problem_of(trouble: OtpkeepError, subject: str = "") -> dict[str, str]:
    """Return an error as a problem."""
    return problem(trouble.kind, trouble.message, trouble.hint, subject)


def counted(number: int, one: str) -> str:
    """Return a number of things, such as `1 event` and `2 events`."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"
