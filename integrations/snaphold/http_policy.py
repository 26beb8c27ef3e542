"""What may be repeated, per vendor, and how long to wait before it.

Three kinds of call differ. A read may always be repeated. A keyed write carries a key by which the vendor itself tells
a repeat. Every other write is ambiguous once its answer is lost: it is looked up, never repeated.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from random import SystemRandom

READING = frozenset({"GET", "HEAD"})
_TOO_MANY = 429
_UNAUTHORISED = 401
_random = SystemRandom()


class Reset(str, Enum):
    """What a header that tells when to come back holds."""

    RETRY_AFTER = "retry_after"
    """Seconds, or an HTTP date."""
    SECONDS = "seconds"
    MOMENT = "moment"
    """Seconds since 1970."""


_RETRY_AFTER = (("retry-after", Reset.RETRY_AFTER),)


@dataclass(frozen=True)
class RetryPolicy:
    """When a call is repeated. Statuses stand for answers; `lost_*` for calls whose answer never came.

    `refused` are statuses after which nothing has happened, so that every call may be repeated. A call that surely was
    never sent may always be repeated. `resets` names the headers that tell when to come back, first one first; a wait
    longer than `longest_wait` seconds is not sat out: the caller gets the answer and decides.
    """

    name: str
    attempts: int
    reads: frozenset[int]
    keyed: frozenset[int]
    refused: frozenset[int] = frozenset()
    lost_reads: bool = True
    lost_keyed: bool = True
    renewals: int = 0
    pause: float = 0.4
    longest_wait: float = 20.0
    resets: tuple[tuple[str, Reset], ...] = _RETRY_AFTER

    def repeats_status(self, method: str, status: int, *, keyed: bool) -> bool:
        """Return whether a call that was answered with this status is sent again."""
        if status in self.refused:
            return True
        return status in (self.reads if method in READING else self.keyed if keyed else frozenset[int]())

    def repeats_lost(self, method: str, *, keyed: bool, sent: bool) -> bool:
        """Return whether a call without an answer is sent again."""
        if not sent:
            return True
        return self.lost_reads if method in READING else keyed and self.lost_keyed

    def pause_before(self, repeat: int) -> float:
        """Return the seconds before repeat number 1, 2, ...: doubling, with jitter so that many do not come at once."""
        return self.pause * 2**repeat * _random.uniform(0.5, 1.0)


def asked_wait(headers: Mapping[str, str], resets: Sequence[tuple[str, Reset]]) -> float | None:
    """Return the seconds that an answer asks to wait, None when it asks for nothing that can be read."""
    for name, kind in resets:
        text = headers.get(name, "").strip()
        if not text:
            continue
        seconds = _seconds(text, kind)
        if seconds is not None:
            return max(seconds, 0.0)
    return None


def _seconds(text: str, kind: Reset) -> float | None:
    if text.isascii() and text.isdigit():
        return float(text) - (time.time() if kind is Reset.MOMENT else 0.0)
    if kind is not Reset.RETRY_AFTER:
        return None
    from urllib3.exceptions import InvalidHeader
    from urllib3.util.retry import Retry

    try:
        return float(Retry(0).parse_retry_after(text))
    except InvalidHeader:
        return None


_EVERY_5XX = frozenset(range(500, 600))
_BUSY = frozenset({_TOO_MANY, 502, 503, 504})

PLAIN = RetryPolicy("plain", attempts=3, reads=_BUSY, keyed=_BUSY, pause=0.2)
"""For servers of which nothing is known."""

VEEAM = RetryPolicy("veeam", attempts=4, reads=frozenset({500, 503}), keyed=frozenset(), lost_keyed=False, renewals=1, resets=())
COMMVAULT = RetryPolicy(
    "commvault", attempts=4, reads=_EVERY_5XX, keyed=frozenset(), refused=frozenset({_TOO_MANY}), lost_keyed=False, renewals=3
)
VSPHERE = RetryPolicy("vsphere", attempts=3, reads=frozenset(), keyed=frozenset({502, 503, 504}), refused=frozenset({_TOO_MANY}))
"""SOAP is all POST: `keyed` are its calls that only read. 500 is how it tells any fault, and is never repeated."""
SERVICENOW = RetryPolicy(
    "servicenow",
    attempts=4,
    reads=frozenset({500, 502, 503}),
    keyed=frozenset(),
    refused=frozenset({_TOO_MANY}),
    lost_keyed=False,
    renewals=1,
    resets=(*_RETRY_AFTER, ("x-ratelimit-reset", Reset.MOMENT)),
)
PAGERDUTY_REST = RetryPolicy(
    "pagerduty",
    attempts=4,
    reads=frozenset({408, 500}),
    keyed=frozenset({408, 500}),
    refused=frozenset({_TOO_MANY}),
    resets=(("ratelimit-reset", Reset.SECONDS), *_RETRY_AFTER),
)
PAGERDUTY_EVENTS = RetryPolicy(
    "pagerduty-events", attempts=5, reads=frozenset(), keyed=_EVERY_5XX, refused=frozenset({_TOO_MANY}), pause=0.5
)
