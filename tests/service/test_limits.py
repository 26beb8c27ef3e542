"""How much one caller may ask for, and that nobody else pays for it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.clock import FixedClock
from snaphold.service.limits import MOST_BUCKETS, Buckets
from support.page_lab import Browser
from support.service_lab import ServiceLab, serving


class Ticking:
    """A clock that stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ServiceLab]:
    """A service whose tokens may make three requests at once; its buckets do not fill while the clock stands still."""
    settings = {"requests_per_second": 0.0001, "burst": 3, "refusals_per_minute": 2}
    with serving(tmp_path, monkeypatch, service=settings) as found:
        limits, clock = found.listening.service.limits, Ticking()
        for buckets in (limits._tokens, limits._refused, limits._deliveries):
            monkeypatch.setattr(buckets, "_clock", clock)
        yield found


def test_a_token_that_asks_too_often_is_told_when_to_come_back_and_others_are_not_held_up(limited: ServiceLab) -> None:
    assert [limited.request("GET", "/v1/whoami").status for _ in range(3)] == [200] * 3
    refused = limited.request("GET", "/v1/whoami")
    assert (refused.status, refused.headers["content-type"]) == (429, "application/problem+json")
    assert int(refused.headers["retry-after"]) > 1
    assert "3 at once" in refused.document["why"]
    assert limited.request("GET", "/v1/whoami", token="ben").status == 200
    assert limited.request("GET", "/healthz", token=None).status == 200
    assert limited.events("service.limit") == [("refused", "service.limit")]


def test_a_refused_request_has_no_effect(limited: ServiceLab) -> None:
    for _ in range(3):
        limited.request("GET", "/v1/whoami")
    assert limited.act("toy.start").status == 429
    assert limited.events("toy.start") == []


def test_who_is_refused_from_one_address_is_told_to_slow_down_and_valid_tokens_pass(limited: ServiceLab) -> None:
    told = [limited.request("GET", "/v1/whoami", token=token).status for token in (None, "snh_wrong", None, "snh_" + "A" * 43)]
    assert told == [401, 401, 429, 429]
    assert limited.request("GET", "/v1/whoami").status == 200
    limited.listening.service.refusals.close()
    counted = [one.detail["count"] for one in limited.runtime.ledger.entries() if one.action == "service.authenticate"]
    assert sum(counted) == 4


def test_pages_count_too_and_so_does_a_wrong_token_at_the_sign_in(limited: ServiceLab) -> None:
    browser = Browser(limited)
    assert [browser.post("/ui/sign-in", token="snh_wrong").status for _ in range(3)] == [401, 401, 429]
    browser.sign_in()
    assert [browser.get("/ui").status for _ in range(3)] == [200, 200, 429]


def test_a_bucket_fills_again_with_time_and_never_beyond_its_size() -> None:
    clock = Ticking()
    buckets = Buckets(2.0, 3, clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]
    clock.now += 1000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now -= 500
    assert buckets.take("a") == 0.5


@given(st.lists(st.floats(min_value=0, max_value=5), max_size=60), st.integers(1, 10), st.sampled_from([0.5, 1.0, 7.0]))
def test_no_more_pass_than_the_size_and_what_flowed_in(pauses: list[float], size: int, rate: float) -> None:
    clock = Ticking()
    buckets = Buckets(rate, size, clock)
    began, passed = clock.now, 0
    for pause in pauses:
        clock.now += pause
        passed += buckets.take("a") == 0
        assert passed <= size + (clock.now - began) * rate + 1e-6


def test_only_so_many_buckets_are_remembered() -> None:
    buckets = Buckets(0.001, 1, Ticking())
    assert buckets.take("first") == 0
    assert buckets.take("first") > 0
    for number in range(MOST_BUCKETS):
        buckets.take(str(number))
    assert buckets.take("first") == 0


def test_a_clock_that_went_back_is_not_ready_until_it_is_right_again(limited: ServiceLab) -> None:
    clock = limited.runtime.clock
    assert isinstance(clock, FixedClock)
    clock.advance(-3600)
    reply = limited.request("GET", "/readyz", token=None)
    assert (reply.status, reply.document["why"]) == (503, "the clock went back")
    clock.advance(3600)
    assert limited.request("GET", "/readyz", token=None).status == 200
