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
from snaphold.playbook.load import LoadedPlaybook, load_parts, load_playbook, playbook_files, read_playbook
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


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_playbook_does_the_same_on_shuffle(path: Path, name: str) -> None:
    loaded, parts = load(path)
    inputs = {key: "a,b" for key, declared in loaded.playbook.inputs.items() if declared.required}
    steps, outcome, walker = both(loaded, parts, same(SCENARIOS[name]), inputs=inputs)
    check_same(steps, outcome, walker, in_order=False)


PART = """apiVersion: snaphold/v1
kind: Playbook
metadata: {name: part, id: playbook--55555555-5555-4555-8555-555555555555, version: "1.0.0", change_record: CHG1}
inputs:
  asset: {type: string, required: true}
steps:
  - id: start
    do: backup.start
    with: {asset: $inputs.asset}
    out: {pool: string, job: string, restore_point: string}
    retry: {attempts: 3, every: 5s}
    poll:
      do: backup.status
      with: {asset: $inputs.asset, pool: $start.pool, job: $start.job}
      until: $result.state == "done"
      fail: $result.state == "failed"
      every: 15s
      within: 5m
  - {id: check, do: backup.verify, with: {restore_point: $start.restore_point}, out: {verified: boolean}}
"""


def own(steps: str, rest: str = "") -> tuple[LoadedPlaybook, dict[str, LoadedPlaybook]]:
    """Return a playbook with these steps, and the part that it may call."""
    head = (
        "apiVersion: snaphold/v1\nkind: Playbook\nmetadata: {name: own, id: playbook--66666666-6666-4666-8666-666666666666, "
        f'version: "1.0.0", change_record: CHG1{rest}}}\n'
        "inputs:\n  all: {type: list, default: [a, b, c]}\n  number: {type: integer, default: 7}\n"
        "  bold: {type: boolean, default: true}\n  word: {type: string, default: Tier}\n"
    )
    return read_playbook(head + steps, Path("own.yaml")), {"part": read_playbook(PART, Path("part.yaml"))}


class Turns:
    """Answers an action with each of these in turn, the last one for ever; an exception is raised."""

    def __init__(self, **turns: list[Any]) -> None:
        self.turns = turns

    def __call__(self) -> Script:
        left = {name.replace("__", "."): list(answers) for name, answers in self.turns.items()}

        def respond(action: str, given: Mapping[str, Any]) -> dict[str, Any]:
            if action not in left:
                return calm(action, given)
            found = left[action].pop(0) if len(left[action]) > 1 else left[action][0]
            if isinstance(found, Exception):
                raise found
            return {**calm(action, given), **found}

        return respond


