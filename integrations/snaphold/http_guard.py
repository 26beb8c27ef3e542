"""What protects a vendor from us: a circuit breaker per host, and a budget of calls per run.

Both are kept per process. A storm of incidents then costs a vendor a bounded number of calls, and a host that is down
is left alone for a while instead of being asked by every step anew.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from snaphold.errors import ProviderError

FAILURES_TO_OPEN = 5
"""So many calls in a row, each with its repeats, must fail before a host is left alone."""
OPEN_SECONDS = 30.0
CALLS_PER_RUN = 2000
"""More than any single incident needs at one platform: a poll every ten seconds for five hours."""
PRODUCT_CALLS_PER_RUN = 100_000
"""At a backup product: jobs of hours are asked for again and again, for each asset."""
_RUNS_KEPT = 512


class CircuitBreaker:
    """Left alone after `failures` calls in a row that no host answered properly; one trial call after `seconds`."""

    def __init__(self, host: str, failures: int = FAILURES_TO_OPEN, seconds: float = OPEN_SECONDS) -> None:
        self._host = host
        self._failures = failures
        self._seconds = seconds
        self._in_a_row = 0
        self._closed_again_at = 0.0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Let a call pass. Raises ProviderError (retryable: nothing was sent) while the host is left alone."""
        with self._lock:
            left = self._closed_again_at - time.monotonic()
            if left > 0:
                raise ProviderError(
                    f"{self._host} is left alone for {left:.0f} s",
                    f"{self._in_a_row} calls in a row failed",
                    "look whether it is up; it is tried again by itself",
                    retryable=True,
                )
            if self._in_a_row >= self._failures:  # this one is the trial; others wait for its result
                self._closed_again_at = time.monotonic() + self._seconds

    def succeeded(self) -> None:
        """Note that the host answered."""
        with self._lock:
            self._in_a_row, self._closed_again_at = 0, 0.0

    def failed(self) -> None:
        """Note that the host did not answer, or only with an error of its own."""
        with self._lock:
            self._in_a_row += 1
            if self._in_a_row >= self._failures:
                self._closed_again_at = time.monotonic() + self._seconds


class CallBudget:
    """How many calls one run may still make to one vendor."""

    def __init__(self, name: str, calls: int = CALLS_PER_RUN) -> None:
        self._name = name
        self._calls = calls
        self._used = 0
        self._lock = threading.Lock()

    def take(self) -> None:
        """Use one call. Raises ProviderError when none is left."""
        with self._lock:
            if self._used >= self._calls:
                raise ProviderError(
                    f"the budget of {self._name} is used up",
                    f"{self._calls} calls were made",
                    "find out what calls so often; calls_per_run of the integration sets the budget",
                )
            self._used += 1


_acting: ContextVar[str] = ContextVar("acting", default="")
_lock = threading.Lock()
_breakers: dict[str, CircuitBreaker] = {}
_budgets: OrderedDict[tuple[str, str], CallBudget] = OrderedDict()


def breaker_of(host: str) -> CircuitBreaker:
    """Return this process's circuit breaker of a host (name and port)."""
    with _lock:
        return _breakers.setdefault(host, CircuitBreaker(host))


@contextmanager
def acting_in(run: str) -> Generator[None]:
    """Have what is opened in the block count its calls to the run's budgets; `""` changes nothing."""
    token = _acting.set(run or _acting.get())
    try:
        yield
    finally:
        _acting.reset(token)


def budget_of(run: str, vendor: str, calls: int = CALLS_PER_RUN) -> CallBudget:
    """Return the budget of one run (`""`: that of `acting_in`) at one vendor. Work outside a run gets a fresh one each time."""
    run = run or _acting.get()
    if not run:
        return CallBudget(f"this work at {vendor}", calls)
    with _lock:
        key = (run, vendor)
        found = _budgets.setdefault(key, CallBudget(f"run {run} at {vendor}", calls))
        _budgets.move_to_end(key)
        while len(_budgets) > _RUNS_KEPT:
            _budgets.popitem(last=False)
        return found


def forget_everything() -> None:
    """Start anew, as a fresh process does; for tests and exercises."""
    with _lock:
        _breakers.clear()
        _budgets.clear()
