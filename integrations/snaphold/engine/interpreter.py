"""Walks a playbook. Pure: all that differs between two executions comes through `Steps`.

Fail closed: a failure that no step handles runs `metadata.on_error` and ends the run; after a handler the run ends all
the same unless the step says `then: continue`; a missing value, an empty list and a denied or expired question are
never a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from snaphold.engine import action_step
from snaphold.engine.frame import APPROVED, Frame, RunStopped, StepFailed
from snaphold.engine.run import Reason, StepLine
from snaphold.engine.steps import Branch, BranchResult, Gate, Listener, StepEvent, Steps, nobody
from snaphold.errors import SnapholdError
from snaphold.playbook.condition import choose_case, holds
from snaphold.playbook.inputs import bind_inputs
from snaphold.playbook.model import Playbook
from snaphold.playbook.reference import look_up, parse_reference, resolve, resolve_all, with_item
from snaphold.playbook.step import (
    CONTINUE,
    STOP,
    ApproveStep,
    CallStep,
    DoStep,
    IfStep,
    OnError,
    ParallelStep,
    StepBase,
    StopStep,
    SwitchStep,
)
from snaphold.playbook.valuetype import Plain, write_value
from snaphold.playbook.walk import every_step

UNDECIDED = {"denied": Reason.DENIED, "expired": Reason.TIMED_OUT, "cancelled": Reason.CANCELLED}


class Interpreter:
    """Runs a set of playbooks over its surroundings."""

    def __init__(self, playbooks: Mapping[str, Playbook], incident: str, steps: Steps, listener: Listener = nobody) -> None:
        self.playbooks = playbooks
        self.incident = incident
        self.steps = steps
        self.listener = listener

    def run(self, playbook: str, inputs: Mapping[str, Plain]) -> BranchResult:
        """Run a playbook from its start and return how it went. Never raises for a failure of a step."""
        frame = Frame(self.playbooks[playbook], {"inputs": dict(inputs)})
        return self._ended(frame, lambda: self._whole(frame))

    def run_branch(self, branch: Branch) -> BranchResult:
        """Run one branch, from nothing but what the branch says, and return how it went."""
        playbook = self.playbooks[branch.playbook]
        frame = Frame(playbook, dict(branch.scope), branch.prefix, branch.items, set(branch.imagined))
        if branch.list_index is None:
            return replace(self._ended(frame, lambda: self._whole(frame)), values={}, imagined=())
        step = next(step for step in every_step(playbook) if step.id == branch.step)
        if not isinstance(step, ParallelStep):
            raise TypeError(f"{branch.step} has no parallel branches")
        steps = step.parallel[branch.list_index]
        return self._ended(frame, lambda: self._list(steps, frame), before=branch.scope)

    def _ended(self, frame: Frame, walk: Callable[[], None], before: Mapping[str, object] | None = None) -> BranchResult:
        reason, why, handled = Reason.NONE, "", False
        try:
            walk()
        except StepFailed as failure:
            reason, why = failure.reason, failure.why
        except RunStopped as stop:
            reason, why, handled = stop.reason, stop.why, True
        done = frame.result(before)
        return replace(done, reason=reason, why=why, handled=handled)

    def _whole(self, frame: Frame) -> None:
        """Run all steps of a playbook; an unhandled failure runs its `metadata.on_error` first, then goes on upwards."""
        try:
            self._list(frame.playbook.steps, frame)
        except StepFailed as failure:
            last = frame.playbook.metadata.on_error
            if last is None or last in failure.tried:
                raise
            try:
                self._list(frame.playbook.handlers[last], frame)
            except StepFailed as second:
                raise StepFailed(failure.reason, f"{failure.why}; the handler {last} failed too: {second.why}") from failure
            raise

    def _list(self, steps: Sequence[StepBase], frame: Frame) -> None:
        for step in steps:
            self._step(step, frame)

    def _step(self, step: StepBase, frame: Frame) -> None:
        if isinstance(step, (DoStep, CallStep)):
            try:
                if isinstance(step, DoStep):
                    action_step.run(step, frame, self.steps, self.listener)
                else:
                    self._call(step, frame)
            except StepFailed as failure:
                if step.on_error is None:
                    raise
                self._handle(failure, step.on_error, frame)
        elif isinstance(step, IfStep):
            self._list(step.then if self._holds(step, frame) else step.otherwise, frame)
        elif isinstance(step, SwitchStep):
            self._list(self._case(step, frame), frame)
        elif isinstance(step, ParallelStep):
            self._parallel(step, frame)
        elif isinstance(step, ApproveStep):
            self._approve(step, frame)
        elif isinstance(step, StopStep):
            raise self._failed(step, frame, "stop", self._text(step, step.stop, frame))
        else:
            raise TypeError(f"{type(step).__name__} is no kind of step")

    def _handle(self, failure: StepFailed, on_error: OnError, frame: Frame) -> None:
        """Run a step's handler. Returns only when the step says that the run goes on."""
        self._handler(on_error.run, failure.reason, failure.why, frame)
        if on_error.then != CONTINUE:
            raise RunStopped(failure.reason, failure.why)

    def _handler(self, name: str, reason: Reason, why: str, frame: Frame) -> None:
        try:
            self._list(frame.playbook.handlers[name], frame)
        except StepFailed as second:
            told = f"{why}; the handler {name} failed too: {second.why}"
            raise StepFailed(reason, told, second.tried | {name}) from second

    def _holds(self, step: IfStep, frame: Frame) -> bool:
        try:
            return holds(step.condition, frame.values)
        except SnapholdError as error:
            raise self._failed(step, frame, "if", _tell(error)) from error

    def _case(self, step: SwitchStep, frame: Frame) -> Sequence[StepBase]:
        try:
            value = look_up(parse_reference(step.switch), frame.values)
            key = choose_case(value, list(step.cases))
        except SnapholdError as error:
            raise self._failed(step, frame, "switch", _tell(error)) from error
        if key is not None:
            return step.cases[key]
        if step.default is None:
            raise self._failed(step, frame, "switch", f"no case is {write_value(value)!r} and there is no default")
        return step.default

    def _parallel(self, step: ParallelStep, frame: Frame) -> None:
        path = frame.path(step.id)
        branches = [
            Branch(
                f"{path}.{index}", frame.playbook.name, step.id, index, frame.values,
                tuple(sorted(frame.imagined)), frame.items, frame.prefix,
            )
            for index in range(len(step.parallel))
        ]  # fmt: skip
        results = self.steps.side_by_side(branches, len(branches), self.run_branch)
        for result in results:
            frame.values.update(result.values)
            frame.imagined.update(result.imagined)
        self._join(results, frame)

    def _call(self, step: CallStep, frame: Frame) -> None:
        if step.for_each is None:
            branch = self._turn(step, frame, frame.values, "", "")
            self._join([self.run_branch(branch)], frame)
            return
        try:
            items = look_up(parse_reference(step.for_each), frame.values)
        except SnapholdError as error:
            raise self._failed(step, frame, "call", _tell(error)) from error
        if not isinstance(items, list) or not items:
            raise self._failed(step, frame, "call", f"{step.for_each} is an empty list, so nothing would be done")
        if len(set(items)) != len(items):
            twice = sorted({item for item in items if items.count(item) > 1})
            raise self._failed(step, frame, "call", f"{step.for_each} holds {', '.join(twice)} more than once")
        branches = [self._turn(step, frame, with_item(frame.values, item), item, str(index)) for index, item in enumerate(items)]
        self._join(self.steps.side_by_side(branches, step.at_once or 1, self.run_branch), frame)

    def _turn(self, step: CallStep, frame: Frame, values: Mapping[str, Mapping[str, Plain]], item: str, index: str) -> Branch:
        playbook = self.playbooks[step.call]
        try:
            given = resolve_all(step.arguments, values)
            inputs = bind_inputs(playbook, given, self.incident)
        except SnapholdError as error:
            raise self._failed(step, frame, "call", _tell(error)) from error
        only_examples = set(frame.imagined)
        if step.for_each and frame.rests_on_examples(step.for_each):
            only_examples.add("item")
        probe = Frame(playbook, {}, imagined=only_examples)
        imagined = tuple(f"inputs.{name}" for name, value in step.arguments.items() if probe.rests_on_examples(value))
        path = frame.path(step.id)
        return Branch(
            f"{path}.{index}" if index else path, playbook.name, step.id, None, {"inputs": inputs},
            imagined, (*frame.items, item) if index else frame.items, f"{path}.",
        )  # fmt: skip

    def _join(self, results: Sequence[BranchResult], frame: Frame) -> None:
        """Take over what branches did. A cancelled or decided one ends the run, a failed one fails this step."""
        for result in results:
            frame.lines.extend(result.lines)
        early = [result for result in results if result.reason is not Reason.NONE]
        if not early:
            return
        why = "; ".join(dict.fromkeys(result.why for result in early))
        for result in sorted(early, key=lambda found: (found.reason is not Reason.CANCELLED, not found.handled)):
            if result.handled:
                raise RunStopped(result.reason, why)
        reasons = [result.reason for result in early]
        raise StepFailed(Reason.UNKNOWN if Reason.UNKNOWN in reasons else reasons[0], why)

    def _approve(self, step: ApproveStep, frame: Frame) -> None:
        question = step.approve
        path = frame.path(step.id)
        text = self._text(step, question.ask, frame)
        needed = self._quorum(step, frame)
        gate = Gate(path, text, question.asked_of, question.within, needed, question.escalate, question.grants)
        self.listener(StepEvent("started", path, step.title, frame.item))
        answer = self.steps.ask(gate)
        frame.lines.append(action_step.line_of(step, frame, "approve", answer, answer.began, answer.outcome, answer.detail))
        self.listener(StepEvent("ended", path, step.title, frame.item, frame.lines[-1], before=answer.before))
        if answer.outcome == APPROVED:
            return
        reason = UNDECIDED.get(answer.outcome)
        why = f"{path}: {answer.detail}"
        if reason is Reason.CANCELLED:
            raise RunStopped(reason, answer.detail)
        if reason is None:
            raise StepFailed(answer.reason, why)
        self._undecided(step.on_denied if reason is Reason.DENIED else step.on_timeout, reason, why, frame)

    def _undecided(self, decision: str, reason: Reason, why: str, frame: Frame) -> None:
        if decision == CONTINUE:
            return
        if decision != STOP:
            self._handler(decision, reason, why, frame)
        raise RunStopped(reason, why)

    def _quorum(self, step: ApproveStep, frame: Frame) -> int:
        quorum = step.approve.quorum
        if isinstance(quorum, int):
            return quorum
        try:
            found = look_up(parse_reference(quorum), frame.values)
        except SnapholdError as error:
            raise self._failed(step, frame, "approve", _tell(error)) from error
        if isinstance(found, bool) or not isinstance(found, int) or found < 1:
            raise self._failed(step, frame, "approve", f"the quorum {quorum} is {found!r}, not a number of people")
        return found

    def _text(self, step: StepBase, text: str, frame: Frame) -> str:
        try:
            return write_value(resolve(text, frame.values))
        except SnapholdError as error:
            raise self._failed(step, frame, "stop" if isinstance(step, StopStep) else "approve", _tell(error)) from error

    def _failed(self, step: StepBase, frame: Frame, what: str, why: str) -> StepFailed:
        """Record that a step failed before it did anything, and return the failure."""
        line = StepLine(step=frame.path(step.id), title=step.title, what=what, item=frame.item, outcome="failed", detail=why)
        frame.lines.append(line)
        self.listener(StepEvent("ended", line.step, step.title, frame.item, line))
        return StepFailed(Reason.FAILED, f"{line.step}: {why}")


def _tell(error: SnapholdError) -> str:
    return f"{error.what}: {error.why}" if error.why else error.what
