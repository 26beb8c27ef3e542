"""Retries without their pauses, and every breaker and budget fresh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from snaphold import http
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


def impatient(monkeypatch: pytest.MonkeyPatch, seconds: float, still: Callable[[], object]) -> None:
    """Have an attempt wait no longer than so many seconds while `still` says so; every other has its whole time.

    A short limit for all attempts would also end those that a busy machine makes slow.
    """
    follow = http._follow

    def limited(call: Any, timeout: float) -> http.Answer:
        return follow(call, seconds if still() else timeout)

    monkeypatch.setattr(http, "_follow", limited)
