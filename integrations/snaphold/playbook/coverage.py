"""The branches of a playbook: every way that a step can go, and every handler. What a set of cases should have taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from snaphold.playbook.model import PlaybookFile
from snaphold.playbook.step import ApproveStep, CallStep, DoStep, IfStep, StepBase, SwitchStep
from snaphold.playbook.walk import every_step

THEN, ELSE = "then", "else"
DEFAULT, NO_CASE = "default", "no case"
APPROVED, DENIED, TIMEOUT = "approved", "denied", "nobody answers"
JOB_DONE, JOB_FAILED, JOB_LATE = "the job is done", "the job fails", "the job takes too long"
FAILS = "fails"
RUNS = "runs"
GATE_ANSWERS = {"approved": APPROVED, "denied": DENIED, "expired": TIMEOUT}


@dataclass(frozen=True, order=True)
class Branch:
    """One way through one step (or one handler, whose name then stands for the step) of a playbook."""

    playbook: str
    step: str
    way: str

    def __str__(self) -> str:
        return f"{self.step}: {self.way}"


@dataclass(frozen=True)
class Coverage:
    """Which branches of a playbook were taken, out of all of them, in the order of the file."""

    playbook: str
    taken: tuple[Branch, ...]
    missing: tuple[Branch, ...]

    @property
    def total(self) -> int:
        """How many branches there are."""
        return len(self.taken) + len(self.missing)

    @property
    def percent(self) -> int:
        """Whole per cent, rounded down so that 100 means all; a playbook without branches is covered."""
        return 100 * len(self.taken) // self.total if self.total else 100


def handler_name(name: str) -> str:
    """Return how a handler is named where a step would be."""
    return f"handler {name}"


def branches(playbook: PlaybookFile) -> tuple[Branch, ...]:
    """Return every branch of a playbook, in the order of the file. Those of playbooks that it calls are their own."""
    name = playbook.metadata.name
    found = [Branch(name, step.id, way) for step in every_step(playbook) for way in _ways(step)]
    return (*found, *(Branch(name, handler_name(handler), RUNS) for handler in playbook.handlers))


def _ways(step: StepBase) -> Iterator[str]:
    if isinstance(step, IfStep):
        yield from (THEN, ELSE)
    elif isinstance(step, SwitchStep):
        yield from (case_way(key) for key in step.cases)
        yield NO_CASE if step.default is None else DEFAULT
    elif isinstance(step, ApproveStep):
        yield from (APPROVED, DENIED, TIMEOUT)
    elif isinstance(step, (DoStep, CallStep)):
        if isinstance(step, DoStep) and step.poll:
            yield from (JOB_DONE, JOB_FAILED, JOB_LATE)
        if step.on_error:
            yield FAILS


def case_way(key: str) -> str:
    """Return how the case of a switch is named."""
    return f"case {key}"


def cover(playbook: PlaybookFile, taken: Iterable[Branch]) -> Coverage:
    """Return which branches of a playbook are among those that were taken."""
    seen = set(taken)
    everything = branches(playbook)
    return Coverage(
        playbook.metadata.name,
        tuple(branch for branch in everything if branch in seen),
        tuple(branch for branch in everything if branch not in seen),
    )
