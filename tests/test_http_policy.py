"""The retry matrix: what each vendor allows to be sent again, and how long it asks to wait."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from snaphold.http_policy import (
    COMMVAULT,
    PAGERDUTY_EVENTS,
    PAGERDUTY_REST,
    PLAIN,
    SERVICENOW,
    VEEAM,
    Reset,
    RetryPolicy,
    asked_wait,
)

ALL = (PLAIN, VEEAM, COMMVAULT, SERVICENOW, PAGERDUTY_REST, PAGERDUTY_EVENTS)
STATUSES = range(200, 600)


def repeated(policy: RetryPolicy, method: str, *, keyed: bool = False) -> set[int]:
    return {status for status in STATUSES if policy.repeats_status(method, status, keyed=keyed)}


def test_reads_are_repeated_as_the_matrix_says() -> None:
    assert repeated(VEEAM, "GET") == {500, 503}
    assert repeated(COMMVAULT, "GET") == {429, *range(500, 600)}
    assert repeated(SERVICENOW, "GET") == {429, 500, 502, 503}
    assert repeated(PAGERDUTY_REST, "GET") == {408, 429, 500}


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.name)
def test_an_ambiguous_write_is_repeated_only_when_it_was_refused(policy: RetryPolicy) -> None:
    assert repeated(policy, "POST") <= {429}
    assert repeated(policy, "PATCH") <= {429}
    assert not policy.repeats_lost("POST", keyed=False, sent=True)
    assert policy.repeats_lost("POST", keyed=False, sent=False)


@pytest.mark.parametrize("policy", [VEEAM, COMMVAULT, SERVICENOW], ids=lambda policy: policy.name)
def test_a_vendor_without_keys_never_gets_a_write_twice(policy: RetryPolicy) -> None:
    assert repeated(policy, "POST", keyed=True) <= {429}
    assert not policy.repeats_lost("POST", keyed=True, sent=True)


def test_events_are_repeated_because_their_key_makes_it_safe() -> None:
    assert repeated(PAGERDUTY_EVENTS, "POST", keyed=True) == {429, *range(500, 600)}
    assert PAGERDUTY_EVENTS.repeats_lost("POST", keyed=True, sent=True)


@pytest.mark.parametrize("policy", ALL, ids=lambda policy: policy.name)
def test_wrong_requests_are_never_repeated(policy: RetryPolicy) -> None:
    for method in ("GET", "POST"):
        assert not {400, 401, 402, 403, 404, 405, 415} & repeated(policy, method, keyed=True)


def test_pauses_grow_and_differ() -> None:
    for repeat in (1, 2, 3):
        pauses = {PLAIN.pause_before(repeat) for _ in range(20)}
        assert len(pauses) > 1
        assert all(PLAIN.pause * 2**repeat / 2 <= pause <= PLAIN.pause * 2**repeat for pause in pauses)


def until(moment: datetime) -> float:
    return (moment - datetime.now(timezone.utc)).total_seconds()


def test_the_wait_is_read_as_seconds_as_a_date_and_as_a_moment() -> None:
    assert asked_wait({"retry-after": "7"}, PLAIN.resets) == 7.0
    later = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=1)
    wait, left = asked_wait({"retry-after": format_datetime(later, usegmt=True)}, PLAIN.resets), until(later)
    assert wait is not None
    assert left - 1 < wait <= 3600, "what was left when it was read, and no less than is left now"
    assert asked_wait({"ratelimit-reset": "9"}, PAGERDUTY_REST.resets) == 9.0
    wait, left = asked_wait({"x-ratelimit-reset": f"{later.timestamp():.0f}"}, SERVICENOW.resets), until(later)
    assert wait is not None
    assert left - 1 < wait <= 3600
    assert asked_wait({"x-ratelimit-reset": "1"}, SERVICENOW.resets) == 0.0


@pytest.mark.parametrize("text", ["", "soon", "-5", "1e9999", "٣", "Sunday"])
def test_a_wait_that_cannot_be_read_asks_for_nothing(text: str) -> None:
    assert asked_wait({"retry-after": text}, [("retry-after", Reset.RETRY_AFTER)]) in (None, 0.0)
