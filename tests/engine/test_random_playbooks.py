"""Invariants over random playbooks: the same trace wherever they run, and nothing after a failure."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from snaphold.engine.dry_run import DrySteps
from snaphold.engine.frame import judge
from snaphold.engine.interpreter import Interpreter
from snaphold.engine.plan import Plan
from snaphold.engine.run import Reason, Run, RunStatus, StepLine
from snaphold.engine.steps import Act, Answer, nobody
from support.plain_steps import PlainSteps, walk
from support.random_playbooks import CONTINUES, PART, playbooks
from support.run_lab import World, make_world, plan_of, trial

GOOD = ("succeeded", "partial")
RAISED = {"refused": "failed", "lost": "unknown"}
_numbers = itertools.count()


def _plan(body: str, generation: int = 1) -> Plan:
    return plan_of(body, trial(PART, name="part"), generation=generation, list=["a", "b"])


def _told(act: Act) -> Any:
    says = str(act.given.get("says", "succeeded"))
    outcome = RAISED.get(says, says)
    return {"flag": True} if outcome == "succeeded" else outcome


class Told(PlainSteps):
    """Plain surroundings in which each action does what its input says."""

    def act(self, act: Act) -> Answer:
        """Do as told."""
        self.acts.append(act)
        return self.answer(_told(act), act.given)


@settings(max_examples=150, deadline=None)
@given(playbooks())
def test_after_a_failure_nothing_runs_but_handlers_and_branches_unless_continue_is_written(body: str) -> None:
    result = walk(_plan(body), Told())
    status = judge(result)
    bad = [line for line in result.lines if line.outcome not in GOOD]
    if not bad:
        assert result.reason is Reason.NONE
        assert status in (RunStatus.DONE, RunStatus.PARTIAL)
    elif CONTINUES not in body:
        assert status in (RunStatus.FAILED, RunStatus.UNKNOWN)
        if "parallel:" not in body:
            after = result.lines[result.lines.index(bad[0]) + 1 :]
            assert all(line.step.endswith("h") for line in after), "only a handler follows a failure"
    else:
        assert status is not RunStatus.DONE


def _trace(lines: tuple[StepLine, ...]) -> list[tuple[str, str, str, str]]:
    return sorted((line.step, line.item, line.what, line.outcome) for line in lines)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(playbooks())
def test_a_durable_run_gives_the_same_trace_as_plain_surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    world = make_world(tmp_path / "world", monkeypatch)
    generation = next(_numbers) + 1
    plan = _plan(body, generation)
    run = world.start(plan)
    plain = walk(plan, Told())
    assert _trace(run.steps) == _trace(plain.lines)
    assert (run.status, run.reason) == (judge(plain), plain.reason)


def test_a_dry_run_writes_nothing_and_shows_the_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world: World = make_world(tmp_path, monkeypatch)
    body = """steps:
  - {id: one, do: lab.read, out: {text: string}}
  - id: two
    do: lab.start
    with: {text: $one.text}
    out: {text: string}
    poll:
      do: lab.status
      with: {text: $two.text}
      until: $result.state == "never"
      fail: $result.state == "failed"
      every: 1s
      within: 1h
  - {id: three, do: lab.read, with: {text: $two.text, says: refused}}
  - {id: gate, approve: {ask: "?", from: group/managers, within: 1h, grants: {role: backup-emergency, for: 1h}}}
  - {id: four, do: lab.write}
"""
    runtime = world.runtime()
    plan = plan_of(body)
    steps = DrySteps(runtime, plan, nobody)
    result = Interpreter(plan.playbooks, plan.incident.id, steps).run(plan.playbook, plan.inputs)
    assert judge(result) is RunStatus.DONE, result.why
    assert world.lab.calls == ["text"], "only the read that rests on no example"
    assert [line.detail for line in result.lines][1:] == [
        "would run lab.start with text=text", "would run lab.read with text=text, says=refused",
        "would wait for 1 of ben, cleo", "would run lab.write",
    ]  # fmt: skip
    assert runtime.ledger.entries() == []
    assert runtime.ledger.records(Run) == []
