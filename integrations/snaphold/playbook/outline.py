"""A playbook as a tree of short lines, as a person reads it: steps, conditions, gates, deadlines. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from snaphold.clock import format_duration
from snaphold.playbook.model import Playbook
from snaphold.playbook.step import (
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
from snaphold.playbook.valuetype import write_value

INDENT = "  "


def outline(playbook: Playbook) -> list[str]:
    """Return the steps and the handlers as indented lines."""
    lines = ["steps", *_list(playbook.steps, 1)]
    for name, steps in playbook.handlers.items():
        lines += [f"handler {name}", *_list(steps, 1)]
    if playbook.metadata.on_error:
        lines.append(f"any other failure: {playbook.metadata.on_error}, then stop")
    return lines


def _list(steps: Sequence[StepBase], depth: int) -> list[str]:
    return [line for step in steps for line in _step(step, depth)]


def _step(step: StepBase, depth: int) -> list[str]:
    here, inside = INDENT * depth, INDENT * (depth + 1)
    head = f"{here}{step.id}: {step.title}" if step.title else f"{here}{step.id}"
    if isinstance(step, DoStep):
        return [head, *(inside + line for line in _do(step))]
    if isinstance(step, CallStep):
        return [head, *(inside + line for line in _call(step))]
    if isinstance(step, ApproveStep):
        return [head, *(inside + line for line in _approve(step))]
    if isinstance(step, StopStep):
        return [head, f"{inside}stop: {step.stop}"]
    return [head, *_branches(step, depth + 1)]


def _branches(step: StepBase, depth: int) -> list[str]:
    here = INDENT * depth
    if isinstance(step, IfStep):
        lines = [f"{here}if {step.condition}", *_list(step.then, depth + 1)]
        return [*lines, f"{here}else", *_list(step.otherwise, depth + 1)] if step.otherwise else lines
    if isinstance(step, SwitchStep):
        lines = [
            line for key, steps in step.cases.items() for line in (f"{here}{step.switch} is {key}", *_list(steps, depth + 1))
        ]
        last = [f"{here}any other value", *_list(step.default, depth + 1)] if step.default is not None else []
        return [*lines, *(last or [f"{here}any other value: the step fails"])]
    if isinstance(step, ParallelStep):
        return [line for steps in step.parallel for line in (f"{here}side by side", *_list(steps, depth + 1))]
    return []


def _do(step: DoStep) -> list[str]:
    lines = [_with(f"do {step.do}", step.arguments)]
    if step.out:
        lines.append("gives " + ", ".join(f"{name} ({kind.value})" for name, kind in step.out.items()))
    if step.timeout:
        lines.append(f"at most {format_duration(step.timeout)}")
    if step.retry:
        lines.append(f"up to {step.retry.attempts} attempts, {format_duration(step.retry.every)} apart")
    if step.poll:
        poll = step.poll
        lines += [
            _with(f"then every {format_duration(poll.every)} {poll.do}", poll.arguments),
            f"  done when {poll.until}",
            f"  failed when {poll.fail}, or after {format_duration(poll.within)}",
        ]
    return lines + _on_error(step.on_error)


def _call(step: CallStep) -> list[str]:
    lines = [_with(f"call {step.call}", step.arguments)]
    if step.for_each:
        lines.append(f"for each of {step.for_each}, {step.at_once or 1} at a time")
    return lines + _on_error(step.on_error)


def _approve(step: ApproveStep) -> list[str]:
    question = step.approve
    lines = [f"ask {question.asked_of} within {format_duration(question.within)}: {question.ask}"]
    if question.escalate:
        lines.append(f"then ask {question.escalate.to} within {format_duration(question.escalate.within)}")
    if question.quorum != 1:
        lines.append(f"needs {question.quorum} approvals")
    if question.grants:
        lines.append(f"an approval grants {question.grants.role} for {format_duration(question.grants.lasts)}")
    return [*lines, f"when denied: {_then(step.on_denied)}", f"when nobody answers: {_then(step.on_timeout)}"]


def _then(text: str) -> str:
    return text if text in ("stop", "continue") else f"{text}, then stop"


def _on_error(on_error: OnError | None) -> list[str]:
    return [f"when it fails: {on_error.run}, then {on_error.then}"] if on_error else []


def _with(text: str, arguments: Mapping[str, object]) -> str:
    return " ".join([text, *(f"{name}={_value(value)}" for name, value in arguments.items())])


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(cast("tuple[str, ...]", value))
    text = write_value(value) if isinstance(value, (bool, int, str)) else str(value)
    return f'"{text}"' if " " in text or not text else text
