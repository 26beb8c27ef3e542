"""A process that may not act any more sends nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from snaphold import http, standing
from snaphold.standing import StandingLostError, check_standing


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    standing.depend_on(None)


def test_whoever_is_no_worker_may_always_act() -> None:
    check_standing()


def test_a_worker_that_is_late_may_not_act_and_one_that_is_not_may() -> None:
    standing.depend_on(lambda: False)
    check_standing()
    standing.depend_on(lambda: True)
    with pytest.raises(StandingLostError):
        check_standing()
    standing.depend_on(None)
    check_standing()


def test_no_request_leaves_a_worker_that_is_late() -> None:
    standing.depend_on(lambda: True)
    with pytest.raises(StandingLostError):
        http.send("POST", "http://127.0.0.1:1/jobs", body=b"{}")
