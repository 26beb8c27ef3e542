"""What the interpreter asks of its surroundings. Durable runs, dry runs and tests each answer in their own way.

The interpreter itself reads no clock, no file, no environment and draws no random number: whatever differs from one
execution to the next comes through these few functions, whose answers a durable run records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from snaphold.engine.run import Reason, StepLine
from snaphold.playbook.step import Escalation, GrantTerms
from snaphold.playbook.valuetype import Plain
from snaphold.repeated import Repeat


@dataclass(frozen=True)
class Act:
    """An action to carry out. `attempt` counts from 1; a later one tries again what cleanly failed.

    `imagined`: its input rests on an example result, so only a dry run may see it. `repeat`: the same question was asked
    before, and this was the answer.
    """

    path: str
    action: str
    given: Mapping[str, Any]
    items: tuple[str, ...] = ()
    timeout: timedelta | None = None
    attempt: int = 1
    imagined: bool = False
    repeat: Repeat | None = None


@dataclass(frozen=True)
class Answer:
    """What came of an action. `repeatable`: a second attempt cannot double an effect; `busy`: something else was at it."""

    outcome: str
    began: str
    at: str
    output: Mapping[str, Any] = field(default_factory=lambda: {})
    findings: tuple[str, ...] = ()
    detail: str = ""
    reason: Reason = Reason.NONE
    repeatable: bool = False
    busy: bool = False
    imagined: bool = False
    before: bool = field(default=False, compare=False)
    """It was recorded by an earlier process; this one only read it."""


@dataclass(frozen=True)
class Gate:
    """A question to people, with its references filled in."""

    path: str
    ask: str
    asked_of: str
    within: timedelta
    needed: int
    escalate: Escalation | None = None
    grants: GrantTerms | None = None


@dataclass(frozen=True)
class Tick:
    """A moment of a run: the time, and whether somebody has asked for the run to be cancelled."""

    at: str
    cancelled: bool = False


@dataclass(frozen=True)
class Branch:
    """A part of a run that can run side by side with others, and be taken up again by itself.

    `list_index` names a list of steps of the `parallel` step; without it the branch is one turn of a `call`.
    """

    path: str
    playbook: str
    step: str
    list_index: int | None
    scope: Mapping[str, Mapping[str, Plain]]
    imagined: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    prefix: str = ""


@dataclass(frozen=True)
class BranchResult:
    """How a branch went: its lines, the outputs of its steps, and why it ended early.

    `handled`: the run ends whatever the surrounding steps say, because a handler or a person has spoken.
    """

    lines: tuple[StepLine, ...] = ()
    values: Mapping[str, Mapping[str, Plain]] = field(default_factory=lambda: {})
    imagined: tuple[str, ...] = ()
    reason: Reason = Reason.NONE
    why: str = ""
    handled: bool = False


RunBranch = Callable[[Branch], BranchResult]


class Steps(Protocol):
    """The surroundings of an interpreter."""

    def act(self, act: Act) -> Answer:
        """Carry out an action, unless the run was cancelled (reason `cancelled`), and return what came of it.

        A failure is an answer, not an exception.
        """
        ...

    def ask(self, gate: Gate) -> Answer:
        """Ask people and wait for them. The outcome is approved, denied, expired or cancelled, or failed."""
        ...

    def pause(self, length: timedelta) -> Tick:
        """Wait so long, or until the run is cancelled."""
        ...

    def side_by_side(self, branches: Sequence[Branch], at_once: int, run: RunBranch) -> list[BranchResult]:
        """Run branches, at most `at_once` at a time, in order; after a failed one no further one starts.

        The results stand in the order of the branches; those that never started are left out.
        """
        ...


@dataclass(frozen=True)
class StepEvent:
    """Something that a person who watches the run wants to know.

    `what`: started, ended (with `line`), polled (with the answer as `detail`), waiting (at a gate), retrying,
    leaving (the process lets go of the run after the current step), unsigned (the audit trail could not be signed).
    `before`: it happened in an earlier process.
    """

    what: str
    path: str
    title: str = ""
    item: str = ""
    line: StepLine | None = None
    detail: Mapping[str, Any] = field(default_factory=lambda: {})
    before: bool = False


Listener = Callable[[StepEvent], None]


def nobody(_event: StepEvent) -> None:
    """Listens to nothing."""
