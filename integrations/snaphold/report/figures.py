"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime, timezone

_STEP = 1000
_SECONDS_PER_MINUTE = 60
_SECONDS_PER_HOUR = 3600


def in_bytes(count: int) -> str:
    """Return a number of bytes with a decimal unit, e.g. `6.3 MB`; the exact number below 1000."""
    amount, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    while amount >= _STEP and len(units) > 1:
        amount /= _STEP
        units.pop(0)
    return f"{count} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def in_words(moment: datetime | None) -> str:
    """Return a time in UTC to the second, e.g. `2026-11-22 18:00:05 Z`; `-` when there is none."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} Z" if moment else "-"


def in_seconds(seconds: float) -> str:
    """Return a length of time, e.g. `0.4 s`, `3 min 05 s` or `26 h 07 min`."""
    if seconds < _SECONDS_PER_MINUTE:
        return f"{seconds:.1f} s"
    if seconds >= _SECONDS_PER_HOUR:
        return f"{int(seconds) // _SECONDS_PER_HOUR} h {int(seconds) % _SECONDS_PER_HOUR // _SECONDS_PER_MINUTE:02} min"
    return f"{int(seconds) // _SECONDS_PER_MINUTE} min {int(seconds) % _SECONDS_PER_MINUTE:02} s"
