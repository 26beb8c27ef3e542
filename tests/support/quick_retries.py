"""Retries without their pauses, and every breaker and budget fresh."""

from __future__ import annotations

import pytest

from snaphold.http_guard import forget_everything
from snaphold.http_policy import RetryPolicy
from snaphold.simulators import server


def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have repeats come at once; what a simulator asks to wait is no time either."""

    def at_once(_self: RetryPolicy, _repeat: int) -> float:
        return 0.0

    monkeypatch.setattr(RetryPolicy, "pause_before", at_once)
    monkeypatch.setattr(server, "THROTTLED_SECONDS", 0)
    forget_everything()
