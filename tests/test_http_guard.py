"""The circuit breaker and the budget of a run."""

from __future__ import annotations

import pytest

from snaphold import http_guard
from snaphold.errors import ProviderError
from snaphold.http_guard import CallBudget, CircuitBreaker, acting_in, breaker_of, budget_of, forget_everything


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(http_guard.time, "monotonic", lambda: now[0])
    return now


def test_a_host_that_fails_again_and_again_is_left_alone_then_tried_once(seconds: list[float]) -> None:
    breaker = CircuitBreaker("itsm.example.org", failures=3, seconds=30)
    for _ in range(3):
        breaker.enter()
        breaker.failed()
    with pytest.raises(ProviderError, match="left alone for 30 s") as caught:
        breaker.enter()
    assert caught.value.retryable
    seconds[0] += 31
    breaker.enter()
    with pytest.raises(ProviderError):  # one trial at a time
        breaker.enter()
    breaker.failed()
    with pytest.raises(ProviderError):
        breaker.enter()
    seconds[0] += 31
    breaker.enter()
    breaker.succeeded()
    breaker.enter()
    breaker.enter()


def test_one_success_ends_a_row_of_failures(seconds: list[float]) -> None:
    breaker = CircuitBreaker("itsm.example.org", failures=2)
    for _ in range(5):
        breaker.failed()
        breaker.succeeded()
    breaker.enter()


def test_breakers_are_per_host() -> None:
    assert breaker_of("a.example.org") is breaker_of("a.example.org")
    assert breaker_of("a.example.org") is not breaker_of("a.example.org:8443")


def test_a_run_has_one_budget_at_a_vendor() -> None:
    budget = budget_of("RUN-budget", "itsm", calls=2)
    assert budget_of("RUN-budget", "itsm", calls=2) is budget
    assert budget_of("RUN-budget", "paging") is not budget
    budget.take()
    budget.take()
    with pytest.raises(ProviderError, match="used up"):
        budget.take()


def test_work_outside_a_run_shares_nothing() -> None:
    assert budget_of("", "itsm") is not budget_of("", "itsm")


def test_old_runs_are_forgotten_so_that_a_service_does_not_grow() -> None:
    first = budget_of("RUN-old", "itsm")
    for number in range(600):
        budget_of(f"RUN-{number}", "itsm")
    assert budget_of("RUN-old", "itsm") is not first
    assert isinstance(first, CallBudget)


def test_what_is_opened_in_a_run_shares_the_budget_of_the_run() -> None:
    forget_everything()
    with acting_in("RUN-1"):
        first, second = budget_of("", "vbr", 2), budget_of("", "vbr", 2)
        with acting_in(""):
            assert budget_of("", "vbr", 2) is first, "no run of its own: still that of the block around"
        with acting_in("RUN-2"):
            assert budget_of("", "vbr", 2) is not first
    assert first is second
    first.take()
    second.take()
    with pytest.raises(ProviderError, match="budget of run RUN-1 at vbr is used up"):
        first.take()
    assert budget_of("", "vbr", 2) is not budget_of("", "vbr", 2), "outside a run each piece of work has its own"
