"""The compiled workflows do what our own runner does: the same actions with the same input, and the same outcome."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from snaphold.action import catalogue
from snaphold.engine.frame import judge
from snaphold.engine.interpreter import Interpreter
from snaphold.engine.steps import Act, Answer
from snaphold.errors import ProviderError
from snaphold.execute import validate
from snaphold.playbook.inputs import bind_inputs
from snaphold.playbook.load import LoadedPlaybook, load_parts, load_playbook, playbook_files
from snaphold.playbook.step import ApproveStep
from snaphold.playbook.walk import every_step
from snaphold.resources import folder
from snaphold.targets.shuffle import RUN, compile_shuffle
from snaphold.targets.shuffle_parts import workflow_id
from support.plain_steps import REASONS, PlainSteps
from support.shuffle_walker import ScriptedService, Walker

INCIDENT = "INC-2026-0042"
SHIPPED = [path for path in playbook_files(folder("playbooks")) if path.parent.name != "parts"]
STATUS = {"done": "succeeded", "partial": "partial", "failed": "failed", "unknown": "unknown"}
Script = Callable[[str, Mapping[str, Any]], dict[str, Any]]


def outputs(action: str, **changes: Any) -> dict[str, Any]:
    """Return an action's example result with changes."""
    return {**catalogue()[action].example_result().model_dump(mode="json"), "outcome": "succeeded", "findings": [], **changes}


def calm(action: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Answer so that everything goes well and nobody must be asked."""
    known: dict[str, dict[str, Any]] = {
        "triage.order_by_dependency": {"waves": ["a", "b,c"], "ordered": ["a", "b", "c"], "raised": []},
        "triage.classify_assets": {"assets": ["a", "b", "c"], "critical": False},
        "authority.check_emergency": {"approval_needed": False, "approvals": 1},
        "backup.check_health": {"healthy": True, "reasons": []},
        "backup.check_capacity": {"fits": True},
        "backup.start": {"asset": given.get("asset", ""), "pool": "p", "job": f"job-{given.get('asset')}"},
        "backup.status": {"state": "done", "restore_point": f"RP-{given.get('asset')}"},
        "backup.verify": {"verified": True},
        "evidence.verify": {"status": "verified"},
    }
    return outputs(action, **known.get(action, {}))


@dataclass
class Told(PlainSteps):
    """Answers our own runner from the same script as the walker's service."""

    script: Script = calm
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list[Any])

    def act(self, act: Act) -> Answer:
        self.asked.append((act.action, dict(act.given)))
        now = self.now()
        try:
            found = self.script(act.action, act.given)
        except ProviderError as error:
            return Answer("failed", now, now, detail=error.what, reason=REASONS["failed"], repeatable=True)
        bad = found["outcome"] not in ("succeeded", "partial")
        return Answer(
            found["outcome"], now, now, found, (), "bad" if bad else "", REASONS.get(found["outcome"], REASONS["failed"])
            if bad else Answer("x", now, now).reason, found["outcome"] == "failed",
        )  # fmt: skip


KEPT: dict[str, dict[str, dict[str, Any]]] = {}


def compiled(loaded: LoadedPlaybook, parts: Mapping[str, LoadedPlaybook]) -> dict[str, dict[str, Any]]:
    """Return all workflows by id; each playbook is compiled once."""
    found: dict[str, dict[str, Any]] = {}
    for one in [loaded, *parts.values()]:
        if one.digest not in KEPT:
            documents = [json.loads(content) for content in compile_shuffle(one, parts).files.values()]
            KEPT[one.digest] = {document["id"]: document for document in documents}
        found |= KEPT[one.digest]
    return found


def plainly(asked: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
    """Return actions with their input as the service reads it; empty text is an input that was not given."""
    seen: list[tuple[str, str]] = []
    for action, given in asked:
        kept = {name: value for name, value in given.items() if value not in ("", ())}
        read = validate(catalogue()[action], kept).model_dump(mode="json", exclude_unset=True)
        seen.append((action, json.dumps(read, sort_keys=True)))
    return seen


def both(
    loaded: LoadedPlaybook,
    parts: Mapping[str, LoadedPlaybook],
    script: Callable[[], Script],
    gates: Mapping[str, str] | None = None,
    people: Mapping[str, str] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> tuple[Told, str, Walker]:
    """Run the source and the workflows with scripts made anew, and return both."""
    given = dict(inputs or {})
    steps = Told(answers=dict(gates or {}), script=script())
    playbooks = {one.playbook.name: one.playbook for one in [loaded, *parts.values()]}
    result = Interpreter(playbooks, INCIDENT, steps).run(loaded.playbook.name, bind_inputs(loaded.playbook, given, INCIDENT))
    walker = Walker(compiled(loaded, parts), ScriptedService(script()), people or {})
    walker.run(workflow_id(loaded.playbook.metadata.id, RUN), {"run": "RUN-1", "incident": INCIDENT, "inputs": given})
    return steps, STATUS[judge(result).value], walker


def check_same(steps: Told, outcome: str, walker: Walker, *, in_order: bool = True) -> None:
    """Check that both did the same. Work side by side may interleave, so its order is compared only per action."""
    ours, theirs = plainly(steps.asked), plainly(walker.service.asked)
    if in_order:
        assert theirs == ours
    assert sorted(theirs) == sorted(ours)
    assert walker.ended("RUN-1").get("outcome") == outcome


def load(path: Path) -> tuple[LoadedPlaybook, dict[str, LoadedPlaybook]]:
    loaded = load_playbook(path)
    return loaded, load_parts(loaded)


def same(script: Script) -> Callable[[], Script]:
    return lambda: script


def changed(**answers: dict[str, Any]) -> Script:
    """Return the calm script with other answers for some actions (`.` written as `__`)."""

    def respond(action: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return {**calm(action, given), **answers.get(action.replace(".", "__"), {})}

    return respond


SCENARIOS: dict[str, Script] = {
    "all goes well": calm,
    "not healthy": changed(backup__check_health={"healthy": False, "reasons": ["down, it is"]}),
    "does not fit": changed(backup__check_capacity={"fits": False}),
    "must be approved": changed(authority__check_emergency={"approval_needed": True, "approvals": 1}),
    "two must approve": changed(authority__check_emergency={"approval_needed": True, "approvals": 2}),
    "nothing verifies": changed(backup__verify={"verified": False}),
    "evidence does not verify": changed(evidence__verify={"status": "failed"}),
    "the job fails": changed(backup__status={"state": "failed"}),
    "partial": changed(backup__verify={"outcome": "partial"}),
    "an answer is unknown": changed(evidence__seal={"outcome": "unknown"}),
    "a failed answer": changed(hold__place={"outcome": "failed"}),
    "no waves": changed(triage__order_by_dependency={"waves": [], "ordered": []}),
}


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_playbook_does_the_same_on_shuffle(path: Path, name: str) -> None:
    loaded, parts = load(path)
    gates: dict[str, str] = {}
    if name == "two must approve":
        # Shuffle cannot tell two people apart: the gate fails shut, which is our runner's failed question.
        steps = every_step(loaded.playbook)
        gates = {step.id: "failed" for step in steps if isinstance(step, ApproveStep) and step.approve.quorum != 1}
    inputs = {key: "a,b" for key, declared in loaded.playbook.inputs.items() if declared.required}
    steps, outcome, walker = both(loaded, parts, same(SCENARIOS[name]), gates, inputs=inputs)
    check_same(steps, outcome, walker, in_order=False)
