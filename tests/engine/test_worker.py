"""A worker in this process, on a file and on PostgreSQL: gates that cost nothing, calls, cancels, stops, changed plans."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dbos._queue
import pytest
import sqlalchemy as sa
from dbos._sys_db import SystemDatabase

from snaphold.clock import FixedClock
from snaphold.domain.authority import Approval, ApprovalState
from snaphold.domain.people import Actor
from snaphold.engine import shared, tenures, workers
from snaphold.engine.driver import cancel_run, resume_run, wake_run
from snaphold.engine.durable import DurableSteps
from snaphold.engine.run import Run, RunStatus, find_run, is_driven
from snaphold.engine.shared_runs import drive_here, register_run
from snaphold.engine.tenures import State
from snaphold.engine.worker import Worker
from snaphold.errors import BusyError, InputError, LedgerError, NotAuthorisedError
from snaphold.ledger.schema import tenure
from snaphold.runtime import Runtime
from support import worker_here
from support.ledgers import NOW
from support.postgres import Postgres
from support.run_lab import World, make_world, outcomes, plan_of
from support.waiting import wait_for

pytestmark = pytest.mark.slow
GATE = """steps:
  - {id: before, do: lab.start}
  - {id: gate, approve: {ask: "Do it?", from: group/managers, within: 10m}}
  - {id: after, do: lab.start, with: {asset: second}}
"""
ONE = """steps:
  - {id: only, do: lab.start}
"""
SLOW = """steps:
  - {id: one, do: lab.start, with: {says: wait}}
  - {id: two, do: lab.start, with: {asset: second}}
"""


BRANCHES = """steps:
  - id: both
    parallel:
      - - {id: left, do: lab.start, with: {asset: left, says: wait}}
      - - {id: right, do: lab.start, with: {asset: right}}
"""

LONG_BRANCHES = """steps:
  - id: both
    parallel:
      - - {id: left, do: lab.start, with: {asset: left, says: wait}}
        - {id: then, do: lab.start, with: {asset: third}}
      - - {id: right, do: lab.start, with: {asset: right}}
"""


@pytest.fixture(params=["file", "postgresql"])
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> World:
    """A world whose ledger and runs are in files or in a PostgreSQL database of its own."""
    if request.param == "file":
        return make_world(tmp_path, monkeypatch)
    postgres: Postgres = request.getfixturevalue("postgres")
    monkeypatch.setenv("SNAPHOLD_TEST_DATABASE", postgres.url(postgres.create(postgres.prepared)))
    return make_world(tmp_path, monkeypatch, database="env:SNAPHOLD_TEST_DATABASE")


def working(
    world: World, actor_of: Callable[[Run], Actor] | None = None, census_seconds: float = 0.5
) -> AbstractContextManager[Worker]:
    return worker_here.working(world.runtime(), actor_of, census_seconds=census_seconds)


def state(runtime: Runtime, run: str) -> str:
    with runtime.ledger.reading() as connection:
        return str(connection.execute(sa.select(tenure.c.state).where(tenure.c.run == run)).scalar_one())


def test_a_run_at_a_gate_occupies_no_worker_and_goes_on_when_it_is_answered(world: World) -> None:
    runtime = world.runtime()
    run = register_run(runtime, plan_of(GATE))
    with working(world) as worker:
        wait_for(lambda: state(runtime, run.id) == State.WAITING.value)
        wait_for(lambda: not worker.busy)  # it forgets a run just after it has let go of it
        assert find_run(runtime.ledger, run.id).status is RunStatus.WAITING
        world.vote(runtime.ledger.records(Approval)[0].id, "ben", "approved")
        wait_for(lambda: find_run(runtime.ledger, run.id).has_ended)
        wait_for(lambda: state(runtime, run.id) == State.ENDED.value)
    assert outcomes(find_run(runtime.ledger, run.id)) == [("before", "succeeded"), ("gate", "approved"), ("after", "succeeded")]
    assert world.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1", "INC-1/trial.after/second/1"]


def test_a_deadline_runs_on_while_no_worker_is_there(world: World) -> None:
    world.clock = clock = FixedClock(NOW)
    runtime = world.runtime()
    run = register_run(runtime, plan_of(GATE.replace("10m", "3s")))
    with working(world):
        wait_for(lambda: state(runtime, run.id) == State.WAITING.value)
    clock.advance(3.1)
    with working(world):
        wait_for(lambda: find_run(runtime.ledger, run.id).has_ended)
    approval = runtime.ledger.records(Approval)[0]
    assert approval.state is ApprovalState.EXPIRED
    assert (approval.expires_at - approval.requested_at).total_seconds() == 3, "it was not begun anew"
    assert world.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1"]


def test_a_waiting_run_is_cancelled_without_a_worker_and_taken_by_none(world: World) -> None:
    runtime = world.runtime()
    run = register_run(runtime, plan_of(GATE))
    with working(world):
        wait_for(lambda: state(runtime, run.id) == State.WAITING.value)
    assert cancel_run(runtime, run.id).status is RunStatus.CANCELLED
    with working(world):
        wait_for(lambda: state(runtime, run.id) == State.ENDED.value)
    assert find_run(runtime.ledger, run.id).status is RunStatus.CANCELLED
    assert world.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1"]


def test_a_driven_run_stops_before_its_next_action_when_it_is_cancelled(world: World) -> None:
    runtime = world.runtime()
    run = register_run(runtime, plan_of(SLOW))
    with working(world):
        wait_for(world.lab.vendor.starts)
        assert is_driven(runtime.configuration, runtime.ledger, run.id)
        with pytest.raises(BusyError, match="live process"):
            resume_run(runtime, run.id)
        assert cancel_run(runtime, run.id).status is RunStatus.RUNNING
        world.lab.gate.set()
        wait_for(lambda: find_run(runtime.ledger, run.id).has_ended)
    assert find_run(runtime.ledger, run.id).status is RunStatus.CANCELLED
    assert len(world.lab.vendor.starts()) == 1


def test_a_worker_that_stops_in_order_hands_its_run_on_at_once(world: World) -> None:
    runtime = world.runtime()
    run = register_run(runtime, plan_of(SLOW))
    with working(world) as first:
        wait_for(world.lab.vendor.starts)
        first.stop()
        wait_for(lambda: workers.list_workers(runtime.ledger)[0].state == "stopping")
        world.lab.gate.set()
    assert (state(runtime, run.id), first.busy) == (State.WANTED.value, False)
    with working(world):
        wait_for(lambda: find_run(runtime.ledger, run.id).has_ended)
    assert find_run(runtime.ledger, run.id).status is RunStatus.DONE
    assert [line.state for line in workers.list_workers(runtime.ledger)] == ["stopped", "stopped"]
    assert sorted(world.lab.vendor.starts()) == ["INC-1/trial.one/orders-db/1", "INC-1/trial.two/second/1"]


def test_a_run_is_not_given_back_while_a_branch_is_still_at_the_vendor(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection breaks under the run itself, but not under its branch."""
    broke = threading.Event()
    first = DurableSteps._first

    def breaks(self: DurableSteps, going: Any) -> int:
        if not broke.is_set():
            wait_for(world.lab.vendor.starts)
            broke.set()
            raise OSError("the connection broke")
        return first(self, going)

    monkeypatch.setattr(DurableSteps, "_first", breaks)
    runtime = world.runtime()
    run = register_run(runtime, plan_of(BRANCHES))
    with working(world):
        wait_for(broke.is_set)
        time.sleep(0.5)
        assert state(runtime, run.id) == State.DRIVEN.value, "another worker would find nothing at the vendor, and start again"
        world.lab.gate.set()
        wait_for(lambda: find_run(runtime.ledger, run.id).has_ended)
    assert find_run(runtime.ledger, run.id).status is RunStatus.DONE
    assert sorted(world.lab.vendor.starts()) == ["INC-1/trial.left/left/1", "INC-1/trial.right/right/1"]


