"""Every shipped case, walked on Shuffle: the same actions and the same outcome as our own runner.

How often a poll asks depends on the passes, so questions about jobs are not counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from snaphold.action import catalogue
from snaphold.clock import parse_duration
from snaphold.engine.frame import judge
from snaphold.engine.interpreter import Interpreter
from snaphold.engine.run import Reason
from snaphold.engine.steps import Act, Answer, Gate
from snaphold.errors import InputError, NotAuthorisedError, ProviderError, TimedOutError
from snaphold.playbook.case import LoadedCase, load_case
from snaphold.playbook.inputs import bind_inputs
from snaphold.playbook.load import PARTS, load_parts, load_playbook
from snaphold.playbook.scripted import ScriptedSteps
from snaphold.resources import folder
from snaphold.targets.shuffle import RUN, compile_shuffle
from snaphold.targets.shuffle_parts import workflow_id
from support.shuffle_walker import Walker, Watch

CASES = sorted((folder("playbooks") / "cases").glob("*/*.yaml"))
STATUS = {"done": "succeeded", "partial": "partial", "failed": "failed", "unknown": "unknown"}
COMPILED: dict[str, dict[str, Any]] = {}


@dataclass
class Ours(ScriptedSteps):
    """Our own runner's surroundings; keeps what people answered at each gate."""

    people: dict[str, str] = field(default_factory=dict[str, str])

    def ask(self, gate: Gate) -> Answer:
        answer = super().ask(gate)
        id = gate.path.rpartition(".")[2]
        decision = self.loaded.case.approvals.get(gate.path) or self.loaded.case.approvals[id]
        late = gate.escalate is not None and (decision.after or timedelta(0)) >= gate.within
        said = answer.outcome if answer.outcome in ("approved", "denied") else "silent"
        self.people |= {id: "silent" if late else said, f"{id}-escalation": said}
        return answer


class CaseService:
    """The service behind the walker: answers from the case, for the step that the walker is at."""

    def __init__(self, steps: ScriptedSteps) -> None:
        self.steps = steps
        self.place: tuple[str, tuple[str, ...], str] = ("", (), "")

    def call(self, action: str, given: Mapping[str, Any], **_options: Any) -> dict[str, Any]:
        """Answer an action, or raise what the service would."""
        path, items, timeout = self.place
        answer = self.steps.act(Act(path, action, given, items, parse_duration(timeout) if timeout else None))
        if answer.output:
            return dict(answer.output)
        if answer.reason is Reason.NOT_AUTHORISED:
            raise NotAuthorisedError(answer.detail)
        if answer.reason is Reason.TIMED_OUT:
            raise TimedOutError(answer.detail)
        if answer.outcome == "unknown":
            return {"outcome": "unknown", "findings": [answer.detail]}
        raise (ProviderError if answer.repeatable else InputError)(answer.detail)


class QuickWatch(Watch):
    """Cases wait for days: a pause counts four times."""

    def sleep(self, seconds: float) -> None:
        super().sleep(4 * seconds)


class CaseWalker(Walker):
    """Tells the service at which step it is."""

    def _act(self, node: Mapping[str, Any], results: Mapping[str, str], argument: str) -> dict[str, Any] | None:
        told = {one["name"]: one["value"] for one in node["parameters"]}
        if "snaphold_run" in told:
            run = json.loads(self.store.values[f"snaphold.{json.loads(results['inputs'])['run']}.run"])
            step = told["snaphold_step"].partition("@")[0].removesuffix("-poll")
            path = run["path"].removeprefix(f"{self.service.steps.root}.")
            self.service.place = (path + step, tuple(run["items"]), told.get("snaphold_timeout", ""))
        return super()._act(node, results, argument)


def find(name: str) -> Path:
    """Return the playbook of a case."""
    base = folder("playbooks")
    return next(path for path in (base / f"{name}.yaml", base / PARTS / f"{name}.yaml") if path.exists())


def done(steps: ScriptedSteps) -> list[tuple[str, str]]:
    """Return the calls without the questions about jobs, as sorted text; what is empty was not given."""
    seen: list[tuple[str, str]] = []
    for call in steps.calls:
        if not call.poll:
            given = catalogue()[call.action].request.model_validate({k: v for k, v in call.given.items() if v not in ("", ())})
            seen.append((call.path, json.dumps(given.model_dump(mode="json"), sort_keys=True)))
    return sorted(seen)


@pytest.mark.slow
@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_shipped_case_does_the_same_on_shuffle(path: Path) -> None:
    loaded: LoadedCase = load_case(path)
    case = loaded.case
    root = load_playbook(find(case.metadata.playbook))
    parts = load_parts(root)
    playbooks = {one.playbook.name: one.playbook for one in [root, *parts.values()]}
    ours, theirs = (Ours(loaded, playbooks, root.playbook.name, catalogue()) for _ in range(2))
    inputs = bind_inputs(root.playbook, case.inputs, case.incident.id)
    result = Interpreter(playbooks, case.incident.id, ours).run(root.playbook.name, inputs)
    for one in [root, *parts.values()]:
        if one.digest not in COMPILED:
            made = [json.loads(content) for content in compile_shuffle(one, parts).files.values()]
            COMPILED[one.digest] = {document["id"]: document for document in made}
    workflows = {id: document for one in [root, *parts.values()] for id, document in COMPILED[one.digest].items()}
    walker = CaseWalker(workflows, CaseService(theirs), ours.people, watch=QuickWatch())
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in case.inputs.items()}
    argument = {"run": "RUN-1", "incident": case.incident.id, "inputs": given}
    walker.run(workflow_id(root.playbook.metadata.id, RUN), argument)
    assert walker.ended("RUN-1").get("outcome") == STATUS[judge(result).value]
    assert done(theirs) == done(ours)


def test_there_are_cases() -> None:
    assert len(CASES) > 20
