"""Lints the shape of a playbook: ids, handlers, inputs, empty lists, steps that are never reached, waits."""

from __future__ import annotations

from collections.abc import Iterator

from snaphold.clock import format_duration
from snaphold.documents import suggest
from snaphold.playbook.findings import Subject
from snaphold.playbook.inputs import default_fault
from snaphold.playbook.reference import INPUTS, ITEM, RESULT
from snaphold.playbook.scope import always_stops
from snaphold.playbook.step import CONTINUE, STOP, ApproveStep, CallStep, DoStep, ParallelStep, StepBase, SwitchStep
from snaphold.playbook.walk import Place, StepList, lists_in, placed_steps

RESERVED = frozenset({INPUTS, RESULT, ITEM, STOP, CONTINUE, "incident", "run", "true", "false", "and", "or"})
FEWEST_BRANCHES = 2


def lint_shape(subject: Subject) -> None:
    """Check everything that needs neither actions nor other playbooks."""
    if subject.playbook.name != subject.loaded.path.stem:
        subject.error(("metadata", "name"), f"the name must be that of the file, {subject.loaded.path.stem!r}")
    _ids(subject)
    _handlers(subject)
    _inputs(subject)
    _lists(subject)
    _waits(subject)


def _ids(subject: Subject) -> None:
    seen: dict[str, Place] = {}
    for place, step in placed_steps(subject.playbook):
        if step.id in RESERVED:
            subject.error((*place, "id"), f"the id {step.id!r} is reserved")
        if step.id in seen:
            first = subject.loaded.document.locate((*seen[step.id], "id"))
            subject.error((*place, "id"), f"the id {step.id!r} stands twice", f"first at {first}")
        seen.setdefault(step.id, place)


def _named_handlers(subject: Subject) -> Iterator[tuple[Place, str]]:
    """Yield every place that names a handler."""
    if subject.playbook.metadata.on_error:
        yield ("metadata", "on_error"), subject.playbook.metadata.on_error
    for place, step in placed_steps(subject.playbook):
        if isinstance(step, (DoStep, CallStep)) and step.on_error:
            yield (*place, "on_error"), step.on_error.run
        if isinstance(step, ApproveStep):
            for key, then in (("on_denied", step.on_denied), ("on_timeout", step.on_timeout)):
                if then not in (STOP, CONTINUE):
                    yield (*place, key), then


def _handlers(subject: Subject) -> None:
    handlers = subject.playbook.handlers
    named: set[str] = set()
    for place, name in _named_handlers(subject):
        named.add(name)
        if name not in handlers:
            run: Place = (*place, "run")
            exact = run if run in subject.loaded.document.values else place
            subject.error(exact, f"there is no handler {name!r}", suggest(name, list(handlers)))
        elif place[0] == "handlers":
            subject.error(place, "a step of a handler may not name a handler: failures would run in circles")
    for name in handlers:
        if name in RESERVED:
            subject.error_at_key(("handlers", name), f"the handler name {name!r} is reserved")
        elif name not in named:
            subject.warn(("handlers", name), f"nothing names the handler {name!r}")


def _inputs(subject: Subject) -> None:
    for name, declaration in subject.playbook.inputs.items():
        fault = default_fault(declaration)
        if fault:
            subject.error_at_key(("inputs", name), f"the input {name!r}: {fault}")


def lint_unused(subject: Subject) -> None:
    """Warn of inputs and outputs that nothing uses. Runs last, when every reference has been seen."""
    for name in subject.playbook.inputs:
        if (INPUTS, name) not in subject.used:
            subject.warn(("inputs", name), f"nothing uses the input {name!r}")
    for place, step in placed_steps(subject.playbook):
        if isinstance(step, DoStep):
            for name in step.out:
                if (step.id, name) not in subject.used:
                    subject.warn((*place, "out", name), f"nothing uses ${step.id}.{name}", "branch on it, or leave it out")


def _lists(subject: Subject) -> None:
    _list(subject, StepList(("steps",), subject.playbook.steps))
    for name, steps in subject.playbook.handlers.items():
        _list(subject, StepList(("handlers", name), steps))
    for place, step in placed_steps(subject.playbook):
        for inner in lists_in(step, place):
            _list(subject, inner)
        otherwise: Place = (*place, "else")
        if subject.loaded.document.values.get(otherwise) and not getattr(step, "otherwise", True):
            subject.error_at_key(otherwise, "the list of steps is empty")
        if isinstance(step, ParallelStep) and len(step.parallel) < FEWEST_BRANCHES:
            subject.error_at_key((*place, "parallel"), "parallel needs at least two lists of steps")
        if isinstance(step, SwitchStep) and not step.cases:
            subject.error_at_key((*place, "cases"), "switch needs at least one case")


def _list(subject: Subject, steps: StepList) -> None:
    if not steps.steps:
        subject.error_at_key(steps.place, "the list of steps is empty")
    stopped: StepBase | None = None
    for index, step in enumerate(steps.steps):
        if stopped is not None:
            subject.error((*steps.place, index), f"the step {step.id!r} is never reached", f"{stopped.id} always stops the run")
            return
        if always_stops(step):
            stopped = step


def _waits(subject: Subject) -> None:
    for place, step in placed_steps(subject.playbook):
        if isinstance(step, DoStep) and step.poll and step.poll.within < step.poll.every:
            within, every = format_duration(step.poll.within), format_duration(step.poll.every)
            subject.error((*place, "poll", "within"), f"within {within} is shorter than every {every}: it would never ask twice")
