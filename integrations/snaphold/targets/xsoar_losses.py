"""What a playbook loses on XSOAR, each with its place."""

from __future__ import annotations

from collections.abc import Iterator

from snaphold.playbook.condition import ORDERING, parse_condition
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.reference import INPUTS, references_in
from snaphold.playbook.step import CallStep, DoStep, IfStep, ParallelStep, StepBase
from snaphold.playbook.walk import Place, placed_steps
from snaphold.soar.xsoar_call import SHORTEST_INTERVAL
from snaphold.targets.base import Loss, place_text

_Found = tuple[str, Place, str]


def losses_of(loaded: LoadedPlaybook) -> tuple[Loss, ...]:
    """Return the losses in the order of the file."""
    found: list[Loss] = []
    for place, step in placed_steps(loaded.playbook):
        for construct, where, what in _of_step(step, place):
            found.append(Loss(construct=construct, place=place_text(loaded, where), what=what))
    return tuple(found)


def _of_step(step: StepBase, place: Place) -> Iterator[_Found]:
    if isinstance(step, DoStep):
        yield from _of_do(step, place)
    elif isinstance(step, IfStep):
        operators = {comparison.operator for comparison in parse_condition(step.condition).comparisons}
        if operators & ORDERING:
            yield "if", (*place, "if"), "whether XSOAR compares whole numbers by value was not verified on a server"
    elif isinstance(step, ParallelStep):
        yield "parallel", (*place, "parallel"), "when several branches fail, the handlers of all of them run"
    elif isinstance(step, CallStep):
        yield from _of_call(step, place)


def _of_do(step: DoStep, place: Place) -> Iterator[_Found]:
    if step.retry:
        yield "retry", (*place, "retry"), "XSOAR repeats after every kind of error; the key keeps work from being done twice"
    if step.poll and step.poll.every.total_seconds() < SHORTEST_INTERVAL:
        yield "poll", (*place, "poll", "every"), f"XSOAR waits at least {SHORTEST_INTERVAL} s between two questions"
    if step.poll and any(ref.scope == INPUTS for ref in references_in(step.poll.until) + references_in(step.poll.fail)):
        yield "poll", (*place, "poll"), "until and fail see only the result on XSOAR, so this poll fails at once"


def _of_call(step: CallStep, place: Place) -> Iterator[_Found]:
    if step.at_once and step.at_once > 1:
        yield "at_once", (*place, "at_once"), "XSOAR runs the turns of a loop one after the other"
    if step.for_each:
        yield "for_each", (*place, "for_each"), "commas inside an item arrive as semicolons, which list inputs read the same"
