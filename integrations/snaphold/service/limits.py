"""How much one caller may ask for: a token bucket for each API token, and one for each address that is refused.

A valid token or a genuine delivery is never held up by what others do, also not by others at its own address: behind a
proxy all have one.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from snaphold.service.problems import RequestError
from snaphold.service.settings import ServiceSettings

LIMIT = "service.limit"
"""The action of the entry in the audit trail."""
MOST_BUCKETS = 10_000
_TOO_MANY = 429


@dataclass
class _Bucket:
    level: float
    at: float


class Buckets:
    """Token buckets of one size, each under its name. The one that was used longest ago is forgotten first, as full."""

    def __init__(self, per_second: float, size: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._size, self._clock = per_second, size, clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, name: str) -> float:
        """Take one from a bucket and return 0; when it is empty, take nothing and return the seconds until it is not."""
        with self._lock:
            now = self._clock()
            bucket = self._buckets.pop(name, None) or _Bucket(self._size, now)
            level = min(self._size, bucket.level + max(0.0, now - bucket.at) * self._rate)
            wait = 0.0 if level >= 1 else (1 - level) / self._rate
            self._buckets[name] = _Bucket(level - 1 if not wait else level, now)
            while len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
            return wait


class Limits:
    """The limits of one service."""

    def __init__(self, settings: ServiceSettings | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        given = settings or ServiceSettings()
        self._settings = given
        self._tokens = Buckets(given.requests_per_second, given.burst, clock)
        self._refused = Buckets(given.refusals_per_minute / 60, given.refusals_per_minute, clock)
        self._deliveries = Buckets(given.refusals_per_minute / 60, given.refusals_per_minute, clock)

    def of_token(self, token: str) -> RequestError | None:
        """Count a request of a token; return the refusal when it has made too many."""
        wait = self._tokens.take(token)
        told = f"{token} may make {self._settings.requests_per_second:g} a second, and {self._settings.burst} at once"
        return _too_many("this token makes too many requests", told, wait) if wait else None

    def of_refused(self, source: str) -> RequestError | None:
        """Count a caller without a valid token; return the refusal when its address had too many of them."""
        wait = self._refused.take(source)
        return _too_many("too many requests without a valid token", self._told, wait) if wait else None

    def of_delivery(self, webhook: str, source: str) -> RequestError | None:
        """Count a refused delivery of a webhook; return the refusal to give when its address had too many for it."""
        wait = self._deliveries.take(f"{webhook} {source}")
        return _too_many("too many deliveries were refused", self._told, wait) if wait else None

    @property
    def _told(self) -> str:
        return f"{self._settings.refusals_per_minute} a minute from one address are told why"


def _too_many(what: str, why: str, wait: float) -> RequestError:
    seconds = max(1, math.ceil(wait))
    return RequestError(_TOO_MANY, what, why, f"ask again in {seconds} s", {"Retry-After": str(seconds)}, recorded=True)
