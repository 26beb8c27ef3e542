"""Source steps as CACAO steps. What must not run after a stop stands inside the branch that is only taken without one.

CACAO cannot abort: an `end` ends its branch only, and the branching step's `on_completion` follows. So each chain is
built from its end backwards: the rest of a list stands in the `on_true` of the check that the step succeeded, and after
every block that can stop (if, switch, parallel, for_each, a failure that is survived) a guard on the state variable wraps
the rest. The state is set through the gateway (`core.halt`), or by hand when that fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snaphold.playbook.inputs import INCIDENT_ID as INCIDENT_INPUT
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
from snaphold.targets.cacao_values import (
    CACAO_TYPES,
    FAILED,
    FAILED_FOR_GOOD,
    INCIDENT_ID,
    RUNNING,
    SHARED,
    STOPPED,
    UNKNOWN,
    all_equal,
    any_equals,
    equals,
    fields_in,
    has_ended_well,
    has_succeeded,
    input_variable,
    json_variable,
    orders,
    path_variable,
    pattern,
    state_variable,
    still_asking,
    text_with,
    value_of,
)
from snaphold.targets.cacao_workflow import EXTENSION, Workflow, milliseconds

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
            return self._own(step, "ITEM", region)
        if reference.scope == RESULT and step:
            return self._own(step, f"RESULT-{reference.field}", region)
        suffix = f"-{region.copy}" if region.copy else ""
        return f"__{reference.scope}-{reference.field}{suffix}__"

    def _own(self, step: StepBase, role: str, region: Region) -> str:
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
            path = self._path(step, region)
            id = self.workflow.halt(path, region.state, region.failed, step.stop, lambda found: self.name_of(found, region))
            return self._annotate(id, step)
        raise TypeError(f"{type(step).__name__} is no kind of step")

    def _path(self, step: StepBase, region: Region) -> str:
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
            self._path(step, region), "guard", equals(region.state, RUNNING), on_true=after, name="Nothing has stopped?"
        )

    def _end(self, step: StepBase, region: Region, role: str) -> str:
        return self.workflow.end(self._path(step, region), role)

    # ---- failures ----

    def halted(self, region: Region, state: str) -> str:
        """Return the steps, shared by all who need them, that set the state of a region."""
        reason = f"{self.workflow.playbook} was stopped." if state == STOPPED else f"A step of {self.workflow.playbook} failed."
        return self.workflow.halt(region.state, region.state, state, reason, _no_reference)

    def handler(self, name: str, step: StepBase, region: Region, role: str, after: str) -> str:
        """Add a copy of a handler for one place. When it fails, the last handler still runs, unless it was that one."""
        last = self.workflow.loaded.playbook.metadata.on_error
        copy = "-".join(part for part in (region.copy, step.id, role) if part)
        inside = replace(region, copy=copy, failed=FAILED_FOR_GOOD if name == last else region.failed)
        return self.steps(self.workflow.loaded.playbook.handlers[name], inside, after)

    def _work(self, step: DoStep | CallStep, region: Region, after: str) -> str:
        chain = self._do if isinstance(step, DoStep) else self._call
        if step.on_error is None:
            return self._annotate(chain(step, region, after, self.halted(region, region.failed)), step)  # type: ignore[arg-type]
        if step.on_error.then != CONTINUE:
            failing = self.handler(step.on_error.run, step, region, "", self.halted(region, STOPPED))
            return self._annotate(chain(step, region, after, failing), step)  # type: ignore[arg-type]
        end = self._end(step, region, "survived")
        failing = self.handler(step.on_error.run, step, region, "", end)
        inner = chain(step, region, end, failing)  # type: ignore[arg-type]
        id = self.workflow.branch(
            self._path(step, region), "block", equals(region.state, RUNNING),
            on_true=inner, on_completion=self.guard(step, region, after),
        )  # fmt: skip
        return self._annotate(id, step)

    # ---- do ----

    def _do(self, step: DoStep, region: Region, after: str, failing: str) -> str:
        workflow, path = self.workflow, self._path(step, region)
        if step.retry:
            workflow.lose("retry", step, "the step is tried once; repeats are left to the player")
        outcome = workflow.declare(self._own(step, "OUTCOME", region), "string", UNKNOWN)
        out = {outcome: "outcome", **self._outputs(step, step.do, region)}
        if step.poll:
            after = self._poll(step, region, after, failing)
        check = workflow.branch(
            path, "succeeded", has_succeeded(outcome), on_true=after, on_false=failing, name="Did it succeed?"
        )
        return workflow.call(
            step.do, step.id, path, "do", given=step.arguments, name_of=lambda found: self.name_of(found, region), out=out,
            name=step.title or step.id, timeout=milliseconds(step.timeout), on_success=check, on_failure=failing,
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
        workflow, path, poll = self.workflow, self._path(step, region), step.poll
        if poll is None:
            raise TypeError(f"{step.id} has no poll")
        answered = workflow.declare(self._own(step, "RESULT-OUTCOME", region), "string", "none")
        out = {answered: "outcome", **self._outputs(step, poll.do, region)}

        def name_of(found: Reference) -> str:
            return self.name_of(found, region, step)

        for text in (poll.until, poll.fail):
            self._note_order(text, step)
            for field in fields_in(text, RESULT):
                out[workflow.declare(name_of(Reference(RESULT, field)), "string", "")] = field
        asked = self._end(step, region, "asked")
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
        then = self.steps(step.then, region, self._end(step, region, "then"))
        otherwise = self.steps(step.otherwise, region, self._end(step, region, "else")) if step.otherwise else ""
        id = self.workflow.branch(
            self._path(step, region), "if", condition, then, otherwise, on_completion=self.guard(step, region, after)
        )
        return self._annotate(id, step)

    def _switch(self, step: SwitchStep, region: Region, after: str) -> str:
        """Add a chain of if-conditions: players skip a switch-condition that they do not know, which would be a pass."""
        workflow, path = self.workflow, self._path(step, region)
        variable = self.name_of(parse_reference(step.switch), region)
        rest = self.halted(region, region.failed)
        if step.default is not None:
            rest = self.steps(step.default, region, self._end(step, region, "default"))
        cases = list(step.cases.items())
        for key, steps in reversed(cases):
            inner = self.steps(steps, region, self._end(step, region, f"case {key}"))
            first = self.guard(step, region, after) if key == cases[0][0] else ""
            rest = workflow.branch(
                path, f"is {key}", equals(variable, key), inner, rest, on_completion=first, name=f"Is it {key}?"
            )
        return self._annotate(rest, step)

    def _parallel(self, step: ParallelStep, region: Region, after: str) -> str:
        workflow, path = self.workflow, self._path(step, region)
        # Each branch has a state of its own: what stops one must not stop a handler that runs in another.
        states = [workflow.declare(self._own(step, f"BRANCH-{n}", region), "string", RUNNING) for n in range(len(step.parallel))]
        entries = [
            self.steps(steps, replace(region, state=state, failed=FAILED), self._end(step, region, f"branch {index}"))
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
        workflow, path, question = self.workflow, self._path(step, region), step.approve
        decision = workflow.declare(
            self._own(step, "DECISION", region), "string", "pending", "approved or denied; anything else counts as denied"
        )
        text = text_with(question.ask, lambda found: self.name_of(found, region))
        needed = text_with(question.quorum, lambda found: self.name_of(found, region))
        text += f"\nAnswer approved or denied. People who must approve: {needed}. Whoever started this may not answer."
        self._note_gate(step)
        denied = self._undecided(step, region, step.on_denied, "denied", after)
        silent = self._undecided(step, region, step.on_timeout, "timeout", after)
        check = workflow.branch(
            path, "decided", equals(decision, "approved"), on_true=after, on_false=denied, name="Was it approved?"
        )
        if question.escalate:
            silent = workflow.manual(
                path, "escalation", text=text, of=question.escalate.to, sets=decision, name=f"Escalated: {step.title or step.id}",
                timeout=milliseconds(question.escalate.within), on_success=check, on_failure=silent,
            )  # fmt: skip
        id = workflow.manual(
            path, "approve", text=text, of=question.asked_of, sets=decision, timeout=milliseconds(question.within),
            on_success=check, on_failure=silent,
        )  # fmt: skip
        return self._annotate(id, step)

    def _undecided(self, step: ApproveStep, region: Region, decision: str, role: str, after: str) -> str:
        if decision == CONTINUE:
            return after
        halted = self.halted(region, STOPPED)
        return halted if decision == STOP else self.handler(decision, step, region, role, halted)

    def _note_gate(self, step: ApproveStep) -> None:
        question = step.approve
        self.workflow.lose(
            "approve", step, "that nobody approves what he asked for himself is written in the question, not enforced"
        )
        if question.quorum != 1:
            self.workflow.lose(
                "approve.quorum", step, f"that {question.quorum} people must approve is written in the question only"
            )
        if question.grants:
            self.workflow.lose(
                "approve.grants", step,
                f"the role {question.grants.role} is not issued; until it is, the Snaphold service refuses what needs it",
            )  # fmt: skip
        if question.escalate or step.on_timeout != step.on_denied:
            self.workflow.lose("approve.within", step, "a question that could not be asked counts as one that nobody answered")

    # ---- call ----

    def _call(self, step: CallStep, region: Region, after: str, failing: str) -> str:
        if step.for_each:
            return self._for_each(step, region, after, failing)
        return self._played(step, region, after, failing, self.halted(region, STOPPED), step.id)

    def _played(self, step: CallStep, region: Region, after: str, failing: str, stopped: str, place: str) -> str:
        """Add one turn of a call: the called playbook says in its state variable how it ended."""
        workflow, path = self.workflow, self._path(step, region)
        called = self.parts[step.call].playbook
        state = workflow.declare(state_variable(called.name), "string", UNKNOWN, f"How {called.name} ended.")
        ended = workflow.branch(
            path, "stopped", equals(state, STOPPED), on_true=stopped, on_false=failing, name="Was it stopped?"
        )
        check = workflow.branch(path, "played", equals(state, RUNNING), on_true=after, on_false=ended, name="Did it end well?")
        given = {
            input_variable(name): text_with(v, lambda f: self.name_of(f, region, step)) for name, v in step.arguments.items()
        }
        if INCIDENT_INPUT in called.inputs:
            given.setdefault(input_variable(INCIDENT_INPUT), value_of(INCIDENT_ID))
        given[path_variable(called.name)] = f"{value_of(path_variable(workflow.playbook))}.{place}"
        return workflow.add(
            "playbook-action", path, "call", name=step.title or step.id, playbook_id=called.metadata.id,
            step_variables={name: {"type": "string", "value": text} for name, text in given.items()},
            in_args=sorted([*given, *SHARED]), out_args=[state], timeout=None, on_success=check, on_failure=failing,
        )  # fmt: skip

    def _for_each(self, step: CallStep, region: Region, after: str, failing: str) -> str:
        """Add a loop that takes one item after the other through the gateway; after an item that failed it ends."""
        workflow, path = self.workflow, self._path(step, region)
        if (step.at_once or 1) > 1:
            workflow.lose("for_each.at_once", step, f"items run one after the other, not {step.at_once} at a time")
        own = {role: self._own(step, role, region) for role in ("ITEM", "INDEX", "POSITION", "MORE", "OUTCOME", "LOOP")}
        for role, kind, value in (
            ("ITEM", "string", ""), ("INDEX", "integer", "0"), ("POSITION", "integer", "0"),
            ("MORE", "bool", "true"), ("OUTCOME", "string", UNKNOWN), ("LOOP", "string", RUNNING),
        ):  # fmt: skip
            workflow.declare(own[role], kind, value)

        halts = {
            state: workflow.halt(f"{path}.loop", own["LOOP"], state, f"An item of {step.id} ended as {state}.", _no_reference)
            for state in (FAILED, STOPPED)
        }
        turn_ended = self._end(step, region, "turn")
        index = value_of(own["INDEX"])
        turn = self._played(step, region, turn_ended, halts[FAILED], halts[STOPPED], f"{step.id}.{index}")
        taken = workflow.branch(
            path, "taken", has_succeeded(own["OUTCOME"]), on_true=turn, on_false=halts[FAILED], name="Was there one?"
        )
        variable = self.name_of(parse_reference(step.for_each or ""), region)
        items = value_of(json_variable(variable)) if variable in self.lists_as_json else f'"{value_of(variable)}"'
        out = {own[role]: role.lower() for role in ("ITEM", "INDEX", "POSITION", "MORE", "OUTCOME")}
        take = workflow.call(
            "core.next_item", step.id, path, "take", given={}, name_of=_no_reference, out=out, name="Take the next item",
            raw={"items": items, "position": value_of(own["POSITION"])}, on_success=taken, on_failure=halts[FAILED],
        )  # fmt: skip
        whether_stopped = workflow.branch(
            path,
            "loop stopped",
            equals(own["LOOP"], STOPPED),
            on_true=self.halted(region, STOPPED),
            on_false=failing,
            name="Was one stopped?",
        )
        well = f"[{value_of(own['LOOP'])} = '{RUNNING}' AND {value_of(own['MORE'])} = 'false']"
        check = workflow.branch(path, "all played", well, on_true=after, on_false=whether_stopped, name="Did all end well?")
        return workflow.add(
            "while-condition", path, "for each", name=f"For each: {step.title or step.id}", on_true=take,
            condition=f"[{value_of(own['LOOP'])} = '{RUNNING}' AND {value_of(own['MORE'])} = 'true']",
            on_success=check, on_failure=failing,
        )  # fmt: skip


def _no_reference(reference: Reference) -> str:
    raise TypeError(f"{reference} stands in a text of the exporter's own")
