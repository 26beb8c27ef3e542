"""Retries without their pauses, every breaker and budget fresh, and limits that only those calls meet that are to meet them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from snaphold import http
from snaphold.errors import ProviderError
from snaphold.http_guard import forget_everything
from snaphold.http_policy import RetryPolicy
from snaphold.simulators import server
from snaphold.simulators.base import Call
from support.waiting import PATIENCE_SECONDS

_SHORTEST_GUARD_SECONDS = 10.0


def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have repeats come at once; what a simulator asks to wait is no time either."""

    def at_once(_self: RetryPolicy, _repeat: int) -> float:
        return 0.0

    monkeypatch.setattr(RetryPolicy, "pause_before", at_once)
    monkeypatch.setattr(server, "THROTTLED_SECONDS", 0)
    forget_everything()


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a call far more time than its limit when that only guards against a hang: a busy machine can use up 20 s."""
    follow = http._follow

    def unhurried(call: Any, timeout: float) -> http.Answer:
        return follow(call, timeout if timeout < _SHORTEST_GUARD_SECONDS else max(timeout, PATIENCE_SECONDS))

    monkeypatch.setattr(http, "_follow", unhurried)
    monkeypatch.setattr(http, "LONGEST_CONNECT_SECONDS", PATIENCE_SECONDS)


def impatient(monkeypatch: pytest.MonkeyPatch, seconds: float, still: Callable[[], object]) -> None:
    """Have an attempt wait no longer than so many seconds while `still` says so; every other has its whole time.

    A short limit for all attempts would also end those that a busy machine makes slow.
    """
    follow = http._follow

    def limited(call: Any, timeout: float) -> http.Answer:
        return follow(call, seconds if still() else timeout)

    monkeypatch.setattr(http, "_follow", limited)


def given_up_when_held(monkeypatch: pytest.MonkeyPatch, seconds: float, held: Callable[[], int]) -> None:
    """Have an attempt whose limit is at most so many seconds end when the server holds it: not before, and always then.

    `held` returns how many calls the server has taken without answering in time. Measured by the clock, the limit would
    also end calls that a busy machine makes slow, even before they are sent: those then arrive when the test goes on.
    """
    follow = http._follow

    def limited(call: Any, timeout: float) -> http.Answer:
        if timeout > seconds:
            return follow(call, timeout)
        before = held()
        done: queue.SimpleQueue[http.Answer | ProviderError] = queue.SimpleQueue()

        def work() -> None:
            try:
                done.put(follow(call, PATIENCE_SECONDS))
            except ProviderError as error:
                done.put(error)

        threading.Thread(target=work, daemon=True).start()
        while held() == before:
            try:
                came = done.get(timeout=0.01)
            except queue.Empty:
                continue
            if held() != before:
                break
            if isinstance(came, ProviderError):
                raise came
            return came
        raise http._silent(call, call.url, timeout, sent=True)

    monkeypatch.setattr(http, "_follow", limited)


def calls_held(monkeypatch: pytest.MonkeyPatch, running: server.SimulatorServer) -> Callable[[], int]:
    """Return what tells how many calls a simulator has taken from now on that meet the fault `slow`."""
    next_for = running.faults.next_for
    held: list[Call] = []

    def noted(call: Call) -> str:
        kind = next_for(call)
        if kind == "slow":
            held.append(call)
        return kind

    monkeypatch.setattr(running.faults, "next_for", noted)
    return lambda: len(held)
