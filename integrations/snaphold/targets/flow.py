"""A playbook as a graph: what XSOAR, Shuffle and the picture share. Every way to fail and to stop is an edge.

Failures follow the interpreter: a step's own handler runs and the run then stops unless the step says `continue`; any
other failure, and a failure inside a handler, runs `metadata.on_error` once, then the run ends failed. A denied or
expired gate stops without `metadata.on_error`. A handler that only stops is shared by all who name it; one that goes on
is copied for its step, because it returns to another place. The graph has no cycles: a poll and a `for_each` are nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from snaphold.playbook.model import Playbook
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

NEXT, YES, DEFAULT, ERROR = "", "yes", "default", "error"
APPROVED, DENIED, TIMEOUT = "approved", "denied", "timeout"
CASE = "case "
"""The label of a switch's edge is this and the case's key."""
START_ID, END_ID, FAILED_ID = "start--", "end--", "failed--"


class NodeKind(str, Enum):
    """What stands at a node. `poll` follows the action whose job it waits for; `escalation` follows its approval."""

    START = "start"
    ACTION = "action"
    POLL = "poll"
    CONDITION = "condition"
    SWITCH = "switch"
    APPROVAL = "approval"
    ESCALATION = "escalation"
    SPLIT = "split"
    JOIN = "join"
    CALL = "call"
    STOP = "stop"
    END = "end"
    FAILED = "failed"


@dataclass(frozen=True)
class FlowNode:
    """One node. `id` is unique and stable: the step's id, with `.poll`, `.escalation` or `.join`, and for a copy of a
    handler's step `@STEP`, the step that it returns to. `column` and `row` are a free cell of a grid (halves occur).
    """

    id: str
    kind: NodeKind
    title: str
    step: StepBase | None = None
    handler: str = ""
    column: float = 0
    row: int = 0


@dataclass(frozen=True)
class Edge:
    """A way from one node to another; see the labels above."""

    source: str
    target: str
    label: str = NEXT


@dataclass(frozen=True)
class Flow:
    """The graph: nodes in the order of the file, edges in the order of their sources."""

    nodes: tuple[FlowNode, ...]
    edges: tuple[Edge, ...]

    def node(self, id: str) -> FlowNode:
        """Return a node. Raises KeyError."""
        return {node.id: node for node in self.nodes}[id]

    def leaving(self, id: str) -> tuple[Edge, ...]:
        """Return the edges that leave a node."""
        return tuple(edge for edge in self.edges if edge.source == id)

    def entering(self, id: str) -> tuple[Edge, ...]:
        """Return the edges that enter a node."""
        return tuple(edge for edge in self.edges if edge.target == id)


def build_flow(playbook: Playbook) -> Flow:
    """Return the graph of a playbook."""
    return _Builder(playbook).build()


Exits = list[tuple[str, str]]
"""Ways that still lead nowhere: source and label."""


@dataclass
class _Spot:
    """Where a list of steps is drawn: its left column, how many columns it takes, and its next free row."""

    left: float
    width: float
    row: int

    @property
    def middle(self) -> float:
        """The column of a node that stands alone in its row."""
        return self.left + (self.width - 1) / 2


@dataclass(frozen=True)
class _Around:
    """What a step's surroundings decide: the handler that it belongs to, the copy's name, and where failures lead."""

    handler: str = ""
    copy: str = ""
    on_failure: str = STOP


@dataclass
class _Builder:
    playbook: Playbook
    nodes: dict[str, FlowNode] = field(default_factory=dict[str, FlowNode])
    edges: list[Edge] = field(default_factory=list[Edge])
    waiting: dict[str, Exits] = field(default_factory=dict[str, Exits])
    """Ways that lead into a handler that then stops; under `stop`, those that end the run as failed."""

    def build(self) -> Flow:
        last = self.playbook.metadata.on_error or STOP
        spot = _Spot(0, self._width(self.playbook.steps), 0)
        exits = self._node(FlowNode(START_ID, NodeKind.START, self.playbook.name), [], spot)
        exits = self._list(self.playbook.steps, exits, spot, _Around(on_failure=last))
        if exits:
            self._node(FlowNode(END_ID, NodeKind.END, "Done"), exits, spot)
        right, bottom = spot.left + spot.width, spot.row
        # Handlers fail into the last one, so it comes last; it never fails into itself.
        for name in sorted((name for name in self.playbook.handlers), key=lambda name: name == last):
            sources = self.waiting.pop(name, [])
            if not sources:
                continue
            steps = self.playbook.handlers[name]
            row = 1 + min(self.nodes[source].row for source, _ in sources)
            spot = _Spot(right, self._width(steps), row)
            around = _Around(handler=name, on_failure=STOP if name == last else last)
            self._wait(STOP, self._list(steps, sources, spot, around))
            right, bottom = right + spot.width, max(bottom, spot.row)
        if STOP in self.waiting:
            self._node(FlowNode(FAILED_ID, NodeKind.FAILED, "Ended: failed"), self.waiting.pop(STOP), _Spot(right, 1, bottom))
        return Flow(tuple(self.nodes.values()), tuple(self.edges))

    def _node(self, node: FlowNode, incoming: Exits, spot: _Spot) -> Exits:
        """Put a node into the next row, lead the open ways to it, and return the way on."""
        self.nodes[node.id] = replace(node, column=spot.middle, row=spot.row)
        spot.row += 1
        self.edges += [Edge(source, node.id, label) for source, label in incoming]
        return [(node.id, NEXT)]

    def _wait(self, handler: str, exits: Exits) -> None:
        if exits:
            self.waiting.setdefault(handler, []).extend(exits)

    def _list(self, steps: Sequence[StepBase], incoming: Exits, spot: _Spot, around: _Around) -> Exits:
        for step in steps:
            if not incoming:
                break  # nothing gets here: the linter says so
            incoming = self._step(step, incoming, spot, around)
        return incoming

    def _step(self, step: StepBase, incoming: Exits, spot: _Spot, around: _Around) -> Exits:
        def make(kind: NodeKind, title: str = "", role: str = "") -> FlowNode:
            id = f"{step.id}{role}" + (f"@{around.copy}" if around.copy else "")
            return FlowNode(id, kind, title or step.title or step.id, step, around.handler)

        if isinstance(step, (DoStep, CallStep)):
            return self._work(step, make, incoming, spot, around)
        if isinstance(step, ApproveStep):
            return self._approve(step, make, incoming, spot, around)
        if isinstance(step, StopStep):
            self._wait(around.on_failure, self._node(make(NodeKind.STOP), incoming, spot))
            return []
        if isinstance(step, ParallelStep):
            ((split, _),) = self._node(make(NodeKind.SPLIT), incoming, spot)
            lists = [(NEXT, steps) for steps in step.parallel]
            ends = self._side_by_side(split, lists, spot, around)
            # All branches are waited for, so one that always stops leaves nothing to join.
            joined = [way for end in ends for way in end] if all(ends) else []
            return self._node(make(NodeKind.JOIN, "Wait for all", ".join"), joined, spot) if joined else []
        if isinstance(step, IfStep):
            ((branch, _),) = self._node(make(NodeKind.CONDITION), incoming, spot)
            lists = [(YES, step.then), (DEFAULT, step.otherwise)]
        elif isinstance(step, SwitchStep):
            ((branch, _),) = self._node(make(NodeKind.SWITCH), incoming, spot)
            lists = [(CASE + key, steps) for key, steps in step.cases.items()]
            if step.default is None:
                self._wait(around.on_failure, [(branch, DEFAULT)])
            else:
                lists.append((DEFAULT, step.default))
        else:
            raise TypeError(f"{type(step).__name__} is no kind of step")
        self._wait(around.on_failure, [(branch, ERROR)])
        return [way for end in self._side_by_side(branch, lists, spot, around) for way in end]

    def _side_by_side(
        self, source: str, lists: Sequence[tuple[str, Sequence[StepBase]]], spot: _Spot, around: _Around
    ) -> list[Exits]:
        """Draw lists of steps beside each other and return where each leads on."""
        left = spot.left + (spot.width - sum(self._width(steps) for _, steps in lists)) / 2
        bottom, ends = spot.row, list[Exits]()
        for label, steps in lists:
            inner = _Spot(left, self._width(steps), spot.row)
            ends.append(self._list(steps, [(source, label)], inner, around))
            left, bottom = left + inner.width, max(bottom, inner.row)
        spot.row = bottom
        return ends

    def _work(
        self, step: DoStep | CallStep, make: Callable[..., FlowNode], incoming: Exits, spot: _Spot, around: _Around
    ) -> Exits:
        exits = self._node(make(NodeKind.CALL if isinstance(step, CallStep) else NodeKind.ACTION), incoming, spot)
        failing = [(exits[0][0], ERROR)]
        if isinstance(step, DoStep) and step.poll:
            exits = self._node(make(NodeKind.POLL, f"Wait for: {step.title or step.id}", ".poll"), exits, spot)
            failing.append((exits[0][0], ERROR))
        if step.on_error is None:
            self._wait(around.on_failure, failing)
            return exits
        if step.on_error.then != CONTINUE:
            self._wait(step.on_error.run, failing)
            return exits
        last = self.playbook.metadata.on_error or STOP
        handler = step.on_error.run
        copy = _Around(handler, step.id, STOP if handler == last else last)
        steps = self.playbook.handlers[handler]
        side = _Spot(spot.left + spot.width - self._width(steps), self._width(steps), spot.row)
        exits = exits + self._list(steps, failing, side, copy)
        spot.row = side.row
        return exits

    def _approve(self, step: ApproveStep, make: Callable[..., FlowNode], incoming: Exits, spot: _Spot, around: _Around) -> Exits:
        ((asked, _),) = self._node(make(NodeKind.APPROVAL), incoming, spot)
        exits: Exits = [(asked, APPROVED)]
        denied, silent, failing = [(asked, DENIED)], [(asked, TIMEOUT)], [(asked, ERROR)]
        if step.approve.escalate:
            title = f"Escalated: {step.title or step.id}"
            ((escalated, _),) = self._node(make(NodeKind.ESCALATION, title, ".escalation"), silent, spot)
            exits.append((escalated, APPROVED))
            denied.append((escalated, DENIED))
            failing.append((escalated, ERROR))
            silent = [(escalated, TIMEOUT)]
        for decision, ways in ((step.on_denied, denied), (step.on_timeout, silent)):
            if decision == CONTINUE:
                exits += ways
            else:
                self._wait(decision, ways)
        self._wait(around.on_failure, failing)
        return exits

    def _width(self, steps: Sequence[StepBase]) -> float:
        """Return how many columns a list of steps takes."""
        return max([1.0, *(self._width_of(step) for step in steps)])

    def _width_of(self, step: StepBase) -> float:
        if isinstance(step, IfStep):
            return self._width(step.then) + self._width(step.otherwise)
        if isinstance(step, SwitchStep):
            lists = [*step.cases.values(), *([step.default] if step.default is not None else [])]
            return sum(self._width(steps) for steps in lists)
        if isinstance(step, ParallelStep):
            return sum(self._width(steps) for steps in step.parallel)
        if isinstance(step, (DoStep, CallStep)) and step.on_error and step.on_error.then == CONTINUE:
            return 1 + self._width(self.playbook.handlers[step.on_error.run])
        return 1
