"""Approvals that wait for days: over restarts, with deadlines that neither begin anew nor fire early, on both databases.

No test sleeps: only the clock is moved.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.authority import Approval, ApprovalState, Decision
from snaphold.engine.approvals import decide
from snaphold.engine.driver import resume_run, wake_run
from snaphold.engine.run import Reason, Run, RunStatus, find_run
from snaphold.engine.shared_runs import register_run
from snaphold.engine.tenures import State
from snaphold.errors import InputError
from support.postgres import Postgres
from support.run_lab import World, make_world, outcomes, plan_of
from support.waiting import wait_for
from support.worker_here import stands, working

pytestmark = pytest.mark.slow
GATE = """steps:
  - {id: before, do: lab.start}
  - {id: gate, approve: {ask: "Do it?", from: group/managers, within: 3d, escalate: {to: group/ciso, within: 2d}}}
  - {id: after, do: lab.start, with: {asset: second}}
"""
BEGAN = datetime(2026, 11, 20, 18, 0, tzinfo=timezone.utc)
MOMENT = timedelta(seconds=1)
FIRST, SECOND = timedelta(days=3), timedelta(days=2)


def at(world: World, since: timedelta) -> World:
    """Return the world as a process sees it that begins so long after the run did."""
    return World(world.configuration, world.lab, FixedClock(BEGAN + since), answers=world.answers)


def question(world: World) -> Approval:
    (found,) = world.runtime().ledger.records(Approval)
    return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose runs are in files, with a run that was left at its gate."""
    world = at(make_world(tmp_path, monkeypatch), timedelta(0))
    assert world.start(plan_of(GATE), stay_at_gates=False).status is RunStatus.WAITING
    return world


def look(world: World, since: timedelta) -> Run:
    """Have a new process look at the run so long after its beginning."""
    there = at(world, since)
    return resume_run(there.runtime(), there.run().id, listener=there.listen, stay_at_gates=False)


def test_an_answer_counts_after_days_and_restarts_until_the_last_moment(world: World) -> None:
    for days in (1, 2):
        assert look(world, timedelta(days=days)).status is RunStatus.WAITING
    assert question(world).expires_at == BEGAN + FIRST, "it was not begun anew"
    at(world, FIRST - MOMENT).vote(question(world).id, "ben", "approved")
    run = look(world, FIRST + timedelta(days=30))
    assert (run.status, outcomes(run)[1]) == (RunStatus.DONE, ("gate", "approved"))
    assert world.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1", "INC-1/trial.after/second/1"]


def test_a_deadline_fires_neither_early_nor_twice_and_the_second_line_is_asked(world: World) -> None:
    assert look(world, FIRST - MOMENT).status is RunStatus.WAITING
    assert question(world).escalated_to == ""
    late = at(world, FIRST)
    with pytest.raises(InputError, match="has expired"):
        late.vote(question(world).id, "ben", "approved")
    assert look(world, FIRST).status is RunStatus.WAITING
    assert (question(world).escalated_to, question(world).expires_at) == ("group/ciso", BEGAN + FIRST + SECOND)
    assert look(world, FIRST + SECOND - MOMENT).status is RunStatus.WAITING
    at(world, FIRST + SECOND - MOMENT).vote(question(world).id, "dan", "approved")
    assert look(world, FIRST + SECOND + MOMENT).status is RunStatus.DONE
    asked = [one.action for one in world.runtime().ledger.entries() if one.action.startswith("approval.")]
    assert asked == ["approval.ask", "approval.escalate", "approval.decide"]


def test_nobody_answers_for_days_and_what_was_guarded_never_happens(world: World) -> None:
    assert look(world, FIRST + timedelta(hours=7)).status is RunStatus.WAITING
    assert question(world).expires_at == BEGAN + FIRST + timedelta(hours=7) + SECOND, "the second line has its whole time"
    run = look(world, FIRST + timedelta(hours=7) + SECOND)
    assert (run.status, run.reason, question(world).state) == (RunStatus.FAILED, Reason.TIMED_OUT, ApprovalState.EXPIRED)
    assert world.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1"]


