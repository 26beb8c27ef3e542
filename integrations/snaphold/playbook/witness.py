"""An interpreter that notes which branches and which handlers of the playbooks were taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snaphold.engine.frame import Frame, StepFailed
from snaphold.engine.interpreter import Interpreter
from snaphold.errors import SnapholdError
from snaphold.playbook.condition import holds
from snaphold.playbook.coverage import (
    DEFAULT,
    ELSE,
    FAILS,
    GATE_ANSWERS,
    JOB_DONE,
    JOB_FAILED,
    JOB_LATE,
    NO_CASE,
    RUNS,
    THEN,
    Branch,
    case_way,
    handler_name,
)
from snaphold.playbook.model import Playbook
from snaphold.playbook.reference import with_result
from snaphold.playbook.scripted import ScriptedSteps
from snaphold.playbook.step import ApproveStep, CallStep, DoStep, IfStep, OnError, Poll, StepBase, SwitchStep
from snaphold.playbook.walk import every_step

_ENDED_WELL = ("succeeded", "partial")


class Witness(Interpreter):
    """Runs a trial. `taken` are the branches, `handled` the names of the handlers in the order in which they ran."""

    def __init__(self, playbooks: Mapping[str, Playbook], incident: str, script: ScriptedSteps) -> None:
        super().__init__(playbooks, incident, script)
        self.script = script
        self.taken: set[Branch] = set()
        self.handled: list[str] = []
        # A list of steps is one object of the model, so its identity tells a handler's list from all others.
        self._handlers = {
            id(steps): (playbook.name, name) for playbook in playbooks.values() for name, steps in playbook.handlers.items()
        }

    def _take(self, frame: Frame, step: str, way: str) -> None:
        self.taken.add(Branch(frame.playbook.name, step, way))

    def _list(self, steps: Sequence[StepBase], frame: Frame) -> None:
        handler = self._handlers.get(id(steps))
        if handler is not None:
            self.handled.append(handler[1])
            self._take(frame, handler_name(handler[1]), RUNS)
        super()._list(steps, frame)

    def _step(self, step: StepBase, frame: Frame) -> None:
        before = len(frame.lines)
        try:
            super()._step(step, frame)
        finally:
            # The step's own line comes first; those of its handler follow.
            outcome = frame.lines[before].outcome if len(frame.lines) > before else ""
            if isinstance(step, ApproveStep) and outcome in GATE_ANSWERS:
                self._take(frame, step.id, GATE_ANSWERS[outcome])
            if isinstance(step, DoStep) and step.poll is not None:
                way = self._end_of_job(step.poll, step, frame, outcome)
                if way:
                    self._take(frame, step.id, way)

    def _end_of_job(self, poll: Poll, step: DoStep, frame: Frame, outcome: str) -> str:
        """Return how the job of a step ended; empty when it never started, or when nobody could tell."""
        last = self.script.last.get((frame.path(step.id), frame.items))
        if last is None or not last.poll:
            return ""
        if outcome in _ENDED_WELL:
            return JOB_DONE
        try:
            values = with_result({}, last.answer.output)
            failed, done = holds(poll.fail, values), holds(poll.until, values)
        except SnapholdError:
            return JOB_LATE if last.answer.repeatable else ""
        if failed:
            return JOB_FAILED
        return "" if done else JOB_LATE

    def _holds(self, step: IfStep, frame: Frame) -> bool:
        held = super()._holds(step, frame)
        self._take(frame, step.id, THEN if held else ELSE)
        return held

    def _case(self, step: SwitchStep, frame: Frame) -> Sequence[StepBase]:
        try:
            chosen = super()._case(step, frame)
        except StepFailed:
            self._take(frame, step.id, NO_CASE)
            raise
        way = next((case_way(key) for key, steps in step.cases.items() if steps is chosen), DEFAULT)
        self._take(frame, step.id, way)
        return chosen

    def _handle(self, failure: StepFailed, on_error: OnError, frame: Frame) -> None:
        for step in every_step(frame.playbook):
            if isinstance(step, (DoStep, CallStep)) and step.on_error is on_error:
                self._take(frame, step.id, FAILS)
        super()._handle(failure, on_error, frame)
