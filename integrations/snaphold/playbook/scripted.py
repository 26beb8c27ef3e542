"""The surroundings of a trial: actions answer from a case, people decide as it says, and waiting takes no time.

Nothing is reached from here: no ledger, no engine, no clock but the trial's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from snaphold.action import AnyAction, Effect, Request
from snaphold.clock import format_duration, format_time
from snaphold.domain.outcome import Outcome
from snaphold.engine.run import Reason
from snaphold.engine.steps import Act, Answer, Branch, BranchResult, Gate, RunBranch, Tick
from snaphold.errors import InputError, Problem
from snaphold.execute import validate
from snaphold.playbook.case import CaseError, LoadedCase, Scripted, ScriptedDecision
from snaphold.playbook.model import Playbook
from snaphold.playbook.step import DoStep
from snaphold.playbook.steppath import names_of, step_at

POLL = "/poll"
"""Stands behind a step's id or path where a case answers the questions about its job."""
_REASONS = {
    None: Reason.FAILED,
    "failed": Reason.FAILED,
    "unknown": Reason.UNKNOWN,
    "timed_out": Reason.TIMED_OUT,
    "not_authorised": Reason.NOT_AUTHORISED,
}
_NOTHING_SAID = Scripted()


@dataclass(frozen=True)
class Call:
    """One call of an action in a trial. `items`: those of `for_each`, outermost first. `poll`: it asked about a job."""

    path: str
    action: str
    given: Mapping[str, Any]
    answer: Answer
    items: tuple[str, ...] = ()
    attempt: int = 1
    poll: bool = False

    @property
    def item(self) -> str:
        """The item of the innermost `for_each`; empty outside."""
        return self.items[-1] if self.items else ""


