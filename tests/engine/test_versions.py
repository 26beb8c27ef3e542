"""Runs that another version of the run engine began: refused by name, kept whole, and in nobody's way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from snaphold.domain.authority import Approval
from snaphold.engine import durable, shared
from snaphold.engine.driver import resume_run, wake_run
from snaphold.engine.run import RunStatus, find_run
from snaphold.engine.shared_runs import register_run
from snaphold.engine.tenures import State
from snaphold.engine.worker import OTHER_VERSION_AGAIN_IN
from snaphold.errors import SnapholdError
from support.postgres import Postgres
from support.run_lab import make_world, plan_of
from support.waiting import wait_for
from support.worker_here import stands, working

pytestmark = pytest.mark.slow
GATE = """steps:
  - {id: before, do: lab.start}
  - {id: gate, approve: {ask: "Do it?", from: group/managers, within: 10m}}
  - {id: after, do: lab.start, with: {asset: second}}
"""
OLDER = "snaphold-run-0"
BOTH = ["INC-1/trial.before/orders-db/1", "INC-1/trial.after/second/1"]


def be(version: str, patch: pytest.MonkeyPatch) -> None:
    """Have this process be of that version of the run engine."""
    patch.setattr(durable, "APPLICATION_VERSION", version)
    patch.setattr(shared, "APPLICATION_VERSION", version)


def test_a_run_of_another_version_is_refused_by_name_and_ends_with_the_version_that_began_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(tmp_path, monkeypatch)
    plan = plan_of(GATE)
    with monkeypatch.context() as older:
        be(OLDER, older)
        assert world.start(plan, stay_at_gates=False).status is RunStatus.WAITING
    world.vote(world.runtime().ledger.records(Approval)[0].id, "ben", "approved")
    with pytest.raises(SnapholdError, match="another version of the run engine") as told:
        resume_run(world.runtime(), plan.run)
    assert OLDER in str(told.value.why)
    assert "start a new generation" in str(told.value.do)
    run = find_run(world.runtime().ledger, plan.run)
    assert (run.has_ended, world.lab.vendor.starts()) == (False, BOTH[:1])
    with monkeypatch.context() as older:
        be(OLDER, older)
        assert resume_run(world.runtime(), plan.run).status is RunStatus.DONE
    assert world.lab.vendor.starts() == BOTH


def test_workers_refuse_a_run_of_another_version_and_drive_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SNAPHOLD_TEST_DATABASE", postgres.url(postgres.create(postgres.prepared)))
    world = make_world(tmp_path, monkeypatch, database="env:SNAPHOLD_TEST_DATABASE")
    runtime = world.runtime()
    older_run = register_run(runtime, plan_of(GATE)).id
    with monkeypatch.context() as older:
        be(OLDER, older)
        with working(runtime):
            wait_for(lambda: stands(runtime, older_run)[0] == State.WAITING.value)
    world.vote(runtime.ledger.records(Approval)[0].id, "ben", "approved")
    others: list[Any] = [plan_of("steps:\n  - {id: look, do: lab.read}\n", generation=number) for number in (2, 3, 4)]
    ids = [register_run(runtime, plan).id for plan in others]
    with caplog.at_level(logging.ERROR, logger="snaphold"), working(runtime):
        wait_for(lambda: all(find_run(runtime.ledger, id).has_ended for id in ids))
        wait_for(lambda: [line for line in caplog.messages if older_run in line and "another version" in line])
        wait_for(lambda: stands(runtime, older_run) == (State.WAITING.value, OTHER_VERSION_AGAIN_IN))
    assert all(find_run(runtime.ledger, id).status is RunStatus.DONE for id in ids)
    assert (find_run(runtime.ledger, older_run).has_ended, world.lab.vendor.starts()) == (False, BOTH[:1])
    with monkeypatch.context() as older:
        be(OLDER, older)
        wake_run(runtime, older_run)
        with working(runtime):
            wait_for(lambda: find_run(runtime.ledger, older_run).has_ended)
    assert world.lab.vendor.starts() == BOTH
