"""Which steps always ran before a step: only their outputs may be named in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from snaphold.playbook.model import PlaybookFile
from snaphold.playbook.step import (
    CONTINUE,
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
from snaphold.playbook.walk import Place, lists_in


@dataclass
class Scope:
    """`before`: the ids that dominate each step. `outputs`: what each step declares. `places`: where each id stands."""

    before: dict[Place, frozenset[str]] = field(default_factory=lambda: {})
    outputs: dict[str, Mapping[str, ValueType]] = field(default_factory=lambda: {})
    places: dict[str, Place] = field(default_factory=lambda: {})
    uncertain: dict[str, str] = field(default_factory=lambda: {})


def build_scope(playbook: PlaybookFile) -> Scope:
    """Return which steps dominate which. A handler can run at any time, so nothing outside dominates its steps."""
    scope = Scope()
    _flow(playbook.steps, ("steps",), frozenset(), scope)
    for name, steps in playbook.handlers.items():
        _flow(steps, ("handlers", name), frozenset(), scope)
    return scope


def _flow(steps: Sequence[StepBase], place: Place, before: frozenset[str], scope: Scope) -> frozenset[str]:
    """Record a list of steps and return what dominates whatever comes after it."""
    for index, step in enumerate(steps):
        here = (*place, index)
        scope.before[here] = before
        scope.places.setdefault(step.id, here)
        scope.outputs.setdefault(step.id, step.out if isinstance(step, DoStep) else {})
        before = _after(step, here, before, scope)
    return before


def _after(step: StepBase, here: Place, before: frozenset[str], scope: Scope) -> frozenset[str]:
    ends = [_flow(inner.steps, inner.place, before, scope) for inner in lists_in(step, here)]
    if isinstance(step, ParallelStep):
        return before.union({step.id}, *ends)
    if isinstance(step, (IfStep, SwitchStep)):
        for end in ends:
            for inner in end - before:
                scope.uncertain[inner] = f"it stands in a branch of {step.id}, which may not be taken"
        return before | {step.id}
    if isinstance(step, (DoStep, CallStep)) and step.on_error and step.on_error.then == CONTINUE:
        scope.uncertain[step.id] = "it may fail and the run then goes on"
        return before
    return before | {step.id}


def always_stops(step: StepBase) -> bool:
    """Return whether nothing can follow a step: it stops, or every way through it does."""
    if isinstance(step, StopStep):
        return True
    if isinstance(step, IfStep):
        return bool(step.otherwise) and list_stops(step.then) and list_stops(step.otherwise)
    if isinstance(step, SwitchStep):
        # No case and no default is a failure, so the default counts only when there is one.
        ways = [*step.cases.values(), *([step.default] if step.default is not None else [])]
        return bool(ways) and all(list_stops(steps) for steps in ways)
    if isinstance(step, ParallelStep):
        return any(list_stops(steps) for steps in step.parallel)
    return False


def list_stops(steps: Sequence[StepBase]) -> bool:
    """Return whether a list of steps never comes to its end."""
    return any(always_stops(step) for step in steps)


def fails_open(step: ApproveStep) -> bool:
    """Return whether a gate lets the run pass without an approval."""
    return CONTINUE in (step.on_denied, step.on_timeout)
