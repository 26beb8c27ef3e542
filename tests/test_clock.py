from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from snaphold.clock import (
    LONGEST_DURATION,
    Duration,
    FixedClock,
    SystemClock,
    format_duration,
    format_time,
    parse_duration,
    parse_time,
)

ADAPTER: TypeAdapter[timedelta] = TypeAdapter(Duration)


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(1970, 1, 2), max_value=datetime(2199, 1, 1)))  # noqa: DTZ001
def test_a_time_reads_back_to_the_millisecond_in_utc(moment: datetime) -> None:
    text = format_time(moment)
    again = parse_time(text)
    assert again.tzinfo is timezone.utc
    assert timedelta(0) <= moment - again < timedelta(milliseconds=1)
    assert format_time(again) == text
    assert text.endswith("Z")


def test_a_time_without_a_zone_is_refused_both_ways() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        format_time(datetime(2026, 11, 22))  # noqa: DTZ001
    with pytest.raises(ValueError, match="no time zone"):
        parse_time("2026-11-22T18:00:00")


@given(st.integers(0, 36_500 * 86_400))
def test_a_duration_reads_back(seconds: int) -> None:
    length = timedelta(seconds=seconds)
    assert ADAPTER.validate_python(ADAPTER.dump_python(length)) == length
    assert parse_duration(format_duration(length)) == length


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), ("090m", 5400)])
def test_durations_are_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "value", ["", "5", "h", "1.5h", "-1h", "1 h", "1h30m", "1w", "1H", "१h", "36501d", "9999999999s", "9999999999d", 5, None]
)
def test_anything_else_is_no_duration(value: Any) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(value)


def test_a_length_of_time_has_limits_also_in_code() -> None:
    assert ADAPTER.validate_python(LONGEST_DURATION) == LONGEST_DURATION
    for length in (timedelta(seconds=-1), LONGEST_DURATION + timedelta(seconds=1)):
        with pytest.raises(ValidationError, match="at least 0s and at most 36500d"):
            ADAPTER.validate_python(length)


def test_durations_are_written_in_the_largest_exact_unit() -> None:
    lengths = [timedelta(0), timedelta(seconds=90), timedelta(minutes=90), timedelta(hours=48)]
    assert [format_duration(length) for length in lengths] == ["0s", "90s", "90m", "2d"]


def test_clocks_tell_utc_and_a_fixed_clock_moves_only_when_told(clock: FixedClock) -> None:
    assert SystemClock().now().tzinfo is timezone.utc
    before = clock.now()
    assert clock.now() == before
    clock.advance(1.5)
    assert clock.now() - before == timedelta(seconds=1.5)
