"""Surroundings of the interpreter in plain memory: no ledger, no history, answers from a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from snaphold.clock import format_time
from snaphold.engine.interpreter import Interpreter
from snaphold.engine.plan import Plan
from snaphold.engine.run import Reason
from snaphold.engine.steps import Act, Answer, Branch, BranchResult, Gate, RunBranch, Tick
from support.ledgers import NOW

REASONS = {"failed": Reason.FAILED, "unknown": Reason.UNKNOWN, "cancelled": Reason.CANCELLED}


@dataclass
class PlainSteps:
    """Answers by step path: an outcome, a mapping of output fields, a ready answer, or a function of the act."""

    answers: Mapping[str, Any] = field(default_factory=lambda: {})
    acts: list[Act] = field(default_factory=list[Act])
    gates: list[Gate] = field(default_factory=list[Gate])
    pauses: list[timedelta] = field(default_factory=list[timedelta])
    cancel_at_pause: int = 0
    elapsed: timedelta = timedelta(0)

    def now(self) -> str:
        """Return the time, which only pauses move."""
        return format_time(NOW + self.elapsed)

    def act(self, act: Act) -> Answer:
        """Answer from the table; success with the input as output when it has nothing."""
        self.acts.append(act)
        told = self.answers.get(f"{act.path}:{act.action}", self.answers.get(act.path, {}))
        found = told(act) if isinstance(told, Callable) else told
        return self.answer(found, act.given)

    def answer(self, found: Any, given: Mapping[str, Any]) -> Answer:
        """Return what the table says as an answer."""
        now = self.now()
        if isinstance(found, Answer):
            return found
        if isinstance(found, str):
            bad = found not in ("succeeded", "partial")
            output = {} if bad else {**given, "outcome": found}
            return Answer(found, now, now, output, (), found if bad else "", REASONS.get(found, Reason.NONE), found == "failed")
        return Answer("succeeded", now, now, {**given, **found})

    def ask(self, gate: Gate) -> Answer:
        """Answer a gate from the table; approved when it has nothing."""
        self.gates.append(gate)
        outcome = self.answers.get(gate.path, "approved")
        reason = Reason.FAILED if outcome == "failed" else Reason.NONE
        return Answer(outcome, self.now(), self.now(), detail=f"{outcome} by somebody", reason=reason)

    def pause(self, length: timedelta) -> Tick:
        """Move the time."""
        self.pauses.append(length)
        self.elapsed += length
        return Tick(self.now(), len(self.pauses) == self.cancel_at_pause)

    def side_by_side(self, branches: Sequence[Branch], at_once: int, run: RunBranch) -> list[BranchResult]:
        """Run one after the other; those that would have started already run after a failure too."""
        results: list[BranchResult] = []
        started = min(at_once, len(branches))
        while len(results) < started:
            results.append(run(branches[len(results)]))
            if all(result.reason is Reason.NONE for result in results):
                started = min(started + 1, len(branches))
        return results


def walk(plan: Plan, steps: PlainSteps) -> BranchResult:
    """Run a plan over plain surroundings."""
    return Interpreter(plan.playbooks, plan.incident.id, steps).run(plan.playbook, plan.inputs)


def went(result: BranchResult) -> list[tuple[str, str]]:
    """Return path and outcome of every line."""
    return [(line.step, line.outcome) for line in result.lines]