def lose_one(monkeypatch: pytest.MonkeyPatch, end: str) -> list[str]:
    """Have the database break once, after a part whose id ends so was marked as begun, and before it was read."""
    lost: list[str] = []
    execute: Any = dbos._queue.execute_dequeued_workflow  # pyright: ignore[reportPrivateImportUsage]

    def execute_but_one(owner: Any, status: Any, token: str) -> Any:
        if not lost and status["workflow_uuid"].endswith(end):
            lost.append(status["workflow_uuid"])
            raise OSError("the connection broke")
        return execute(owner, status, token)

    monkeypatch.setattr(dbos._queue, "execute_dequeued_workflow", execute_but_one)
    return lost


def test_a_run_that_was_lost_while_it_was_taken_up_is_taken_up_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = world.runtime()
    run = register_run(runtime, plan_of(GATE))
    lost = lose_one(monkeypatch, run.id)
    with working(world):
        wait_for(lambda: state(runtime, run.id) == State.WAITING.value)
        world.vote(runtime.ledger.records(Approval)[0].id, "ben", "approved")
        wait_for(lambda: find_run(runtime.ledger, run.id).has_ended)
    assert lost == [run.id]
    assert outcomes(find_run(runtime.ledger, run.id)) == [("before", "succeeded"), ("gate", "approved"), ("after", "succeeded")]
    assert world.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1", "INC-1/trial.after/second/1"]


def test_a_branch_that_was_lost_while_it_was_taken_up_holds_its_run_no_longer_than_needed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = world.runtime()
    run = register_run(runtime, plan_of(LONG_BRANCHES))
    lost = lose_one(monkeypatch, "/both.0")
    with working(world) as first:
        wait_for(lambda: len(world.lab.vendor.starts()) == 2)
        first.stop()
        wait_for(lambda: workers.list_workers(runtime.ledger)[0].state == "stopping")
        world.lab.gate.set()
    with working(world):
        wait_for(lambda: find_run(runtime.ledger, run.id).has_ended)
    assert len(lost) == 1, "the branch was not begun anew"
    assert find_run(runtime.ledger, run.id).status is RunStatus.DONE
    starts = ["INC-1/trial.left/left/1", "INC-1/trial.right/right/1", "INC-1/trial.then/third/1"]
    assert sorted(world.lab.vendor.starts()) == starts


