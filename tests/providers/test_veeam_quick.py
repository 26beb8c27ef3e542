"""Quick backup through Veeam: only where a pool allows it, once per key, found again without a key of Veeam's own."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.outcome import Outcome
from snaphold.errors import BusyError, InputError, ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.http_guard import forget_everything
from snaphold.providers.base import BackupOrder, JobState, Provider
from snaphold.simulators.faults import FOR_EVER, KINDS, Fault
from support.quick_retries import calls_held, given_up_when_held, no_pauses
from support.veeam_rig import MACHINE, ProductRig
from support.vendor_rigs import KEY, finished

TIMEOUT = timedelta(seconds=0.25)
"""For calls that meet the fault `slow`; no other runs into it."""


@pytest.fixture(params=["1.2-rev1", pytest.param("1.3-rev1", marks=pytest.mark.slow), "1.3-rev2"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ProductRig]:
    made = quick_rig(tmp_path, monkeypatch, request.param)
    yield made
    made.close()


@pytest.fixture
def newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ProductRig]:
    made = quick_rig(tmp_path, monkeypatch, "1.3-rev2")
    yield made
    made.close()


def quick_rig(folder: Path, monkeypatch: pytest.MonkeyPatch, revision: str) -> ProductRig:
    """Return a server on which the machine was backed up by its regular job an hour ago, and a pool that allows it."""
    no_pauses(monkeypatch)
    rig = ProductRig(folder, revision)
    given_up_when_held(monkeypatch, TIMEOUT.total_seconds(), calls_held(monkeypatch, rig.server))
    rig.pool_extra["quick_backup"] = "incremental"
    rig.world.run_job(regular(rig), full=True)
    rig.world.end_all()
    rig.world.advance(3600)
    return rig


def regular(rig: ProductRig) -> str:
    return next(str(job["id"]) for job in rig.world.jobs.values() if job["name"] == "Nightly databases")


def quick_runs(rig: ProductRig) -> list[str]:
    """Return the runs of the regular job after the first, which stood there before."""
    return [run.id for run in rig.world.runs.values() if run.job == regular(rig)][1:]


def increment(rig: ProductRig, provider: Provider, key: str = KEY) -> BackupOrder:
    return rig.order(provider, key).model_copy(update={"full": False})


def test_an_increment_is_a_quick_backup_in_the_regular_job(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(increment(rig, provider))
    assert quick_runs(rig) == [job]
    other = rig.provider()
    assert other.find_started(KEY) == job
    assert other.start(increment(rig, other)) == job
    assert quick_runs(rig) == [job]
    rig.let_jobs_end()
    status = finished(rig.provider(), job)
    assert (status.state, status.outcome) == (JobState.DONE, Outcome.SUCCEEDED)
    point = status.restore_point
    assert point is not None
    assert (point.key, point.consistency) == (KEY, "application-consistent")
    assert any("it lies in the repository of the regular job" in text for text in point.findings)
    assert [kept.id for kept in rig.provider().restore_points()] == [point.id]


@pytest.mark.slow
def test_a_quick_backup_is_ordered_as_veeam_publishes_it(rig: ProductRig) -> None:
    provider = rig.provider()
    job = provider.start(increment(rig, provider))
    rig.let_jobs_end()
    assert finished(provider, job).restore_point is not None
    assert rig.check_recorded() > 10


def test_what_is_kept_for_longer_is_never_the_regular_job(newest: ProductRig) -> None:
    newest.pool_extra.pop("locked_repository")
    provider = newest.provider()
    job = provider.start(increment(newest, provider))
    newest.let_jobs_end()
    point = finished(provider, job).restore_point
    assert point is not None
    newest.provider(clock=FixedClock(point.taken_at)).set_retention(point, point.taken_at + timedelta(days=900))
    quantities = {job["storage"]["retentionPolicy"]["quantity"] for job in newest.world.jobs.values()}
    assert quantities == {14, 365}


@pytest.mark.parametrize("case", ["full", "not allowed", "no chain"])
def test_otherwise_it_is_a_job_of_its_own(newest: ProductRig, case: str) -> None:
    if case == "not allowed":
        newest.pool_extra.pop("quick_backup")
    if case == "no chain":
        newest.world.points.clear()
    provider = newest.provider()
    order = increment(newest, provider) if case != "full" else newest.order(provider)
    job = provider.start(order)
    assert quick_runs(newest) == []
    assert newest.world.runs[job].full is (case == "full")


def test_a_wrong_word_for_it_is_refused(newest: ProductRig) -> None:
    newest.pool_extra["quick_backup"] = "yes"
    with pytest.raises(InputError, match="quick_backup"):
        newest.provider().start(increment(newest, newest.provider()))


def test_while_the_regular_job_runs_it_waits(newest: ProductRig) -> None:
    newest.world.run_job(regular(newest), full=False)
    newest.world.advance(5)
    provider = newest.provider()
    with pytest.raises(BusyError, match="is running"):
        provider.start(increment(newest, provider))
    assert len(quick_runs(newest)) == 1
    newest.let_jobs_end()
    newest.world.advance(5)
    job = newest.provider().start(increment(newest, newest.provider()))
    assert quick_runs(newest)[-1] == job


def test_two_sessions_that_it_could_be_are_shown_to_a_person(newest: ProductRig) -> None:
    newest.server.faults.switch_on(Fault("error", FOR_EVER, "POST", "/api/v1/jobs/quickBackup"))
    provider = newest.provider()
    with pytest.raises(UnknownOutcomeError):
        provider.start(increment(newest, provider))
    newest.server.faults.clear()
    for _ in range(2):
        newest.world.advance(60)
        newest.world.run_job(regular(newest), full=False)
        newest.let_jobs_end()
    with pytest.raises(UnknownOutcomeError, match=f"several sessions of {MACHINE}"):
        provider.find_started(KEY)
    with pytest.raises(UnknownOutcomeError, match="several sessions"):
        provider.start(increment(newest, provider))
    assert len(quick_runs(newest)) == 2


def test_a_session_that_could_not_be_noted_is_found_by_the_next_try(newest: ProductRig) -> None:
    newest.server.faults.switch_on(Fault("error", FOR_EVER, "PUT", "/api/v1/jobs/"))
    provider = newest.provider()
    with pytest.raises(UnknownOutcomeError, match="noting the session"):
        provider.start(increment(newest, provider))
    newest.server.faults.clear()
    (run,) = quick_runs(newest)
    assert provider.find_started(KEY) == run
    assert provider.start(increment(newest, provider)) == run
    assert quick_runs(newest) == [run]


def test_a_description_that_somebody_changed_is_told(newest: ProductRig) -> None:
    newest.server.faults.switch_on(Fault("error", FOR_EVER, "POST", "/api/v1/jobs/quickBackup"))
    with pytest.raises(UnknownOutcomeError):
        newest.provider().start(increment(newest, newest.provider()))
    newest.server.faults.clear()
    own = next(job for job in newest.world.jobs.values() if str(job["name"]).startswith("Snaphold"))
    whole = str(own["description"])
    own["description"] = whole.replace("Asked: 20", "Asked: about 20")
    with pytest.raises(InputError, match="was changed"):
        newest.provider().find_started(KEY)
    own["description"] = "mine now"
    with pytest.raises(InputError, match="not one of ours"):
        newest.provider().find_started(KEY)
    own["description"] = whole.replace("\n", "\r\n")
    assert newest.provider().find_started(KEY) is None


def test_a_session_of_somebody_else_is_no_backup_of_ours(newest: ProductRig) -> None:
    (run,) = newest.world.runs
    with pytest.raises(InputError, match="no backup of incident INC-1"):
        newest.provider().status(run)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, FOR_EVER], ids=["once", "always"])
@pytest.mark.parametrize("path", ["/api/v1/jobs/quickBackup", "/api/v1/"])
@pytest.mark.parametrize("fault", sorted(KINDS))
def test_no_fault_starts_a_second_one_or_claims_one(newest: ProductRig, fault: str, path: str, times: int) -> None:
    provider = newest.provider(TIMEOUT if fault == "slow" else None)
    for method in ("POST", "PUT"):
        newest.server.faults.switch_on(Fault(fault, times, method, path))
    error: SnapholdError | None = None
    try:
        provider.start(newest.order(provider).model_copy(update={"full": False}))
    except SnapholdError as caught:
        error = caught
    assert newest.server.wait_until_idle()
    runs = quick_runs(newest)
    if error is None:
        assert len(runs) == 1, "it said that it was started"
    elif not isinstance(error, UnknownOutcomeError):
        assert runs == [], f"it said that nothing was started: {error}"
    newest.server.faults.clear()
    forget_everything()
    try:
        newest.provider().start(increment(newest, newest.provider()))
    except (UnknownOutcomeError, ProviderError) as caught:
        pytest.fail(f"it is not overcome: {caught}")
    assert len(quick_runs(newest)) == 1
