"""Answers of a world that never was, the same for every way to run a playbook: the n-th call gets the n-th answer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

from snaphold.action import find_action
from snaphold.clock import format_time
from snaphold.engine.interpreter import Interpreter
from snaphold.engine.run import Reason
from snaphold.engine.steps import Act, Answer, Branch, BranchResult, Gate, RunBranch, Tick
from snaphold.playbook.condition import parse_condition
from snaphold.playbook.inputs import bind_inputs
from snaphold.playbook.model import Playbook
from snaphold.playbook.step import CallStep, DoStep, IfStep, SwitchStep
from snaphold.playbook.valuetype import write_value
from snaphold.playbook.walk import every_step

LISTS = [["orders-db,files-01", "mail-01"], ["orders-db"], ["a-1", "b-1", "c-1"], [], ["two", "two"]]
"""What a `for_each` may meet; items may hold commas."""
BEGIN = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)


def interesting_values(playbooks: Sequence[Playbook]) -> dict[str, list[Any]]:
    """Return, for each field that any condition looks at, the values that matter."""
    found: dict[str, list[Any]] = {}
    for playbook in playbooks:
        for step in every_step(playbook):
            texts = [step.condition] if isinstance(step, IfStep) else []
            if isinstance(step, DoStep) and step.poll:
                texts += [step.poll.until, step.poll.fail]
            for text in texts:
                for one in parse_condition(text).comparisons:
                    literal = one.literal
                    others = (
                        [not literal]
                        if isinstance(literal, bool)
                        else ["other", literal]
                        if isinstance(literal, str)
                        else [literal - 1, literal + 1]
                    )
                    found.setdefault(one.reference.field, []).extend([literal, *others])
            if isinstance(step, CallStep) and step.for_each and not step.for_each.startswith("$inputs."):
                found.setdefault(step.for_each.partition(".")[2], []).extend(LISTS)
            if isinstance(step, SwitchStep):
                found.setdefault(step.switch.partition(".")[2], []).extend([*step.cases, "other"])
    return found


@cache
def _example(action: str) -> dict[str, Any]:
    return find_action(action).example_result().model_dump(mode="json")


@dataclass
class Script:
    """Gives answers by number. With the same seed, two ways to run a playbook meet the same world."""

    seed: int
    values: Mapping[str, Sequence[Any]]
    failing: float = 0.1
    calls: int = 0
    questions: int = 0
    asked: list[str] = field(default_factory=list)

    def answer(self, action: str) -> dict[str, Any] | None:
        """Return the next answer; None when the call itself fails."""
        self.calls += 1
        chance = random.Random(f"{self.seed}/call/{self.calls}")  # noqa: S311
        if chance.random() < self.failing / 2:
            return None
        output = dict(_example(action))
        for name, usual in _example(action).items():
            fitting = [value for value in self.values.get(name, ()) if type(value) is type(usual)]
            if fitting and chance.random() < 0.7:
                output[name] = chance.choice(fitting)
        output["outcome"] = "succeeded"
        if chance.random() < self.failing:
            output["outcome"] = chance.choice(["failed", "unknown", "partial"])
        return output

    def decision(self, who: str) -> str | None:
        """Return the next answer of people: approved, denied, or None when nobody answers in time."""
        self.questions += 1
        self.asked.append(who)
        chance = random.Random(f"{self.seed}/question/{self.questions}")  # noqa: S311
        return chance.choice(["approved", "approved", "denied", None])


@dataclass
class ScriptedSteps:
    """The surroundings of the interpreter in that world. Time passes only in pauses."""

    script: Script
    trace: list[tuple[str, Any]] = field(default_factory=list)
    now: datetime = BEGIN

    def act(self, act: Act) -> Answer:
        """Note the call and give the next answer; a failed one is final."""
        output = self.script.answer(act.action)
        self.trace.append((act.action, {name: write_value(value) for name, value in act.given.items()}))
        at = format_time(self.now)
        if output is None:
            return Answer("failed", at, at, {}, detail="failed", reason=Reason.FAILED, repeatable=self._asks(act))
        bad = {"failed": Reason.FAILED, "unknown": Reason.UNKNOWN}.get(output["outcome"], Reason.NONE)
        return Answer(
            output["outcome"], at, at, output, detail="bad" if bad.value else "", reason=bad, repeatable=self._asks(act)
        )

    def _asks(self, act: Act) -> bool:
        """Only a poll is repeated here; a `retry` is not, because other players have none."""
        return act.action.endswith(".status")

    def ask(self, gate: Gate) -> Answer:
        """Ask the first people, then those it escalates to."""
        at = format_time(self.now)
        for who in [gate.asked_of, *([gate.escalate.to] if gate.escalate else [])]:
            said = self.script.decision(who.partition("/")[2])
            if said is not None:
                return Answer(said, at, at)
        return Answer("expired", at, at)

    def pause(self, length: timedelta) -> Tick:
        """Let the time pass."""
        self.now += length
        return Tick(format_time(self.now))

    def side_by_side(self, branches: Sequence[Branch], at_once: int, run: RunBranch) -> list[BranchResult]:
        """Run all lists of a `parallel`; of a `for_each` no further item after one that failed."""
        results: list[BranchResult] = []
        for branch in branches:
            results.append(run(branch))
            if branch.list_index is None and results[-1].reason is not Reason.NONE:
                break
        return results


def interpret(
    playbook: Playbook, parts: Mapping[str, Playbook], inputs: Mapping[str, Any], script: Script, incident: str
) -> tuple[list[tuple[str, Any]], str]:
    """Run a playbook in the local interpreter; return its calls and how it ended: running (to the end), failed, stopped."""
    steps = ScriptedSteps(script)
    everything = {playbook.name: playbook, **parts}
    result = Interpreter(everything, incident, steps).run(playbook.name, bind_inputs(playbook, inputs, incident))
    ending = "running" if result.reason is Reason.NONE else "stopped" if result.handled else "failed"
    return steps.trace, ending
