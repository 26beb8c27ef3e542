"""Whether this process may still act. A worker that stood still too long may not: others have its runs by then.

The ledger refuses the writes of such a worker, but no ledger can take back a request to a vendor. So whoever is about to
send one asks here first.
"""

from __future__ import annotations

from collections.abc import Callable

_checks: list[Callable[[], bool]] = []


class StandingLostError(BaseException):
    """This process may not act any more. No `Exception`, so that nothing takes it for an answer of the vendor."""


def depend_on(is_late: Callable[[], bool] | None) -> None:
    """Have every effect of this process depend on a check; None ends it."""
    _checks[:] = [] if is_late is None else [is_late]


def check_standing() -> None:
    """Return when this process may act. Raises StandingLostError when it may not."""
    if any(is_late() for is_late in _checks):
        raise StandingLostError("this worker gave no sign of life for too long; others may have its runs")
