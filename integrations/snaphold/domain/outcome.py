"""The four outcomes. Unknown is not success."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum


class Outcome(str, Enum):
    """How an action ended."""

    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    UNKNOWN = "unknown"


_FROM_WORST = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.PARTIAL, Outcome.SUCCEEDED)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst of several outcomes: failed, then unknown, then partial.

    Raises ValueError when there are none: nothing done is not success.
    """
    present = set(outcomes)
    for outcome in _FROM_WORST:
        if outcome in present:
            return outcome
    raise ValueError("there is no outcome to judge")