ONE = "steps:\n  - {id: one, call: part, with: {asset: a}}\n"
GATE = """steps:
  - id: gate
    approve:
      ask: "Go on with $inputs.all (it's $$5)?"
      from: group/a
      within: 15m
      escalate: {to: group/b, within: 10m}
    on_denied: %s
    on_timeout: %s
  - {id: keep, do: hold.place, with: {reason: "Approved, $inputs.word."}}
handlers:
  tell: [{id: told, do: report.summary}]
"""
FAILS = [{"outcome": "failed"}]
CASES: dict[str, tuple[str, Any]] = {
    "a job that takes its time": (ONE, Turns(backup__status=[{"state": "running"}] * 4 + [{"state": "done"}])),
    "a job that fails later": (ONE, Turns(backup__status=[{"state": "running"}, {"state": "failed"}])),
    "a start that works at the third attempt": (ONE, Turns(backup__start=[*FAILS, *FAILS, {}])),
    "a start that never works": (ONE, Turns(backup__start=FAILS)),
    "a field of out is missing": (ONE, Turns(backup__status=[{"state": "done", "restore_point": None}])),
    "a question that gets no answer for a while": (ONE, Turns(backup__status=[ProviderError("it is gone"), {"state": "done"}])),
    "a question that is answered with a failure": (ONE, Turns(backup__status=FAILS)),
    "an error that is not handled": (
        """steps:
  - {id: a, do: evidence.seal}
  - {id: b, do: hold.place, with: {reason: x}}
""",
        Turns(evidence__seal=FAILS),
    ),
    "an error that stops": (
        """steps:
  - {id: a, do: evidence.seal, on_error: tell}
  - {id: b, do: hold.place, with: {reason: x}}
handlers:
  tell: [{id: told, do: report.summary}]
""",
        Turns(evidence__seal=FAILS),
    ),
    "an error after which it goes on": (
        """steps:
  - {id: a, do: evidence.seal, on_error: {run: tell, then: continue}}
  - {id: b, do: hold.place, with: {reason: x}, on_error: {run: tell, then: continue}}
handlers:
  tell:
    - {id: told, do: backup.check_health, with: {assets: a}, out: {healthy: boolean}}
    - {id: told_if, if: $told.healthy == true, then: [{id: sum, do: report.summary}]}
""",
        Turns(evidence__seal=FAILS, hold__place=FAILS),
    ),
    "conditions by type": (
        """steps:
  - {id: c1, if: $inputs.number >= 7 and $inputs.bold == true, then: [{id: x1, do: hold.place, with: {reason: it is so}}]}
  - id: c2
    if: $inputs.number < 5 or $inputs.word == "tier"
    then: [{id: x2, do: evidence.seal}]
    else: [{id: x3, do: report.summary}]
  - id: s1
    switch: $inputs.word
    cases:
      tier: [{id: x4, do: evidence.seal}]
      Tier: [{id: x5, do: hold.place, with: {reason: x}}]
""",
        Turns(),
    ),
    "no case and no default": (
        "steps:\n  - {id: s1, switch: $inputs.word, cases: {tier: [{id: x4, do: evidence.seal}]}}\n",
        Turns(),
    ),
    "side by side": (
        """steps:
  - id: both
    parallel:
      - [{id: p1, do: evidence.seal, out: {evidence: string}}]
      - [{id: p2, if: $inputs.bold == true, then: [{id: p3, do: report.summary}]}]
  - {id: b, do: evidence.verify, with: {evidence: $p1.evidence}}
""",
        Turns(),
    ),
    "side by side, and one fails": (
        """steps:
  - id: both
    parallel:
      - [{id: p1, do: evidence.seal}]
      - [{id: p2, do: report.summary}]
  - {id: b, do: hold.place, with: {reason: x}}
""",
        Turns(evidence__seal=FAILS),
    ),
    "for each, and one fails": (
        "steps:\n  - {id: each, call: part, for_each: $inputs.all, with: {asset: $item}}\n",
        Turns(backup__verify=[{}, *FAILS]),
    ),
    "a list inside text and a list of texts": (
        "steps:\n  - {id: a, do: hold.place, with: {reason: 'For $inputs.all, $inputs.bold. End', subjects: [EV-1, EV-2]}}\n",
        Turns(),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_construct_does_the_same_on_shuffle(name: str) -> None:
    steps, script = CASES[name]
    loaded, parts = own(steps)
    check_same(*both(loaded, parts, script))


@pytest.mark.parametrize("decision", ["stop", "tell", "continue"])
@pytest.mark.parametrize("answered", ["approved", "denied", "expired"])
def test_a_gate_does_the_same_on_shuffle(answered: str, decision: str) -> None:
    loaded, parts = own(GATE % (decision, decision))
    people = {"approved": {}, "denied": {"gate": "denied"}, "expired": {"gate": "silent", "gate-escalation": "silent"}}
    steps, outcome, walker = both(loaded, parts, same(calm), {"gate": answered}, people[answered])
    theirs = walker.ended("RUN-1")["outcome"]
    assert plainly(walker.service.asked) == plainly(steps.asked)
    # Passing a gate that nobody approved makes our runner's best ending `partial`.
    assert theirs == outcome or (decision == "continue" and answered != "approved" and theirs == "succeeded")


def test_an_escalated_question_that_is_approved_lets_the_run_pass() -> None:
    loaded, parts = own(GATE % ("stop", "stop"))
    steps, outcome, walker = both(loaded, parts, same(calm), {"gate": "approved"}, {"gate": "silent"})
    check_same(steps, outcome, walker)
    assert (walker.watch.now() - Walker({}, None).watch.now()).total_seconds() >= 900


def test_a_run_of_two_hours_is_made_of_short_passes() -> None:
    loaded, _ = own(ONE)
    parts = {"part": read_playbook(PART.replace("within: 5m", "within: 6h"), Path("part.yaml"))}
    steps, outcome, walker = both(loaded, parts, Turns(backup__status=[{"state": "running"}] * 480 + [{"state": "done"}]))
    check_same(steps, outcome, walker)
    assert walker.executions > 480


def test_a_run_that_is_started_again_by_hand_does_nothing_twice() -> None:
    loaded, parts = own(ONE)
    _, _, walker = both(loaded, parts, same(calm))
    before = list(walker.service.asked)
    walker.run(workflow_id(loaded.playbook.metadata.id, RUN), {"run": "RUN-1"})
    assert walker.service.asked == before


def test_two_chains_of_passes_never_last() -> None:
    """A run that is started again while its passes go on has one chain afterwards: the older one ends at its next pass."""
    loaded, parts = own(ONE)
    script = Turns(backup__status=[{"state": "running"}] * 9 + [{"state": "done"}])
    walker = Walker(compiled(loaded, parts), ScriptedService(script()))
    root = workflow_id(loaded.playbook.metadata.id, RUN)
    argument = json.dumps({"run": "RUN-1", "incident": INCIDENT})
    walker.waiting += [(root, argument), (root, argument), (root, argument)]
    most = 0
    while walker.waiting:
        walker.execute(*walker.waiting.pop(0))
        most = max(most, len([1 for workflow, _ in walker.waiting if workflow == root]))
    assert walker.ended("RUN-1")["outcome"] == "succeeded"
    assert len([1 for name, _ in walker.service.asked if name == "backup.start"]) == 1
    assert most <= 3


def test_a_webhook_without_an_incident_does_nothing() -> None:
    loaded, parts = own("steps:\n  - {id: a, do: report.summary}\n")
    walker = Walker(compiled(loaded, parts), ScriptedService(calm))
    results = walker.execute(workflow_id(loaded.playbook.metadata.id, RUN), json.dumps({"text": "an alert"}))
    assert results["inputs"]["success"] is False
    assert list(results) == ["inputs"]


def test_the_incident_of_an_alert_may_be_an_object() -> None:
    incident = {"id": INCIDENT, "title": "{% python %}", "assets": ["a"]}
    loaded, parts = own("steps:\n  - {id: a, do: report.summary}\n")
    walker = Walker(compiled(loaded, parts), ScriptedService(calm))
    walker.run(workflow_id(loaded.playbook.metadata.id, RUN), {"run": "RUN-1", "incident": incident})
    assert walker.ended("RUN-1")["outcome"] == "succeeded"
