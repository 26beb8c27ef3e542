"""Every fault against every verb of Veeam, once and for ever: never a false success, never a second start."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import SnapholdError, TimedOutError, UnknownOutcomeError
from snaphold.http_guard import forget_everything
from snaphold.providers import veeam_publication
from snaphold.providers.base import JobState, Provider
from snaphold.providers.registry import check_connection
from snaphold.providers.veeam_session import forget_sign_ins
from snaphold.simulators.faults import FOR_EVER, KINDS, Fault
from snaphold.simulators.veeam import Simulator
from support.quick_retries import calls_held, given_up_when_held, no_pauses
from support.veeam_rig import ProductRig
from support.vendor_rigs import ASSET, KEY, finished

TIMEOUT = timedelta(seconds=0.25)
"""For calls that meet the fault `slow`; no other runs into it."""


@dataclass
class Story:
    """A Veeam server with one backup done, and another that runs."""

    rig: ProductRig
    point: RestorePoint
    running: str

    def provider(self, timeout: timedelta | None = None) -> Provider:
        return self.rig.provider(timeout, FixedClock(self.point.taken_at))


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ProductRig]:
    no_pauses(monkeypatch)
    monkeypatch.setattr(veeam_publication, "LOOKS", 4)
    made = ProductRig(tmp_path)
    given_up_when_held(monkeypatch, TIMEOUT.total_seconds(), calls_held(monkeypatch, made.server))
    yield made
    made.close()


@pytest.fixture
def story(rig: ProductRig) -> Story:
    provider, point = rig.restore_point(KEY + "-earlier")
    running = provider.start(rig.order(provider, KEY + "-running"))
    return Story(rig, point, running)


Ask = Callable[[Story, Provider], object]
Happened = Callable[[Story], bool]


def _started(story: Story) -> int:
    return sum(KEY in _key(story, run.job) for run in story.rig.world.runs.values() if run.kind == "BackupJob")


def _key(story: Story, job: str) -> str:
    lines = str(story.rig.world.jobs[job]["description"]).split("\n")
    return next((line for line in lines if line == f"Key: {KEY}"), "")


def _start(story: Story, provider: Provider) -> object:
    return provider.start(story.rig.order(provider))


def _retain(story: Story, provider: Provider) -> object:
    return provider.set_retention(story.point, story.point.taken_at + timedelta(days=20))


def _copies(story: Story) -> int:
    return sum("Copy" in run.kind for run in story.rig.world.runs.values())


def _schedule_is_tight(story: Story) -> bool:
    job = next(job for job in story.rig.world.jobs.values() if job["name"] == "Nightly databases")
    return bool(job["schedule"]["periodically"]["isEnabled"])


def _standing(story: Story) -> int:
    return sum(mount["mountState"] == "Mounted" for mount in story.rig.world.mounts.values())


WRITES: dict[str, tuple[Ask, Happened]] = {
    "start": (_start, lambda story: _started(story) == 1),
    "cancel": (lambda story, it: it.cancel(story.running), lambda story: story.rig.world.runs[story.running].cancelled),
    "set_retention": (_retain, lambda story: _copies(story) == 1),
    "set_schedule": (lambda _story, it: it.set_schedule(ASSET, 900), _schedule_is_tight),
    "publish": (lambda story, it: it.publish(story.point, "forensics"), lambda story: _standing(story) == 1),
    "mark_infected": (lambda story, it: it.mark_infected(story.point, "x"), lambda story: len(story.rig.world.events) == 1),
}
READS: dict[str, Ask] = {
    "check": lambda story, _it: check_connection(story.rig.integration, story.rig.configuration),
    "find_workload": lambda story, it: it.find_workload(story.rig.asset),
    "check_health": lambda _story, it: it.check_health(),
    "capacity": lambda _story, it: it.capacity(),
    "find_started": lambda story, it: _same(it.find_started(KEY + "-running"), story.running),
    "status": lambda story, it: _same(it.status(story.running).state, JobState.RUNNING),
    "restore_points": lambda story, it: _same([point.id for point in it.restore_points()], [story.point.id]),
    "verify": lambda story, it: it.verify(story.point),
}


def _same(found: object, expected: object) -> object:
    assert found == expected
    return found


def _try(ask: Ask, story: Story, provider: Provider) -> SnapholdError | None:
    """Ask, wait until the server has done what it still does, and return the error."""
    error: SnapholdError | None = None
    try:
        ask(story, provider)
    except SnapholdError as caught:
        error = caught
    assert story.rig.server.wait_until_idle()
    return error


def _judge(error: SnapholdError | None, verb: str, story: Story) -> None:
    """What was said fits what happened, and nothing was doubled."""
    happened = WRITES[verb][1](story)
    if error is None:
        assert happened, "it said that it was done"
    elif not isinstance(error, (UnknownOutcomeError, TimedOutError)):
        assert not happened, f"it said that nothing was done: {error}"
    assert _unharmed(story)


def _recover(verb: str, story: Story) -> None:
    """With the fault gone, asking again brings it about, once."""
    story.rig.server.faults.clear()
    forget_everything()
    ask, happened = WRITES[verb]
    ask(story, story.provider())
    assert happened(story)
    assert _unharmed(story)


def _unharmed(story: Story) -> bool:
    """Nothing was doubled, whatever was said."""
    return _started(story) <= 1 and _copies(story) <= 1 and _standing(story) <= 1 and len(story.rig.world.events) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("verb", sorted(WRITES))
@pytest.mark.parametrize("fault", sorted(KINDS))
def test_no_fault_makes_a_false_success_or_a_second_effect(story: Story, fault: str, verb: str) -> None:
    provider = story.provider(TIMEOUT if fault == "slow" else None)
    story.rig.server.faults.switch_on(Fault(fault, FOR_EVER, "*", "/api/v1/"))
    _judge(_try(WRITES[verb][0], story, provider), verb, story)
    _recover(verb, story)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, FOR_EVER], ids=["once", "always"])
@pytest.mark.parametrize("verb", sorted(WRITES))
@pytest.mark.parametrize("fault", sorted(KINDS))
def test_a_fault_in_the_write_itself_is_never_a_false_success(story: Story, fault: str, verb: str, times: int) -> None:
    provider = story.provider(TIMEOUT if fault == "slow" else None)
    for method in ("POST", "PUT"):
        story.rig.server.faults.switch_on(Fault(fault, times, method, "/api/v1/"))
    _judge(_try(WRITES[verb][0], story, provider), verb, story)
    _recover(verb, story)


@pytest.mark.slow
@pytest.mark.parametrize("verb", sorted(READS))
@pytest.mark.parametrize("fault", sorted({*KINDS, "zoneless", "offline", "full"}))
def test_no_fault_in_reading_changes_anything_or_tells_an_untruth(story: Story, fault: str, verb: str) -> None:
    before = len(story.rig.world.runs), len(story.rig.world.jobs)
    for times in (1, FOR_EVER):
        provider = story.provider(TIMEOUT if fault == "slow" else None)
        story.rig.server.faults.switch_on(Fault(fault, times, "*", "/api/v1/"))
        error = _try(READS[verb], story, provider)
        assert error is None or error.what
        assert (len(story.rig.world.runs), len(story.rig.world.jobs)) == before
        story.rig.server.faults.clear()
        forget_everything()
    READS[verb](story, story.provider())


@pytest.mark.slow
@pytest.mark.parametrize("fault", sorted(KINDS))
def test_a_fault_at_the_sign_in_starts_nothing(story: Story, fault: str) -> None:
    forget_sign_ins()
    provider = story.provider(TIMEOUT if fault == "slow" else None)
    story.rig.server.faults.switch_on(Fault(fault, FOR_EVER, "POST", "/api/oauth2/token"))
    error = _try(_start, story, provider)
    _judge(error, "start", story)
    _recover("start", story)


@pytest.mark.parametrize("fault", ["error", "unavailable", "reset_before", "reset_after", "truncated", "expired"])
def test_one_fault_in_reading_is_overcome(story: Story, fault: str) -> None:
    provider = story.provider()
    story.rig.server.faults.switch_on(Fault(fault, 1, "GET", "/api/v1/"))
    assert [point.id for point in provider.restore_points()] == [story.point.id]


def test_a_backup_goes_through_with_a_server_that_is_written_to_badly(rig: ProductRig) -> None:
    for fault in Simulator.own_faults:
        if fault not in ("offline", "full"):
            rig.server.faults.switch_on(Fault(fault, FOR_EVER))
            provider = rig.provider()
            job = provider.start(rig.order(provider, KEY + fault))
            rig.let_jobs_end()
            assert finished(provider, job).restore_point is not None
            rig.server.faults.clear()
