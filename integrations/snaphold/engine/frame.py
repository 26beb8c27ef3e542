"""One playbook as it is being run: the values that its steps have given, and the way its steps can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snaphold.domain.outcome import Outcome
from snaphold.engine.run import Reason, RunStatus, StepLine
from snaphold.engine.steps import BranchResult
from snaphold.playbook.model import Playbook
from snaphold.playbook.reference import references_in
from snaphold.playbook.valuetype import Plain, ValueType, type_of

APPROVED = "approved"
PASSED = (Outcome.SUCCEEDED.value, APPROVED)


class StepFailed(Exception):  # noqa: N818  it is no error of the program: a step of the playbook failed
    """A step failed and nothing has handled it yet. `tried`: handlers that failed over it."""

    def __init__(self, reason: Reason, why: str, tried: frozenset[str] = frozenset()) -> None:
        super().__init__(why)
        self.reason = reason
        self.why = why
        self.tried = tried


class RunStopped(Exception):  # noqa: N818  it is no error of the program: the run ends here
    """The run ends here: it was cancelled, a person said no, or a handler has run and nothing says to continue."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason = reason
        self.why = why


@dataclass
class Frame:
    """A playbook in progress. `prefix` is the path of the call, `items` those of `for_each`, outermost first, `imagined` what
    rests on example results.
    """

    playbook: Playbook
    values: dict[str, Mapping[str, Plain]]
    prefix: str = ""
    items: tuple[str, ...] = ()
    imagined: set[str] = field(default_factory=set[str])
    lines: list[StepLine] = field(default_factory=list[StepLine])

    def path(self, step: str) -> str:
        """Return the path of a step of this playbook."""
        return f"{self.prefix}{step}"

    @property
    def item(self) -> str:
        """The item of the innermost `for_each`, for people; empty outside."""
        return self.items[-1] if self.items else ""

    def rests_on_examples(self, value: object) -> bool:
        """Return whether a value of the playbook refers to anything that is only an example."""
        return any(
            reference.scope in self.imagined or f"{reference.scope}.{reference.field}" in self.imagined
            for reference in references_in(value)
        )

    def result(self, before: Mapping[str, Any] | None = None) -> BranchResult:
        """Return what a branch that ended well hands back: its lines and the values that were not there `before`."""
        new = {step: fields for step, fields in self.values.items() if step not in (before or {})}
        return BranchResult(tuple(self.lines), new, tuple(sorted(self.imagined)))


def take_out(declared: Mapping[str, ValueType], output: Mapping[str, Any]) -> dict[str, Plain]:
    """Return the declared fields that an output has, each of its declared type."""
    return {name: output[name] for name, wanted in declared.items() if name in output and type_of(output[name]) is wanted}


def judge(result: BranchResult) -> RunStatus:
    """Return how a run as a whole ended. A step that did not fully succeed makes the best ending `partial`."""
    if result.reason is Reason.CANCELLED:
        return RunStatus.CANCELLED
    late = result.reason is Reason.TIMED_OUT and any(line.outcome == Outcome.UNKNOWN.value for line in result.lines)
    if late or result.reason is Reason.UNKNOWN:
        return RunStatus.UNKNOWN
    if result.reason is not Reason.NONE:
        return RunStatus.FAILED
    whole = all(line.outcome in PASSED for line in result.lines)
    return RunStatus.DONE if whole else RunStatus.PARTIAL
