"""Walks over the steps of a playbook, each with its place in the document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from snaphold.playbook.model import PlaybookFile
from snaphold.playbook.step import IfStep, ParallelStep, StepBase, SwitchStep

Place = tuple["str | int", ...]
"""A path in the document, e.g. ("steps", 0, "then", 1)."""


@dataclass(frozen=True)
class StepList:
    """A list of steps inside a step, and where it stands."""

    place: Place
    steps: Sequence[StepBase]


def lists_in(step: StepBase, place: Place) -> list[StepList]:
    """Return the lists of steps that stand directly inside a step."""
    if isinstance(step, IfStep):
        otherwise = [StepList((*place, "else"), step.otherwise)] if step.otherwise else []
        return [StepList((*place, "then"), step.then), *otherwise]
    if isinstance(step, SwitchStep):
        cases = [StepList((*place, "cases", key), steps) for key, steps in step.cases.items()]
        return cases if step.default is None else [*cases, StepList((*place, "default"), step.default)]
    if isinstance(step, ParallelStep):
        return [StepList((*place, "parallel", index), steps) for index, steps in enumerate(step.parallel)]
    return []


def walk(steps: Sequence[StepBase], place: Place) -> Iterator[tuple[Place, StepBase]]:
    """Yield every step of a list and of the lists inside, outer before inner, in the order of the file."""
    for index, step in enumerate(steps):
        here = (*place, index)
        yield here, step
        for inner in lists_in(step, here):
            yield from walk(inner.steps, inner.place)


def placed_steps(playbook: PlaybookFile) -> Iterator[tuple[Place, StepBase]]:
    """Yield every step of a playbook with its place, those of handlers included."""
    yield from walk(playbook.steps, ("steps",))
    for name, steps in playbook.handlers.items():
        yield from walk(steps, ("handlers", name))


def every_step(playbook: PlaybookFile) -> Iterator[StepBase]:
    """Yield every step of a playbook, those of handlers included."""
    for _, step in placed_steps(playbook):
        yield step
