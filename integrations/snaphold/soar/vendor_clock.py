"""Whether the clock of a vendor's system agrees with ours, by the date that any answer of its carries."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path

from snaphold.clock import Clock
from snaphold.errors import ProviderError
from snaphold.http import send
from snaphold.soar.xsoar_check import CLOCK_TOLERANCE_SECONDS


def clock_fault(url: str, ca_file: str, timeout: timedelta, clock: Clock) -> str:
    """Return how the clocks differ and what to do; empty when they agree, or when the system does not tell its time.

    Whoever asks has signed in before, so that a system which does not answer here only leaves its clock untold.
    """
    began = clock.now()
    try:
        told = send("GET", url, ca_file=Path(ca_file) if ca_file else None, timeout=timeout.total_seconds()).headers.get(
            "date", ""
        )
    except ProviderError:
        return ""
    there, ended = _moment(told), clock.now()
    if there is None:
        return ""
    # A date counts whole seconds, and the answer was written at any moment between question and answer.
    behind, ahead = (began - there).total_seconds() - 1.0, (there - ended).total_seconds()
    difference = max(behind, ahead)
    if difference <= CLOCK_TOLERANCE_SECONDS:
        return ""
    return f"the clocks differ by {difference:.0f} s: set that of this server and that of the system by NTP"


def _moment(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError):  # the older Pythons raise the first for text that is no date
        return None
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
