"""Commvault under every fault and every verb: never a false success, never a second start, and all is well afterwards."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

import pytest

from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import SnapholdError, UnknownOutcomeError
from snaphold.http_guard import forget_everything
from snaphold.providers.base import JobState, Provider
from snaphold.providers.commvault_keeping import HELD_UNTIL
from snaphold.simulators.commvault import Simulator
from snaphold.simulators.commvault_state import Job
from snaphold.simulators.faults import FOR_EVER, KINDS, Fault
from support.commvault_rig import ProductRig
from support.quick_retries import calls_held, given_up_when_held, no_pauses
from support.vendor_rigs import ASSET, KEY

TIMEOUT = timedelta(seconds=0.25)
"""For calls that meet the fault `slow`; no other runs into it."""
UNTIL = datetime(2036, 3, 1, tzinfo=timezone.utc)
API = "/webconsole/api"
COPY = 32
ALL_FAULTS = sorted([*KINDS, *Simulator.own_faults])


@dataclass
class Stage:
    """A rig with a restore point, or with a running job, and who asks."""

    rig: ProductRig
    point: RestorePoint | None = None
    job: str = ""

    def kept(self) -> RestorePoint:
        assert self.point is not None
        return self.point

    def until(self) -> int:
        return self.rig.own_jobs()[0].retained.get(COPY, -1)


@dataclass(frozen=True)
class Asked:
    """A verb: how it is asked, what it writes with, and whether that really happened."""

    ask: Callable[[Provider, Stage], object]
    happened: Callable[[Stage], bool] | None = None
    method: str = ""
    path: str = ""
    needs: str = ""


def _points(provider: Provider, stage: Stage) -> None:
    assert [point.id for point in provider.restore_points()] == [stage.kept().id]


def _status(provider: Provider, stage: Stage) -> None:
    assert provider.status(stage.job).state is JobState.RUNNING


def _schedules(stage: Stage) -> int:
    return len([item for item in stage.rig.simulator.estate.plans[41].schedules if item["scheduleName"].startswith("snaphold")])


_OPERATE = {"method": "POST", "path": f"{API}/V4/Plan/BackupDestination/JobOperations", "needs": "point"}
VERBS: dict[str, Asked] = {
    "find_workload": Asked(lambda provider, stage: provider.find_workload(stage.rig.asset)),
    "check_health": Asked(lambda provider, _: provider.check_health()),
    "capacity": Asked(lambda provider, _: provider.capacity()),
    "estimate": Asked(lambda provider, stage: provider.estimate(provider.find_workload(stage.rig.asset))),
    "status": Asked(_status, needs="job"),
    "restore_points": Asked(_points, needs="point"),
    "verify": Asked(lambda provider, stage: provider.verify(stage.kept()), needs="point"),
    "start": Asked(
        lambda provider, stage: provider.start(stage.rig.order(provider)),
        lambda stage: stage.rig.started() == 1,
        "POST",
        f"{API}/CreateTask",
    ),
    "cancel": Asked(
        lambda provider, stage: provider.cancel(stage.job),
        lambda stage: stage.rig.own_jobs()[0].status == "Killed",
        "POST",
        f"{API}/Job/1002/action",
        "job",
    ),
    "set_retention": Asked(
        lambda provider, stage: provider.set_retention(stage.kept(), UNTIL),
        lambda stage: stage.until() == UNTIL.timestamp(),
        **_OPERATE,
    ),
    "hold": Asked(
        lambda provider, stage: provider.hold(stage.kept(), "HOLD-1", on=True),
        lambda stage: stage.until() == HELD_UNTIL.timestamp(),
        **_OPERATE,
    ),
    "delete": Asked(
        lambda provider, stage: provider.delete(stage.kept()),
        lambda stage: stage.until() == -1,
        **_OPERATE,
    ),
    "set_schedule": Asked(
        lambda provider, _: provider.set_schedule(ASSET, 1800),
        lambda stage: _schedules(stage) == 1,
        "PUT",
        f"{API}/V4/ServerPlan/41/RPO",
    ),
}
OWN_FAULTS = {
    "started_twice": ["start"],
    "retain_ignored": ["set_retention", "hold"],
    "description_hidden": ["status", "restore_points", "start", "cancel"],
}
"""Faults that say something of certain verbs only."""
FAULTS_OF_EVERY_CALL = [fault for fault in ALL_FAULTS if fault not in OWN_FAULTS]
WRITING = [verb for verb, asked in VERBS.items() if asked.happened]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[ProductRig]:
    made = ProductRig(tmp_path_factory.mktemp("commvault"))
    yield made
    made.close()


@pytest.fixture
def rig(server: ProductRig, monkeypatch: pytest.MonkeyPatch) -> ProductRig:
    no_pauses(monkeypatch)
    given_up_when_held(monkeypatch, TIMEOUT.total_seconds(), calls_held(monkeypatch, server.server))
    return server


def _prepared(rig: ProductRig, needs: str) -> Stage:
    rig.start_anew()
    forget_everything()
    if needs == "point":
        return Stage(rig, point=rig.restore_point()[1])
    if needs == "job":
        provider = rig.provider()
        return Stage(rig, job=provider.start(rig.order(provider)))
    return Stage(rig)


def _go_through_all(rig: ProductRig, verbs: Sequence[str], fault: Fault) -> None:
    """Go through verbs; those that only look at a restore point share one."""
    shared: Stage | None = None
    for verb in verbs:
        reads = VERBS[verb].happened is None and VERBS[verb].needs != "job"
        if reads and shared is None:
            shared = _prepared(rig, "point")
        _go_through(rig, verb, replace(fault), shared if reads else None)
        shared = shared if reads else None


def _go_through(rig: ProductRig, verb: str, fault: Fault, stage: Stage | None = None) -> None:
    asked = VERBS[verb]
    stage = stage or _prepared(rig, asked.needs)
    starts = rig.started()
    rig.server.faults.switch_on(fault)
    error: SnapholdError | None = None
    try:
        asked.ask(rig.provider(TIMEOUT if fault.kind == "slow" else None), stage)
    except SnapholdError as caught:
        error = caught
    assert rig.server.wait_until_idle()  # also with calls whose client has left
    told = f"{verb} under {fault.kind}: {error}"
    if asked.happened is not None:
        happened = asked.happened(stage)
        assert error is not None or happened, f"{told}: it said that it was done"
        assert isinstance(error, UnknownOutcomeError | None) or not happened, f"{told}: it said that nothing was done"
    twice = fault.kind == "started_twice" and verb == "start"
    assert rig.started() <= max(starts, 1) + twice, told
    rig.server.faults.clear()
    forget_everything()
    if twice and rig.started() > 1:
        with pytest.raises(UnknownOutcomeError):
            asked.ask(rig.provider(), stage)
        assert rig.started() == 2
        return
    asked.ask(rig.provider(), stage)
    assert asked.happened is None or asked.happened(stage), f"{told}: not done after the fault was over"
    assert rig.started() <= max(starts, 1), told


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS_OF_EVERY_CALL)
def test_a_fault_of_the_first_call_makes_no_false_success_and_no_second_effect(rig: ProductRig, fault: str) -> None:
    _go_through_all(rig, list(VERBS) if fault != "slow" else ["capacity", *WRITING[:2]], Fault(fault, 1))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_a_fault_of_the_write_makes_no_false_success_and_no_second_effect(rig: ProductRig, fault: str) -> None:
    for verb in [verb for verb in WRITING if verb in OWN_FAULTS.get(fault, WRITING)]:
        _go_through(rig, verb, Fault(fault, 1, VERBS[verb].method, VERBS[verb].path))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["throttled", "expired", "error_inside"])
def test_a_write_that_never_works_makes_no_false_success_and_no_second_effect(rig: ProductRig, fault: str) -> None:
    for verb in WRITING:
        _go_through(rig, verb, Fault(fault, FOR_EVER, VERBS[verb].method, VERBS[verb].path))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_a_fault_without_end_makes_no_false_success_and_no_second_effect(rig: ProductRig, fault: str) -> None:
    _go_through_all(rig, OWN_FAULTS.get(fault, list(VERBS) if fault != "slow" else WRITING[:2]), Fault(fault, FOR_EVER))


@pytest.mark.parametrize("fault", ["reset_after", "truncated", "garbage", "other_shape", "error_after"])
def test_a_start_whose_answer_was_lost_is_found_by_its_description(rig: ProductRig, fault: str) -> None:
    stage = _prepared(rig, "")
    rig.server.faults.switch_on(Fault(fault, 1, "POST", f"{API}/CreateTask"))
    provider = rig.provider()
    job = provider.start(rig.order(provider))
    assert [str(item.id) for item in stage.rig.own_jobs()] == [job]


def test_a_start_that_was_cut_off_before_it_began_is_unknown_and_may_be_repeated(rig: ProductRig) -> None:
    _prepared(rig, "")
    rig.server.faults.switch_on(Fault("reset_before", 1, "POST", f"{API}/CreateTask"))
    provider = rig.provider()
    with pytest.raises(UnknownOutcomeError, match="not known whether Commvault did the start"):
        provider.start(rig.order(provider))
    assert provider.find_started(KEY) is None
    provider.start(rig.order(provider))
    assert rig.started() == 1


def test_a_lost_start_whose_jobs_show_no_description_is_unknown(rig: ProductRig) -> None:
    _prepared(rig, "")
    rig.server.faults.switch_on(Fault("reset_after", 1, "POST", f"{API}/CreateTask"))
    rig.server.faults.switch_on(Fault("description_hidden", FOR_EVER, "GET", f"{API}/Job/"))
    provider = rig.provider()
    order = rig.order(provider)
    for _ in range(2):
        with pytest.raises(UnknownOutcomeError):
            provider.start(order)
    assert rig.started() == 1


def test_a_kill_that_was_accepted_is_unknown_when_the_job_cannot_be_read_afterwards(
    rig: ProductRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = _prepared(rig, "job")
    provider = rig.provider()
    original = rig.simulator.estate.finish

    def finish(job: Job, status: str = "Completed") -> None:
        original(job, status)
        rig.server.faults.switch_on(Fault("unavailable", FOR_EVER, "GET"))

    monkeypatch.setattr(rig.simulator.estate, "finish", finish)
    with pytest.raises(UnknownOutcomeError, match="not known how job"):
        provider.cancel(stage.job)
    assert rig.own_jobs()[0].status == "Killed"


@pytest.mark.parametrize("fault", ["reset_before", "throttled", "error", "unavailable", "expired"])
def test_one_fault_in_reading_is_overcome(rig: ProductRig, fault: str) -> None:
    _prepared(rig, "")
    rig.server.faults.switch_on(Fault(fault, 1, "GET"))
    assert rig.provider().check_health().fit
