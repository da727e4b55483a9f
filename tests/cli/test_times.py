"""Moments as people write them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpkeep_cli.times import parse_time
from otpkeep_protocol.errors import Usage

NOW = datetime(2026, 3, 31, 1, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("2026-05-01T12:00:00Z", "2026-05-01T12:00:00Z"),
        ("2026-05-01t12:00:00z", "2026-05-01T12:00:00Z"),
        ("2026-05-01T12:00:00.25+02:00", "2026-05-01T10:00:00.250000Z"),
        ("2026-05-01 12:00:00Z", "2026-05-01T12:00:00Z"),
        ("now", "2026-03-31T01:30:00Z"),
        ("2 hours ago", "2026-03-30T23:30:00Z"),
        ("an hour ago", "2026-03-31T00:30:00Z"),
        ("  1   DAY ago ", "2026-03-30T01:30:00Z"),
        ("1 month ago", "2026-02-28T01:30:00Z"),
        ("13 months ago", "2025-02-28T01:30:00Z"),
        ("2 years ago", "2024-03-31T01:30:00Z"),
    ],
)
def test_a_time_with_a_zone_or_a_distance_needs_no_guess(words: str, meant: str) -> None:
    moment = parse_time(words, NOW, BERLIN)
    assert (moment.text(), moment.assumed_local) == (meant, False)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("2026-05-01", "2026-04-30T22:00:00Z"),
        ("2026-01-01T12:00", "2026-01-01T11:00:00Z"),
        ("today", "2026-03-30T22:00:00Z"),
        ("yesterday", "2026-03-29T22:00:00Z"),
    ],
)
def test_without_a_zone_the_local_one_counts_and_is_told(words: str, meant: str) -> None:
    moment = parse_time(words, NOW, BERLIN)
    assert (moment.text(), moment.assumed_local) == (meant, True)


def test_yesterday_begins_at_local_midnight_over_a_clock_change() -> None:
    # Berlin's clocks went forward on 29 March 2026, so that day began an hour later in UTC than the next.
    noon_after = datetime(2026, 3, 30, 10, tzinfo=UTC)
    assert parse_time("yesterday", noon_after, BERLIN).text() == "2026-03-28T23:00:00Z"


@pytest.mark.parametrize(
    "words",
    ["", "soon", "2 hours", "-1 days ago", "2026-13-01", "25:00", "999999999 years ago", "2 fortnights ago"],
)
def test_what_is_no_time_is_refused_with_examples(words: str) -> None:
    with pytest.raises(Usage) as caught:
        parse_time(words, NOW, BERLIN)
    assert "2 hours ago" in caught.value.hint


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  # hypothesis wants it
def test_every_moment_reads_back_from_its_own_text(at: datetime) -> None:
    moment = parse_time(at.isoformat(), NOW)
    assert moment.at == at
    assert parse_time(moment.text(), NOW).at == at


@given(st.text())
def test_any_text_is_a_time_or_a_usage_error(words: str) -> None:
    try:
        moment = parse_time(words, NOW, BERLIN)
    except Usage:
        return
    assert moment.at.utcoffset() == timedelta(0)


def test_milliseconds_are_exact_for_a_whole_second() -> None:
    assert parse_time("1970-01-01T00:00:01Z", NOW).ms == 1000
