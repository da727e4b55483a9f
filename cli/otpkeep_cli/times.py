"""Moments as people write them: RFC 3339, or "2 hours ago"."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from otpkeep_protocol.errors import Usage

EXAMPLES = "2026-05-01T12:00:00Z, 2026-05-01, yesterday, 2 hours ago"

_AGO = re.compile(r"(an?|[0-9]{1,9})\s+(second|minute|hour|day|week|month|year)s?\s+ago")
_LENGTHS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_MONTHS = {"month": 1, "year": 12}


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


_NAMED: dict[str, Callable[[datetime], datetime]] = {
    "now": lambda local: local,
    "today": _midnight,
    "yesterday": lambda local: _midnight(local) - timedelta(days=1),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in UTC; `assumed_local` if the words named no zone and the local one was taken."""

    at: datetime
    assumed_local: bool = False

    @property
    def ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return int(self.at.timestamp() * 1000)

    def text(self) -> str:
        """Return the moment as RFC 3339 in UTC, fractions only if there are any."""
        return self.at.isoformat().replace("+00:00", "Z")


def parse_time(words: str, now: datetime, zone: tzinfo | None = None) -> Moment:
    """Return the moment that `words` mean at `now` (aware); `zone` is the local one, None the system's.

    "yesterday" and "today" are the local midnights at which they began. Raises Usage with examples.
    """
    text = " ".join(words.lower().split())
    try:
        if named := _NAMED.get(text):
            return Moment(_utc(named(_local(now, zone)), zone), text != "now")
        if found := _AGO.fullmatch(text):
            return Moment(_ago(now.astimezone(UTC), found.group(1), found.group(2)))
        return _iso(text.upper(), zone)
    except (ValueError, OverflowError, OSError):
        raise Usage("That is no time that otpkeep understands.", f"Write for example: {EXAMPLES}") from None


def _iso(text: str, zone: tzinfo | None) -> Moment:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return Moment(_utc(moment, zone), assumed_local=True)
    return Moment(moment.astimezone(UTC))


def _ago(now: datetime, number: str, unit: str) -> datetime:
    count = int(number) if number.isdigit() else 1
    if unit in _LENGTHS:
        return now - count * _LENGTHS[unit]
    months = now.year * 12 + now.month - 1 - count * _MONTHS[unit]
    year, month = divmod(months, 12)
    if year < 1:
        raise ValueError
    last = calendar.monthrange(year, month + 1)[1]
    return now.replace(year=year, month=month + 1, day=min(now.day, last))


def _local(now: datetime, zone: tzinfo | None) -> datetime:
    """Return the wall clock time of `now` there, without a zone."""
    return now.astimezone(zone).replace(tzinfo=None)


def _utc(naive: datetime, zone: tzinfo | None) -> datetime:
    """Return the moment at which the wall clock of `zone` shows `naive`."""
    there = naive if zone is None else naive.replace(tzinfo=zone)
    return there.astimezone(UTC)
