"""Time in one place: the clock, RFC 3339 text, and durations such as `30s`, `5m`, `2h`, `1d`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION = re.compile(r"(?P<count>[0-9]{1,10})(?P<unit>[smhd])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_DURATION = timedelta(days=36_500)
"""A hundred years: far enough for any retention, near enough for every date to exist."""
DURATION_PATTERN = r"^[0-9]{1,10}[smhd]$"


class Clock(Protocol):
    """Where every time in the product comes from."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the machine's current time in UTC."""
        return datetime.now(timezone.utc)


class FixedClock:
    """A clock that stands still until it is moved; for tests and exercises."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """Return the time at which the clock stands."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.at += timedelta(seconds=seconds)


def format_time(moment: datetime) -> str:
    """Return RFC 3339 text in UTC with milliseconds, e.g. `2026-11-22T18:04:05.123Z`.

    Raises ValueError for a naive time: a time without its zone proves nothing.
    """
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be written down")
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the aware UTC time that RFC 3339 text names. Raises ValueError when it is not one."""
    moment = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(timezone.utc)


def parse_duration(text: str) -> timedelta:
    """Return the length of `30s`, `5m`, `2h` or `1d`. Raises ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a duration: write a whole number and s, m, h or d, e.g. 30s, 5m, 2h, 1d")
    seconds = int(match["count"]) * _UNIT_SECONDS[match["unit"]]
    if seconds > LONGEST_DURATION.total_seconds():
        raise ValueError(f"{text!r} is too long: a duration is at most {format_duration(LONGEST_DURATION)}")
    return timedelta(seconds=seconds)


def format_duration(length: timedelta) -> str:
    """Return the shortest exact text of a duration of whole seconds, e.g. `2h`."""
    seconds = int(length.total_seconds())
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNIT_SECONDS[unit] == 0:
            return f"{seconds // _UNIT_SECONDS[unit]}{unit}"
    return f"{seconds}s"


def _read_duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        if not timedelta(0) <= value <= LONGEST_DURATION:
            raise ValueError(f"a duration is at least 0s and at most {format_duration(LONGEST_DURATION)}")
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError("a duration is text such as 30s, 5m, 2h or 1d")


Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]


def _check_positive(length: timedelta) -> timedelta:
    if length <= timedelta(0):
        raise ValueError("must be longer than 0s")
    return length


Positive = Annotated[Duration, AfterValidator(_check_positive)]
"""A duration that is not empty."""
