"""What a playbook loses on Shuffle, each with its place."""

from __future__ import annotations

from collections.abc import Iterator

from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.step import CONTINUE, ApproveStep, CallStep, DoStep, ParallelStep, StepBase
from snaphold.playbook.walk import Place, placed_steps
from snaphold.targets.base import Loss, place_text

_Found = tuple[str, Place, str]


def losses_of(loaded: LoadedPlaybook) -> tuple[Loss, ...]:
    """Return the losses in the order of the file."""
    found = [item for place, step in placed_steps(loaded.playbook) for item in _of_step(step, place)]
    return tuple(Loss(construct, place_text(loaded, where), what) for construct, where, what in found)


def _of_step(step: StepBase, place: Place) -> Iterator[_Found]:
    if isinstance(step, DoStep):
        yield from _of_do(step, place)
    elif isinstance(step, CallStep):
        yield "call", (*place, "call"), "the parts start one after the other, one per pass of 15 s or more"
    elif isinstance(step, ParallelStep):
        yield "parallel", (*place, "parallel"), "a handler may run before the other lists have come to their end"
    elif isinstance(step, ApproveStep):
        yield from _of_approve(step, place)


def _of_do(step: DoStep, place: Place) -> Iterator[_Found]:
    if step.retry:
        yield "retry", (*place, "retry"), "repeats come at the next pass: the pause is at least 15 s"
    if step.timeout:
        yield "timeout", (*place, "timeout"), "it is checked from pass to pass; one call ends after 20 s at the latest"
    if step.poll:
        yield "poll", (*place, "poll"), "questions come at most once per pass of 15 s or more"


def _of_approve(step: ApproveStep, place: Place) -> Iterator[_Found]:
    question = (*place, "approve")
    yield "approve", question, "nobody is told until a node that sends the question is added to the workflow for approvers"
    if CONTINUE in (step.on_denied, step.on_timeout):
        yield "continue", place, "the playbook lets the run pass without an approval"
