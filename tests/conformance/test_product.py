"""What every adapter of a backup product must do, asked of the adapters and looked up in the simulators behind them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from snaphold.clock import SystemClock
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, ProviderError
from snaphold.providers.base import Description, JobState, Support, Verb
from snaphold.providers.registry import check_connection, describe_products, open_provider, product_names
from support.incident_context import make_context
from support.quick_retries import no_pauses
from support.vendor_rigs import ASSET, INCIDENT, KEY, VendorRig, finished, rig_of

STARTS_A_PROGRAM = frozenset({"vsphere"})
"""Products whose simulator is a program that is built first: their runs of the suite are slow tests."""


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.slow if name in STARTS_A_PROGRAM else ()) for name in product_names()]
)
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[VendorRig]:
    no_pauses(monkeypatch)
    made = rig_of(request.param)(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("description", describe_products(), ids=lambda item: item.provider)
def test_every_verb_is_declared_with_a_reason_where_it_is_not_whole(description: Description) -> None:
    assert set(description.capabilities) == set(Verb)
    for verb, capability in description.capabilities.items():
        assert capability.support is Support.FULL or capability.detail, verb


def test_the_connection_test_says_who_we_are(rig: VendorRig) -> None:
    before = rig.started()
    found = check_connection(rig.integration, rig.configuration)
    assert found.signed_in_as
    assert found.missing == ()
    assert rig.started() == before == 0


def test_health_and_room_are_told(rig: VendorRig) -> None:
    provider = rig.provider()
    health = provider.check_health()
    assert health.fit, health.reasons
    capacity = provider.capacity()
    assert capacity.elastic or (capacity.free is not None and capacity.total is not None and 0 < capacity.free <= capacity.total)


def test_the_workload_is_found(rig: VendorRig) -> None:
    provider = rig.provider()
    workload = provider.find_workload(rig.asset)
    assert workload.asset == ASSET
    assert workload.name
    assert provider.estimate(workload).method


def test_a_workload_that_the_product_does_not_know_is_named(rig: VendorRig) -> None:
    protection = rig.asset.protection.model_copy(update={"workloads": {rig.integration.name: "no-such-machine"}})
    stranger = rig.asset.model_copy(update={"protection": protection})
    with pytest.raises(ProviderError, match="no-such-machine") as caught:
        rig.provider().find_workload(stranger)
    assert caught.value.do


def test_a_backup_is_started_once_per_key(rig: VendorRig) -> None:
    provider = rig.provider()
    assert provider.find_started(KEY) is None
    job = provider.start(rig.order(provider))
    assert rig.started() == 1
    other = rig.provider()
    assert other.find_started(KEY) == job
    assert other.start(rig.order(other)) == job
    assert rig.started() == 1


def test_a_backup_that_has_ended_is_not_started_again_under_its_key(rig: VendorRig) -> None:
    provider, status = rig.back_up()
    assert rig.provider().start(rig.order(provider)) == status.job
    assert rig.started() == 1


def test_a_backup_ends_with_a_restore_point_that_says_everything(rig: VendorRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.let_jobs_end()
    status = finished(provider, job)
    assert (status.state, status.outcome) == (JobState.DONE, Outcome.SUCCEEDED)
    point = status.restore_point
    assert point is not None
    assert (point.asset, point.incident, point.pool, point.provider) == (ASSET, INCIDENT, "product-01", rig.kind)
    assert (point.key, point.outcome) == (KEY, Outcome.SUCCEEDED)
    assert point.reference
    assert point.engine
    assert point.encryption
    assert point.consistency
    assert [(item.id, item.reference) for item in rig.provider().restore_points()] == [(point.id, point.reference)]


def test_a_backup_that_fails_is_no_success(rig: VendorRig) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.let_jobs_end(well=False)
    status = finished(provider, job)
    assert status.outcome is Outcome.FAILED
    assert status.findings


def test_the_same_restore_point_is_told_by_every_process(rig: VendorRig) -> None:
    provider, status = rig.back_up()
    job = provider.find_started(KEY)
    assert job
    again = finished(rig.provider(), job)
    assert again.restore_point is not None
    assert status.restore_point is not None
    assert again.restore_point.model_dump() == status.restore_point.model_dump()


def test_verification_never_claims_more_than_was_looked_at(rig: VendorRig) -> None:
    provider, point = rig.restore_point()
    capability = provider.describe().capabilities[Verb.VERIFY]
    if capability.support is Support.UNSUPPORTED:
        with pytest.raises(ProviderError):
            provider.verify(point)
        return
    verification = provider.verify(point)
    assert verification.method
    assert verification.outcome is Outcome.SUCCEEDED or verification.findings


def test_an_unsupported_verb_refuses_with_its_reason(rig: VendorRig, tmp_path: Path) -> None:
    provider, point = rig.restore_point()
    calls: dict[Verb, Callable[[], object]] = {
        Verb.SET_SCHEDULE: lambda: provider.set_schedule(ASSET, 3600),
        Verb.HOLD: lambda: provider.hold(point, "HOLD-1", on=True),
        Verb.SET_RETENTION: lambda: provider.set_retention(point, datetime.now(timezone.utc) + timedelta(days=30)),
        Verb.DELETE: lambda: provider.delete(point),
        Verb.OPEN_READ_ONLY: lambda: provider.open_read_only(point, tmp_path / "tree"),
        Verb.PUBLISH: lambda: provider.publish(point, "case"),
        Verb.MARK_INFECTED: lambda: provider.mark_infected(point, "test"),
        Verb.CANCEL: lambda: provider.cancel("x"),
    }
    for verb, call in calls.items():
        capability = provider.describe().capabilities[verb]
        if capability.support is Support.UNSUPPORTED:
            with pytest.raises(ProviderError) as refused:
                call()
            assert refused.value.why == capability.detail


def test_a_publication_is_the_same_when_it_is_asked_for_again_and_ends_once(rig: VendorRig) -> None:
    provider, point = rig.restore_point()
    if provider.describe().capabilities[Verb.PUBLISH].support is Support.UNSUPPORTED:
        return
    first = provider.publish(point, "case")
    assert rig.provider().publish(point, "case") == first
    assert first.reference
    assert first.address
    provider.end_publication(first.reference)
    rig.provider().end_publication(first.reference)
    assert [(item.id, item.reference) for item in provider.restore_points()] == [(point.id, point.reference)]


def test_a_mark_of_infection_keeps_the_restore_point(rig: VendorRig) -> None:
    provider, point = rig.restore_point()
    if provider.describe().capabilities[Verb.MARK_INFECTED].support is Support.UNSUPPORTED:
        return
    marked = provider.mark_infected(point, "Ransom note")
    assert (marked.id, marked.reference, marked.key) == (point.id, point.reference, point.key)
    assert rig.provider().mark_infected(marked, "Ransom note") == marked


def test_a_pool_without_its_connection_is_told(rig: VendorRig) -> None:
    configuration = rig.configuration
    for name in (None, "nobody"):
        pool = rig.pool.model_copy(update={"integration": name})
        with pytest.raises(InputError, match="integration"):
            open_provider(pool, configuration, INCIDENT, SystemClock())


def test_a_job_of_nobody_is_named(rig: VendorRig) -> None:
    with pytest.raises((InputError, ProviderError)):
        rig.provider().status("nobodys-job")


def test_what_was_said_is_what_the_vendor_publishes(rig: VendorRig) -> None:
    provider, point = rig.restore_point()
    provider.check_health()
    provider.capacity()
    provider.restore_points()
    assert point
    assert rig.check_recorded() >= 0


def test_all_that_one_run_asks_of_a_product_counts_together(rig: VendorRig) -> None:
    few = tuple(item.model_copy(update={"calls_per_run": 1}) for item in rig.configuration.integrations)
    configuration = rig.configuration.model_copy(update={"integrations": few}).placed_at(rig.folder)

    def look() -> str:
        """Open the product anew, as each action of a run does; return what was refused, if anything."""
        context = make_context(configuration=configuration, run="RUN-budget")
        try:
            provider = context.provider("product-01")
            provider.find_workload(rig.asset)
            provider.restore_points()
        except ProviderError as error:
            return error.what
        return ""

    assert any("budget of run RUN-budget" in look() for _ in range(5))