def test_a_branch_whose_end_could_not_be_recorded_does_not_hold_its_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[str] = []
    record: Any = SystemDatabase.update_workflow_outcome

    def record_but_one(self: Any, id: str, *given: Any, **named: Any) -> Any:
        if not lost and id.endswith("/both.1"):
            lost.append(id)
            raise OSError("the connection broke")
        return record(self, id, *given, **named)

    monkeypatch.setattr(SystemDatabase, "update_workflow_outcome", record_but_one)
    world.lab.gate.set()
    runtime = world.runtime()
    run = register_run(runtime, plan_of(BRANCHES))
    with working(world):
        wait_for(lambda: find_run(runtime.ledger, run.id).has_ended)
    assert len(lost) == 1, "its end was not recorded again"
    assert find_run(runtime.ledger, run.id).status is RunStatus.DONE
    assert sorted(world.lab.vendor.starts()) == ["INC-1/trial.left/left/1", "INC-1/trial.right/right/1"]


def test_a_person_drives_a_run_here_and_leaves_it_at_the_gate_for_nobody_else(world: World) -> None:
    runtime = world.runtime()
    registered = register_run(runtime, plan_of(GATE), held_back=True)
    run = drive_here(runtime, registered.id, world.listen, stay_at_gates=False)
    assert run.status is RunStatus.WAITING
    assert state(runtime, run.id) == State.LEFT.value
    with working(world):
        time.sleep(0.5)
        assert state(runtime, run.id) == State.LEFT.value
    world.vote(runtime.ledger.records(Approval)[0].id, "ben", "approved")
    assert wake_run(runtime, run.id) is False
    assert resume_run(runtime, run.id, listener=world.listen).status is RunStatus.DONE
    assert resume_run(runtime, run.id).status is RunStatus.DONE
    with pytest.raises(InputError, match="exists already"):
        world.start(plan_of(GATE))


def test_a_person_waits_at_a_gate_and_the_answer_is_heard(world: World) -> None:
    world.answers = {"gate": (("ben", "approved"),)}
    assert world.start(plan_of(GATE)).status is RunStatus.DONE


def test_a_plan_that_was_changed_in_the_database_is_not_driven(world: World) -> None:
    runtime = world.runtime()
    run = register_run(runtime, plan_of(GATE))
    with runtime.ledger.writing() as connection:
        connection.execute(sa.update(tenure).values(plan=sa.func.replace(tenure.c.plan, "lab.start", "lab.write")))
    with working(world):
        wait_for(lambda: state(runtime, run.id) == State.WAITING.value)
    assert world.lab.calls == []
    assert find_run(runtime.ledger, run.id).status is RunStatus.RUNNING


def test_a_run_of_a_person_who_is_gone_is_left_for_a_person(world: World) -> None:
    runtime = world.runtime()
    run = register_run(runtime, plan_of(GATE))

    def nobody(_run: Run) -> Actor:
        raise NotAuthorisedError("the requester is gone")

    with working(world, nobody):
        wait_for(lambda: state(runtime, run.id) == State.LEFT.value)
    assert world.lab.calls == []
    assert tenures.count_waiting(runtime.ledger) == 0


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool) -> list[str]:
    """Have the first call break, before anything or after everything was done; return a list that tells that it did."""
    work, failed = getattr(owner, name), list[str]()

    def once(*given: Any, **named: Any) -> Any:
        if failed:
            return work(*given, **named)
        failed.append(name)
        if after:
            work(*given, **named)
        raise LedgerError("the connection broke")

    monkeypatch.setattr(owner, name, once)
    return failed


def test_a_run_that_was_taken_without_an_answer_is_given_back_and_taken_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = world.runtime()
    run = register_run(runtime, plan_of(ONE))
    failed = fail_once(monkeypatch, tenures, "take_due", after=True)
    # A part that two looks in a row find without a thread is taken up once more: here they must not come too soon.
    with working(world, census_seconds=3):
        wait_for(lambda: find_run(runtime.ledger, run.id).has_ended)
    assert failed
    assert find_run(runtime.ledger, run.id).status is RunStatus.DONE
    takes = [entry.detail["fence"] for entry in runtime.ledger.entries() if entry.action == "run.take"]
    assert takes == [1, 2]


def test_a_run_that_can_neither_be_driven_nor_given_back_at_once_is_given_back_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = world.runtime()
    runs = [register_run(runtime, plan_of(ONE, generation=number)) for number in (1, 2)]
    failed = fail_once(monkeypatch, shared, "take_up", after=False), fail_once(monkeypatch, tenures, "let_go_all", after=False)
    with working(world):
        wait_for(lambda: all(find_run(runtime.ledger, run.id).has_ended for run in runs))
    assert all(failed)
    assert [find_run(runtime.ledger, run.id).status for run in runs] == [RunStatus.DONE] * 2