def test_a_clock_that_goes_back_an_hour_neither_ends_nor_loses_a_question(world: World) -> None:
    assert look(world, timedelta(days=1)).status is RunStatus.WAITING
    assert look(world, timedelta(hours=-1)).status is RunStatus.WAITING
    assert question(world).expires_at == BEGAN + FIRST
    at(world, timedelta(hours=-1)).vote(question(world).id, "ben", "approved")
    assert look(world, timedelta(0)).status is RunStatus.DONE


def test_a_process_that_waited_all_the_time_escalates_and_hears_the_second_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FixedClock(BEGAN)
    world = make_world(tmp_path, monkeypatch)
    world.clock = clock
    thread = threading.Thread(target=lambda: world.start(plan_of(GATE)))
    thread.start()
    wait_for(lambda: [event for event in world.events if event.what == "waiting"])
    runtime, run = world.runtime(), world.run().id
    clock.advance(FIRST.total_seconds())
    wait_for(lambda: wake_run(runtime, run) and runtime.ledger.records(Approval)[0].escalated_to)
    clock.advance((SECOND - MOMENT).total_seconds())
    world.vote(question(world).id, "dan", "approved")
    wait_for(lambda: find_run(runtime.ledger, run).has_ended)
    thread.join(240)
    assert (world.run().status, thread.is_alive()) == (RunStatus.DONE, False)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres) -> World:
    """A world whose ledger and runs are in PostgreSQL."""
    monkeypatch.setenv("SNAPHOLD_TEST_DATABASE", postgres.url(postgres.create(postgres.prepared)))
    return make_world(tmp_path, monkeypatch, database="env:SNAPHOLD_TEST_DATABASE")


def test_workers_let_a_question_alone_for_days_and_take_it_when_its_time_is_over(shared: World) -> None:
    first = at(shared, timedelta(0)).runtime()
    run = register_run(first, plan_of(GATE)).id
    with working(first):
        wait_for(lambda: stands(first, run) == (State.WAITING.value, FIRST))
    late = at(shared, FIRST)
    second = late.runtime()
    with working(second):
        wait_for(lambda: stands(second, run) == (State.WAITING.value, SECOND))
    assert question(late).escalated_to == "group/ciso"
    last = at(shared, FIRST + SECOND - MOMENT).runtime("dan")
    decide(last.configuration, last.ledger, question(late).id, last.actor, Decision.APPROVED, "because", last.clock.now())
    wake_run(last, run)
    end = at(shared, FIRST + SECOND + timedelta(days=30)).runtime()
    with working(end):
        wait_for(lambda: find_run(end.ledger, run).has_ended)
    assert find_run(end.ledger, run).status is RunStatus.DONE
    assert shared.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1", "INC-1/trial.after/second/1"]


def test_a_question_of_workers_expires_when_nobody_answers_for_days(shared: World) -> None:
    first = at(shared, timedelta(0)).runtime()
    run = register_run(first, plan_of(GATE)).id
    with working(first):
        wait_for(lambda: stands(first, run) == (State.WAITING.value, FIRST))
    for since, left in ((FIRST, SECOND), (FIRST + SECOND, None)):
        now = at(shared, since).runtime()
        with working(now):
            wait_for(lambda now=now, left=left: stands(now, run)[1] == left and stands(now, run)[0] != State.DRIVEN.value)
    found = find_run(first.ledger, run)
    assert (found.status, found.reason, question(shared).state) == (RunStatus.FAILED, Reason.TIMED_OUT, ApprovalState.EXPIRED)
    assert shared.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1"]


def test_a_worker_that_comes_before_the_deadline_leaves_the_question_alone(shared: World) -> None:
    first = at(shared, timedelta(0)).runtime()
    waiting = register_run(first, plan_of(GATE)).id
    with working(first):
        wait_for(lambda: stands(first, waiting) == (State.WAITING.value, FIRST))
    other = register_run(first, plan_of("steps:\n  - {id: look, do: lab.read}\n", generation=2)).id
    taken = [one for one in first.ledger.entries() if one.action == "run.take" and one.run == waiting]
    early = at(shared, FIRST - timedelta(hours=1)).runtime()
    with working(early):  # what is due comes first, so once the other has ended the waiting one was passed over
        wait_for(lambda: find_run(early.ledger, other).has_ended)
    again = [one for one in early.ledger.entries() if one.action == "run.take" and one.run == waiting]
    assert (len(again), question(shared).escalated_to) == (len(taken), "")
