"""Source steps as CACAO steps. What must not run after a stop stands inside the branch that is only taken without one.

CACAO cannot abort: an `end` ends its branch only, and the branching step's `on_completion` follows. So each chain is
built from its end backwards: the rest of a list stands in the `on_true` of the check that the step succeeded, and after
every block that can stop (if, switch, parallel, for_each, a failure that is survived) a guard on the state variable wraps
the rest. The state is set through the gateway (`core.halt`), or by hand when that fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.reference import INPUTS, ITEM, RESULT, Reference, parse_reference
from snaphold.playbook.step import (
    CONTINUE,
    STOP,
    ApproveStep,
    CallStep,
    DoStep,
    IfStep,
    ParallelStep,
    StepBase,
    StopStep,
    SwitchStep,
)
from snaphold.playbook.valuetype import ValueType
from snaphold.playbook.walk import lists_in
from snaphold.targets.cacao_calls import call_playbook
from snaphold.targets.cacao_values import (
    CACAO_TYPES,
    FAILED,
    FAILED_FOR_GOOD,
    NONE,
    RUNNING,
    STOPPED,
    all_equal,
    any_equals,
    equals,
    fields_in,
    has_ended_well,
    has_succeeded,
    input_variable,
    json_variable,
    orders,
    pattern,
    still_asking,
)
from snaphold.targets.cacao_workflow import EXTENSION, LONGEST_JOB_SECONDS, Workflow, milliseconds, no_reference
from snaphold.targets.gate_steps import asking, granting

STEP = "step"


@dataclass(frozen=True)
class Region:
    """Where steps stand: the state variable that guards them, what a failure sets it to, and the handler's copy.

    `copy` tells the copies of a handler apart, one for each place that it is run from.
    """

    state: str
    failed: str = FAILED
    copy: str = ""


@dataclass(frozen=True)
class Emitter:
    """Adds the steps of one playbook to a workflow."""

    workflow: Workflow
    parts: Mapping[str, LoadedPlaybook]
    lists_as_json: frozenset[str]
    """Variables of lists of outputs that a `for_each` goes over."""

    def name_of(self, reference: Reference, region: Region, step: StepBase | None = None) -> str:
        """Return the variable of a reference."""
        if reference.scope == INPUTS:
            return input_variable(reference.field)
        if reference.scope == ITEM and step:
            return self.own(step, "ITEM", region)
        if reference.scope == RESULT and step:
            return self.own(step, f"RESULT-{reference.field}", region)
        suffix = f"-{region.copy}" if region.copy else ""
        return f"__{reference.scope}-{reference.field}{suffix}__"

    def own(self, step: StepBase, role: str, region: Region) -> str:
        """Return a variable that belongs to one step."""
        return f"__{step.id}-{role}-{region.copy}__" if region.copy else f"__{step.id}-{role}__"

    def steps(self, steps: Sequence[StepBase], region: Region, after: str) -> str:
        """Add a list of steps and return where it begins; `after` follows when all of them went well."""
        for step in reversed(steps):
            after = self._step(step, region, after)
        return after

    def _step(self, step: StepBase, region: Region, after: str) -> str:
        if isinstance(step, (DoStep, CallStep)):
            return self._work(step, region, after)
        if isinstance(step, IfStep):
            return self._if(step, region, after)
        if isinstance(step, SwitchStep):
            return self._switch(step, region, after)
        if isinstance(step, ParallelStep):
            return self._parallel(step, region, after)
        if isinstance(step, ApproveStep):
            return self._approve(step, region, after)
        if isinstance(step, StopStep):
            path = self.path(step, region)
            id = self.workflow.halt(path, region.state, region.failed, step.stop, lambda found: self.name_of(found, region))
            return self._annotate(id, step)
        raise TypeError(f"{type(step).__name__} is no kind of step")

    def path(self, step: StepBase, region: Region) -> str:
        """Return the path that a step's ids are made from."""
        return f"{step.id}@{region.copy}" if region.copy else step.id

    def _annotate(self, id: str, step: StepBase) -> str:
        """Put the source step beside the first of its CACAO steps, so that the playbook can be read back."""
        document = step.model_dump(mode="json", by_alias=True, exclude_none=True)
        for inner in lists_in(step, ()):
            at: Any = document
            for key in inner.place[:-1]:
                at = at[key]
            at[inner.place[-1]] = [found.id for found in inner.steps]
        extension = self.workflow.steps[id].setdefault("step_extensions", {}).setdefault(EXTENSION, {})
        extension[STEP] = document
        self.workflow.steps[id]["name"] = step.title or step.id
        return id

    def guard(self, step: StepBase, region: Region, after: str) -> str:
        """Return `after`, wrapped so that it runs only while nothing has stopped."""
        if self.workflow.is_end(after):
            return after
        return self.workflow.branch(
            self.path(step, region), "guard", equals(region.state, RUNNING), on_true=after, name="Nothing has stopped?"
        )

    def end(self, step: StepBase, region: Region, role: str) -> str:
        """Add an end of its own for a branch of a step."""
        return self.workflow.end(self.path(step, region), role)

    # ---- failures ----

    def halted(self, region: Region, state: str) -> str:
        """Return the steps, shared by all who need them, that set the state of a region."""
        reason = f"{self.workflow.playbook} was stopped." if state == STOPPED else f"A step of {self.workflow.playbook} failed."
        return self.workflow.halt(region.state, region.state, state, reason, no_reference)

    def handler(self, name: str, step: StepBase, region: Region, role: str, after: str) -> str:
        """Add a copy of a handler for one place. When it fails, the last handler still runs, unless it was that one."""
        last = self.workflow.loaded.playbook.metadata.on_error
        copy = "-".join(part for part in (region.copy, step.id, role) if part)
        inside = replace(region, copy=copy, failed=FAILED_FOR_GOOD if name == last else region.failed)
        return self.steps(self.workflow.loaded.playbook.handlers[name], inside, after)

    def _work(self, step: DoStep | CallStep, region: Region, after: str) -> str:
        if step.on_error is None:
            return self._annotate(self._chain(step, region, after, self.halted(region, region.failed)), step)
        if step.on_error.then != CONTINUE:
            failing = self.handler(step.on_error.run, step, region, "", self.halted(region, STOPPED))
            return self._annotate(self._chain(step, region, after, failing), step)
        end = self.end(step, region, "survived")
        failing = self.handler(step.on_error.run, step, region, "", end)
        inner = self._chain(step, region, end, failing)
        id = self.workflow.branch(
            self.path(step, region), "block", equals(region.state, RUNNING),
            on_true=inner, on_completion=self.guard(step, region, after),
        )  # fmt: skip
        return self._annotate(id, step)

    def _chain(self, step: DoStep | CallStep, region: Region, after: str, failing: str) -> str:
        if isinstance(step, CallStep):
            return call_playbook(self, step, region, after, failing)
        return self._do(step, region, after, failing)

    # ---- do ----

    def _do(self, step: DoStep, region: Region, after: str, failing: str) -> str:
        workflow, path = self.workflow, self.path(step, region)
        if step.retry:
            workflow.lose("retry", step, "the step is tried once; repeats are left to the player", "retry")
        outcome = workflow.declare(self.own(step, "OUTCOME", region), "string", NONE)
        job = workflow.declare(self.own(step, "JOB", region), "string", "")
        job_state = workflow.declare(self.own(step, "JOB_STATE", region), "string", "")
        out = {outcome: "outcome", **self._outputs(step, step.do, region)}
        if step.poll:
            after = self._poll(step, region, after, failing)
        check = workflow.branch(
            path, "succeeded", has_succeeded(outcome), on_true=after, on_false=failing, name="Did it succeed?"
        )
        wait = workflow.job(
            path, job=job, state=job_state, outcome=outcome, out=out, after=check, failing=failing,
            within=milliseconds(step.timeout or timedelta(seconds=LONGEST_JOB_SECONDS)) or 0,
        )  # fmt: skip
        return workflow.call(
            step.do, step.id, path, "do", given=step.arguments, name_of=lambda found: self.name_of(found, region),
            out={**out, job: "id", job_state: "state"},
            name=step.title or step.id, timeout=milliseconds(step.timeout), on_success=wait, on_failure=failing,
        )  # fmt: skip

    def _outputs(self, step: DoStep, action: str, region: Region) -> dict[str, str]:
        """Declare the variables of the declared outputs that an action gives; return which field each takes."""
        fields = self.workflow.actions[action].result.model_fields
        found: dict[str, str] = {}
        for name, kind in step.out.items():
            if name in fields:
                variable = self.name_of(Reference(step.id, name), region)
                found[self.workflow.declare(variable, CACAO_TYPES[kind], "")] = name
                if kind is ValueType.LIST and variable in self.lists_as_json:
                    found[self.workflow.declare(json_variable(variable), "string", "[]")] = name
        return found

    def _poll(self, step: DoStep, region: Region, after: str, failing: str) -> str:
        workflow, path, poll = self.workflow, self.path(step, region), step.poll
        if poll is None:
            raise TypeError(f"{step.id} has no poll")
        answered = workflow.declare(self.own(step, "RESULT-OUTCOME", region), "string", NONE)
        out = {answered: "outcome", **self._outputs(step, poll.do, region)}

        def name_of(found: Reference) -> str:
            return self.name_of(found, region, step)

        for text in (poll.until, poll.fail):
            self._note_order(text, step)
            for field in fields_in(text, RESULT):
                out[workflow.declare(name_of(Reference(RESULT, field)), "string", "")] = field
        asked = self.end(step, region, "asked")
        done = workflow.branch(
            path, "done", has_ended_well(poll.until, poll.fail, answered, name_of), on_true=after, on_false=failing, name="Done?"
        )

        def ask(role: str, then: str, **fields: Any) -> str:
            return workflow.call(
                poll.do, step.id, path, role, given=poll.arguments, name_of=name_of, out=out,
                name=f"Ask: {step.title or step.id}", on_success=then, on_failure=then, **fields,
            )  # fmt: skip

        wait = workflow.add(
            "while-condition", path, "wait", name=f"Wait: {step.title or step.id}",
            on_true=ask("poll", asked, delay=milliseconds(poll.every)),
            condition=still_asking(poll.until, poll.fail, answered, name_of), timeout=milliseconds(poll.within),
            on_success=done, on_failure=failing,
        )  # fmt: skip
        return ask("first poll", wait)

    # ---- blocks ----

    def _note_order(self, text: str, step: StepBase) -> None:
        if orders(text):
            self.workflow.lose("condition", step, f"{text}: players may compare sizes as text; let the action return a boolean")

    def _if(self, step: IfStep, region: Region, after: str) -> str:
        self._note_order(step.condition, step)
        condition = pattern(step.condition, lambda found: self.name_of(found, region))
        then = self.steps(step.then, region, self.end(step, region, "then"))
        otherwise = self.steps(step.otherwise, region, self.end(step, region, "else")) if step.otherwise else ""
        id = self.workflow.branch(
            self.path(step, region), "if", condition, then, otherwise, on_completion=self.guard(step, region, after)
        )
        return self._annotate(id, step)

    def _switch(self, step: SwitchStep, region: Region, after: str) -> str:
        """Add a chain of if-conditions: players skip a switch-condition that they do not know, which would be a pass."""
        workflow, path = self.workflow, self.path(step, region)
        variable = self.name_of(parse_reference(step.switch), region)
        rest = self.halted(region, region.failed)
        if step.default is not None:
            rest = self.steps(step.default, region, self.end(step, region, "default"))
        cases = list(step.cases.items())
        for key, steps in reversed(cases):
            inner = self.steps(steps, region, self.end(step, region, f"case {key}"))
            first = self.guard(step, region, after) if key == cases[0][0] else ""
            rest = workflow.branch(
                path, f"is {key}", equals(variable, key), inner, rest, on_completion=first, name=f"Is it {key}?"
            )
        return self._annotate(rest, step)

    def _parallel(self, step: ParallelStep, region: Region, after: str) -> str:
        workflow, path = self.workflow, self.path(step, region)
        # Each branch has a state of its own: what stops one must not stop a handler that runs in another.
        states = [workflow.declare(self.own(step, f"BRANCH-{n}", region), "string", RUNNING) for n in range(len(step.parallel))]
        entries = [
            self.steps(steps, replace(region, state=state, failed=FAILED), self.end(step, region, f"branch {index}"))
            for index, (steps, state) in enumerate(zip(step.parallel, states, strict=True))
        ]
        stopped, failed = self.halted(region, STOPPED), self.halted(region, region.failed)
        ended = workflow.branch(
            path, "stopped", any_equals(states, STOPPED), on_true=stopped, on_false=failed, name="Was one stopped?"
        )
        joined = workflow.branch(
            path, "joined", all_equal(states, RUNNING), on_true=after, on_false=ended, name="Did all branches end well?"
        )
        return self._annotate(workflow.add("parallel", path, "parallel", next_steps=entries, on_completion=joined), step)

    # ---- approve ----

    def _approve(self, step: ApproveStep, region: Region, after: str) -> str:
        workflow, path = self.workflow, self.path(step, region)
        decision = self.name_of(Reference(step.id, "decision"), region)
        failed = self.halted(region, region.failed)
        ways = [
            ("decided", "approved", self._do(granting(step), region, after, failed) if step.approve.grants else after),
            ("refused", "denied", self._undecided(step, region, step.on_denied, "denied", after)),
            ("unanswered", "expired", self._undecided(step, region, step.on_timeout, "timeout", after)),
        ]
        check = failed
        for role, word, then in reversed(ways):
            check = workflow.branch(path, role, equals(decision, word), on_true=then, on_false=check, name=f"Is it {word}?")
        return self._annotate(self._do(asking(step), region, check, failed), step)

    def _undecided(self, step: ApproveStep, region: Region, decision: str, role: str, after: str) -> str:
        if decision == CONTINUE:
            return after
        halted = self.halted(region, STOPPED)
        return halted if decision == STOP else self.handler(decision, step, region, role, halted)