@dataclass
class ScriptedSteps:
    """Answers the interpreter from a case. `calls` are kept in order; `last` holds the last call of each path and its items."""

    loaded: LoadedCase
    playbooks: Mapping[str, Playbook]
    root: str
    actions: Mapping[str, AnyAction]
    calls: list[Call] = field(default_factory=list[Call])
    last: dict[tuple[str, tuple[str, ...]], Call] = field(default_factory=dict[tuple[str, tuple[str, ...]], Call])
    turns: dict[str, int] = field(default_factory=dict[str, int])
    outputs: dict[tuple[str, int, str], dict[str, Any]] = field(default_factory=dict[tuple[str, int, str], dict[str, Any]])
    waited: timedelta = timedelta(0)

    def act(self, act: Act) -> Answer:
        """Return what the case says of this call. Input that the action would refuse fails, as in a run."""
        step = step_at(act.path, self.root, self.playbooks)
        poll = isinstance(step, DoStep) and step.poll is not None and act.action == step.poll.do and act.action != step.do
        began = self._now()
        answer = self._answer(act, poll, began)
        call = Call(act.path, act.action, dict(act.given), answer, act.items, act.attempt, poll)
        self.calls.append(call)
        self.last[act.path, act.items] = call
        return answer

    def ask(self, gate: Gate) -> Answer:
        """Return what the case says that people decide. Raises CaseError when it says nothing of this gate."""
        key, decision = self._decision(gate)
        began = self._now()
        longest = gate.within + (gate.escalate.within if gate.escalate else timedelta(0))
        after = decision.after or timedelta(0)
        asked = gate.escalate.to if gate.escalate and after >= gate.within else gate.asked_of
        by = decision.by or tuple(f"{asked}-{number}" for number in range(1, gate.needed + 1))
        counted = [name for name in dict.fromkeys(by) if name != self.loaded.case.requested_by]
        enough = len(counted) >= gate.needed
        if decision.answer == "timeout" or after >= longest or (decision.answer == "approved" and not enough):
            self.waited += longest
            votes = len(counted) if decision.answer == "approved" else 0
            told = f"nobody decided within {format_duration(longest)} ({votes} of {gate.needed} approved)"
            return self._told("expired", began, told)
        if not counted:
            place = self.loaded.document.locate(("approvals", key))
            raise CaseError("the case is wrong", [Problem("the person who starts the run cannot answer", location=place)])
        self.waited += after
        return self._told(decision.answer, began, f"{decision.answer} by {', '.join(counted)}")

    def pause(self, length: timedelta) -> Tick:
        """Put the trial's clock forward."""
        self.waited += length
        return Tick(self._now())

    def side_by_side(self, branches: Sequence[Branch], at_once: int, run: RunBranch) -> list[BranchResult]:
        """Run branches in order; after a failed one, those that would have started beside it still run, and no others."""
        results: list[BranchResult] = []
        for position, branch in enumerate(branches):
            if position >= at_once and any(result.reason is not Reason.NONE for result in results):
                break
            results.append(run(branch))
        return results

    def _answer(self, act: Act, poll: bool, began: str) -> Answer:
        entry = self.actions[act.action]
        try:
            request = validate(entry, act.given)
        except InputError as error:
            return Answer("failed", began, began, detail=str(error), reason=Reason.FAILED)
        key, scripted = self._scripted(act, poll)
        takes = scripted.takes or timedelta(0)
        if act.timeout is not None and takes > act.timeout:
            self.waited += act.timeout
            told = f"{act.action} did not answer within {format_duration(act.timeout)}"
            return self._failure(entry, Scripted(fails=told, outcome="timed_out"), began)
        self.waited += takes
        if scripted.fails:
            return self._failure(entry, scripted, began)
        return self._result(entry, request, key, scripted, began)

    def _failure(self, entry: AnyAction, scripted: Scripted, began: str) -> Answer:
        reason = _REASONS.get(scripted.outcome, Reason.FAILED)
        outcome = "unknown" if reason in (Reason.UNKNOWN, Reason.TIMED_OUT) else "failed"
        may = reason is not Reason.NOT_AUTHORISED and (entry.effect is Effect.READS or outcome == "failed")
        repeatable = may if scripted.repeatable is None else scripted.repeatable
        return Answer(outcome, began, self._now(), detail=scripted.fails, reason=reason, repeatable=repeatable)

    def _result(self, entry: AnyAction, request: Request, key: str, scripted: Scripted, began: str) -> Answer:
        given = request.model_dump(mode="json", include=set(entry.result.model_fields))
        repeated = {name: value for name, value in given.items() if value not in ("", [])}
        # A job may be asked about thousands of times: the same answer to the same question is made once.
        known = (entry.name, id(scripted), repr(repeated))
        try:
            output = self.outputs.get(known) or scripted_result(entry, scripted, repeated)
        except ValidationError as error:
            place = self.loaded.document.locate(("results", key))
            raise CaseError(
                "the case is wrong", [Problem(problem["msg"], location=place) for problem in error.errors()]
            ) from error
        self.outputs[known] = output
        outcome = Outcome(output["outcome"])
        reason = {Outcome.FAILED: Reason.FAILED, Outcome.UNKNOWN: Reason.UNKNOWN}.get(outcome, Reason.NONE)
        findings = tuple(str(finding) for finding in output["findings"])
        detail = "" if reason is Reason.NONE else "; ".join(findings) or f"{entry.name} says {outcome.value}"
        repeatable = entry.effect is Effect.READS or outcome is Outcome.FAILED
        return Answer(outcome.value, began, self._now(), output, findings, detail, reason, repeatable)

    def _scripted(self, act: Act, poll: bool) -> tuple[str, Scripted]:
        """Return the case's key and answer for this call: by step and item, by path, by the step's id, then by action."""
        behind = POLL if poll else ""
        steps = names_of(act.path, act.items[-1] if act.items else "")
        for key in (*(f"{name}{behind}" for name in steps), act.action):
            answers = self.loaded.case.results.get(key)
            if answers:
                turn = self.turns.get(key, 0)
                self.turns[key] = turn + 1
                return key, answers[min(turn, len(answers) - 1)]
        return "", _NOTHING_SAID

    def _decision(self, gate: Gate) -> tuple[str, ScriptedDecision]:
        for key in (gate.path, gate.path.rpartition(".")[2]):
            found = self.loaded.case.approvals.get(key)
            if found is not None:
                return key, found
        place = self.loaded.document.locate(("approvals",))
        message = f"the case does not say what people answer at {gate.path}"
        raise CaseError("the case is wrong", [Problem(message, location=place, hint="add it under approvals")])

    def _told(self, outcome: str, began: str, detail: str) -> Answer:
        return Answer(outcome, began, self._now(), detail=detail)

    def _now(self) -> str:
        return format_time(self.loaded.case.incident.declared_at + self.waited)


def scripted_result(entry: AnyAction, scripted: Scripted, repeated: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action's whole result as JSON: the case's fields over repeated inputs over examples.

    Raises pydantic's ValidationError when the action could not give such a result.
    """
    example = entry.example_result().model_dump(mode="json")
    outcome = {"outcome": scripted.outcome} if scripted.outcome else {}
    return entry.result.model_validate({**example, **repeated, **scripted.fields, **outcome}).model_dump(mode="json")
