"""EBS over a bad network: each fault, for each verb; never a false success and never a second start."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from snaphold import http_guard
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.providers.aws_errors import AwsError
from snaphold.providers.base import JobState, Provider
from support.aws_ebs_rig import ProductRig
from support.fault_proxy import FAULTS, FaultProxy, between
from support.quick_aws import limit_from_when_held, no_aws_pauses
from support.vendor_rigs import KEY, finished

pytestmark = pytest.mark.slow
QUICK = tuple(fault for fault in FAULTS if fault not in ("slow", "drip"))
HEARD = ("reset_after", "truncated", "half_head", "slow", "drip")
"""Faults of the answer alone: EC2 did what it was asked."""
WRITES = {"hold": b"Action=LockSnapshot", "set_retention": b"Action=LockSnapshot", "delete": b"Action=DeleteSnapshot"}
VERBS: dict[str, Callable[[Provider, RestorePoint], object]] = {
    "check_health": lambda provider, point: provider.check_health(),
    "find_started": lambda provider, point: provider.find_started(KEY),
    "restore_points": lambda provider, point: provider.restore_points(),
    "verify": lambda provider, point: provider.verify(point),
    "hold": lambda provider, point: provider.hold(point, "HOLD-1", on=True),
    "set_retention": lambda provider, point: provider.set_retention(point, datetime.now(timezone.utc) + timedelta(days=30)),
    "delete": lambda provider, point: provider.delete(point),
}


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ProductRig]:
    no_aws_pauses(monkeypatch)
    made = ProductRig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def proxy(rig: ProductRig) -> Generator[FaultProxy]:
    with between(rig.address) as made:
        rig.address = made.url
        yield made


def start_badly(rig: ProductRig, proxy: FaultProxy, fault: str, timeout: timedelta | None = None) -> str | None:
    """Start while the answer to CreateSnapshots meets a fault; return the job, None when the outcome is unknown."""
    provider = rig.provider(timeout)
    order = rig.order(provider)
    proxy.only, proxy.faults = b"Action=CreateSnapshots", [fault]
    try:
        return provider.start(order)
    except UnknownOutcomeError:
        return None
    finally:
        proxy.faults.clear()


@pytest.mark.parametrize("fault", QUICK)
def test_a_start_of_which_the_answer_is_lost_is_looked_up_and_never_repeated(
    rig: ProductRig, proxy: FaultProxy, fault: str
) -> None:
    job = start_badly(rig, proxy, fault)
    assert (job is not None) == (fault in HEARD)
    assert rig.world.calls["CreateSnapshots"] == rig.started() == (1 if fault in HEARD else 0)
    provider = rig.provider()
    again = provider.start(rig.order(provider))
    assert job in (None, again)
    assert rig.started() == 1
    rig.let_jobs_end()
    assert finished(provider, again).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("fault", ["slow", "drip"])
def test_a_start_whose_answer_does_not_end_is_looked_up(
    rig: ProductRig, proxy: FaultProxy, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_from_when_held(monkeypatch, proxy)
    proxy.delay = 600.0 if fault == "slow" else 2.0
    assert start_badly(rig, proxy, fault, timedelta(seconds=2)) is not None
    assert proxy.holding.is_set()
    assert rig.started() == 1


def test_a_lost_start_whose_tags_stay_away_is_unknown(rig: ProductRig, proxy: FaultProxy) -> None:
    rig.world.late_tags = 50
    assert start_badly(rig, proxy, "reset_after") is None
    assert rig.started() == 1
    rig.world.late_tags = 0
    provider = rig.provider()
    provider.start(rig.order(provider))
    assert rig.started() == 1


@pytest.mark.parametrize("verb", [*WRITES, "find_started", "restore_points"])
@pytest.mark.parametrize("fault", QUICK)
def test_one_fault_is_overcome_or_told(rig: ProductRig, proxy: FaultProxy, fault: str, verb: str) -> None:
    provider, point = rig.restore_point()
    proxy.only, proxy.faults = WRITES.get(verb, b"Action=DescribeSnapshots"), [fault]
    with contextlib.suppress(AwsError):
        VERBS[verb](provider, point)
    proxy.faults.clear()
    VERBS[verb](rig.provider(), point)
    expected = {"delete": (0, 0), "hold": (1, 2), "set_retention": (1, 2)}.get(verb, (1, 0))
    assert (rig.started(), len(rig.world.locks)) == expected


@pytest.mark.parametrize("verb", ["check_health", "find_started", "hold", "delete"])
@pytest.mark.parametrize("fault", QUICK)
def test_a_fault_that_stays_is_never_a_success(rig: ProductRig, proxy: FaultProxy, fault: str, verb: str) -> None:
    provider, point = rig.restore_point()
    proxy.faults = [fault] * 200
    if verb == "check_health":
        assert not provider.check_health().fit
        return
    with pytest.raises(SnapholdError) as caught:
        VERBS[verb](provider, point)
    assert caught.value.why


@pytest.mark.parametrize("fault", QUICK)
def test_a_status_is_never_guessed(rig: ProductRig, proxy: FaultProxy, fault: str) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    proxy.faults = [fault] * 200
    with pytest.raises(SnapholdError):
        provider.status(job)
    proxy.faults.clear()
    other = rig.provider()
    assert other.status(job).state is JobState.RUNNING


@pytest.mark.parametrize("call", [b"Action=CreateTags", b"Action=LockSnapshot", b"Action=DeleteSnapshot"])
@pytest.mark.parametrize("fault", ["gateway_html", "empty_200"])
def test_a_page_of_a_gateway_is_not_taken_for_an_answer(rig: ProductRig, proxy: FaultProxy, fault: str, call: bytes) -> None:
    provider, point = rig.restore_point()
    proxy.only, proxy.faults = call, [fault] * 20
    with pytest.raises(AwsError, match=r"is not understood|to the end"):
        provider.delete(point) if b"Delete" in call else provider.hold(point, "HOLD-1", on=True)
    assert (rig.started(), rig.world.locks) == (1, {})


def test_a_host_that_is_down_is_left_alone(rig: ProductRig, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    host = proxy.url.removeprefix("http://")
    monkeypatch.setitem(http_guard._breakers, host, http_guard.CircuitBreaker(host, seconds=3600.0))
    provider = rig.provider()
    proxy.faults = ["reset_before"] * 500
    for _ in range(5):
        assert not provider.check_health().fit
    seen = proxy.seen
    assert "is left alone" in provider.check_health().reasons[0]
    assert proxy.seen == seen


def test_the_budget_of_calls_ends(rig: ProductRig) -> None:
    provider = rig.provider()
    configuration = rig.configuration
    few = tuple(item.model_copy(update={"calls_per_run": 2}) for item in configuration.integrations)
    from snaphold.clock import SystemClock
    from snaphold.providers.registry import open_provider

    small = configuration.model_copy(update={"integrations": few}).placed_at(rig.folder)
    provider = open_provider(small.pools[0], small, "INC-1", SystemClock())
    with pytest.raises(ProviderError, match="budget of this work at my-aws is used up"):
        provider.start(rig.order(provider))
    assert rig.started() == 0
