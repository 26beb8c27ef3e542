"""Each fault on the way to vCenter, against each verb: never a false success, never a second snapshot."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from snaphold.domain.outcome import Outcome
from snaphold.errors import SnapholdError, UnknownOutcomeError
from snaphold.http_guard import forget_everything
from snaphold.providers import vsphere_jobs
from snaphold.providers.base import JobState
from snaphold.providers.registry import check_connection
from support.quick_retries import given_up_when_held, no_pauses
from support.vendor_rigs import finished
from support.vsphere_proxy import FAULTS, FOR_EVER
from support.vsphere_rig import ProductRig

pytestmark = pytest.mark.slow
IMPATIENT = timedelta(seconds=1)
"""For calls that meet the fault `slow`; no other runs into it."""
STARTED_ALTHOUGH = frozenset(
    {"reset_after", "unavailable_after", "truncated", "garbage", "empty", "other_shape", "document_type"}
)


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ProductRig]:
    no_pauses(monkeypatch)
    monkeypatch.setattr(vsphere_jobs, "POLL_SECONDS", 0.01)
    made = ProductRig(tmp_path)
    given_up_when_held(monkeypatch, IMPATIENT.total_seconds(), lambda: made.proxy.count_faults("slow"))
    yield made
    made.close()


def settle(rig: ProductRig) -> None:
    assert rig.proxy.wait_until_idle()
    rig.proxy.clear()
    forget_everything()


@pytest.mark.parametrize("method", ["CreateSnapshot_Task", ""], ids=["once", "always"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_snapshot_is_made_once_whatever_happens_to_the_call(rig: ProductRig, fault: str, method: str) -> None:
    order = rig.order(rig.provider())
    rig.proxy.switch_on(fault, method, 1 if method else FOR_EVER)
    job, error = "", None
    try:
        job = rig.provider(IMPATIENT if fault == "slow" else None).start(order)
    except SnapholdError as caught:
        error = caught
    settle(rig)
    if job:
        assert rig.started() == 1, "it said that it was started"
    elif not isinstance(error, UnknownOutcomeError):
        assert rig.started() == 0, f"it said that nothing was done: {error}"
    if method and fault in STARTED_ALTHOUGH:
        assert job, "vCenter shows the task: the lost answer does not matter"
    rig.let_jobs_end()
    again = rig.provider()
    found = again.start(order)
    rig.let_jobs_end()
    assert finished(again, found).outcome is Outcome.SUCCEEDED
    assert rig.started() == 1
    assert len(again.restore_points()) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_removal_is_never_said_to_be_done_when_it_was_not(rig: ProductRig, fault: str) -> None:
    _, point = rig.restore_point()
    rig.proxy.switch_on(fault, "RemoveSnapshot_Task")
    error = None
    try:
        rig.provider(IMPATIENT if fault == "slow" else None).delete(point)
    except SnapholdError as caught:
        error = caught
    settle(rig)
    left = rig.provider().restore_points()
    if error is None:
        assert left == []
    elif not isinstance(error, UnknownOutcomeError):
        assert len(left) == 1, f"it said that nothing was done: {error}"
    rig.provider().delete(point)
    assert rig.provider().restore_points() == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_status_is_never_made_up(rig: ProductRig, fault: str) -> None:
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    rig.proxy.switch_on(fault, "RetrievePropertiesEx", FOR_EVER)
    with pytest.raises(SnapholdError):
        rig.provider(IMPATIENT if fault == "slow" else None).status(job)
    settle(rig)
    assert rig.provider().status(job).state is JobState.RUNNING


@pytest.mark.parametrize("fault", ["reset_before", "reset_after", "unavailable", "unavailable_after", "throttled", "truncated"])
def test_one_fault_in_reading_is_overcome(rig: ProductRig, fault: str) -> None:
    for method in ("RetrieveServiceContent", "RetrievePropertiesEx", "CreateContainerView"):
        rig.proxy.switch_on(fault, method)
    assert rig.provider().find_workload(rig.asset).reference == rig.machine


@pytest.mark.parametrize("fault", FAULTS)
def test_the_connection_test_tells_every_fault(rig: ProductRig, fault: str) -> None:
    rig.proxy.switch_on(fault, "HasPrivilegeOnEntities", FOR_EVER)
    integration = rig.integration.model_copy(update={"timeout": IMPATIENT} if fault == "slow" else {})
    with pytest.raises(SnapholdError) as caught:
        check_connection(integration, rig.configuration)
    assert caught.value.why or caught.value.do
