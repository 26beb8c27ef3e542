"""Connects the tasks of a playbook along the edges of its graph, and gives each a free place in the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from snaphold.playbook.step import CONTINUE, CallStep, DoStep
from snaphold.playbook.walk import lists_in, walk
from snaphold.soar import xsoar_names as names_
from snaphold.targets import flow as f
from snaphold.targets.flow import Edge, Flow, FlowNode, NodeKind
from snaphold.targets.xsoar_task import ERROR, NONE, Piece, Task
from snaphold.targets.xsoar_tasks import ENDED, STOPPED, Maker


def connect(maker: Maker, flow: Flow) -> list[Task]:
    """Return all tasks, each with its followers and its place in the picture; the start first."""
    return _Connection(maker, flow).tasks()


@dataclass
class _Connection:
    """`before`: tasks that stand between a node and those that lead to it, by node and role."""

    maker: Maker
    flow: Flow
    nodes: dict[str, FlowNode] = field(default_factory=dict[str, FlowNode])
    pieces: dict[str, Piece] = field(default_factory=dict[str, Piece])
    before: dict[tuple[str, str], Task] = field(default_factory=dict[tuple[str, str], Task])

    def tasks(self) -> list[Task]:
        self.nodes = {node.id: node for node in self.flow.nodes}
        if f.FAILED_ID not in self.nodes:
            right, bottom = max(node.column for node in self.flow.nodes), max(node.row for node in self.flow.nodes)
            self.nodes[f.FAILED_ID] = FlowNode(
                f.FAILED_ID, NodeKind.FAILED, "Ended: failed", column=right + 1, row=bottom
            )  # fmt: skip
        self.pieces = {id: self.maker.piece(node) for id, node in self.nodes.items()}
        for edge in self.flow.edges:
            for task, label in self.pieces[edge.source].exits.get(edge.label, []):
                _follow(task, label, self._entry(edge))
        for piece in list(self.pieces.values()):
            for task, label in piece.exits.get(STOPPED, []):
                _follow(task, label, self._ending(f.FAILED_ID, names_.STOPPED))
            for task, label in piece.exits.get(ENDED, []):
                _follow(task, label, self.pieces[f.FAILED_ID].tasks[0])
        reached = {key for piece in self.pieces.values() for task in piece.tasks for keys in task.after.values() for key in keys}
        reached |= {key for task in self.before.values() for keys in task.after.values() for key in keys}
        if self.pieces[f.FAILED_ID].tasks[0].key not in reached:
            del self.pieces[f.FAILED_ID], self.nodes[f.FAILED_ID]
        self._place()
        found: list[Task] = []
        for id in self.nodes:
            found += [task for (node, _), task in sorted(self.before.items()) if node == id]
            found += self.pieces[id].tasks
        return found

    def _entry(self, edge: Edge) -> Task:
        """Return the task that an edge leads to."""
        target = self.nodes[edge.target]
        if target.kind is NodeKind.JOIN:
            return self._branch_end(edge, target)
        if target.kind is NodeKind.FAILED:
            return self._ending(edge.target, self._outcome(edge))
        source = self.nodes[edge.source]
        last = self.maker.playbook.metadata.on_error or ""
        if target.handler and target.handler != source.handler and "@" not in target.id:
            if self._is_decided(edge):
                return self._ending(edge.target, names_.DECIDED)
            if source.handler and target.handler == last:
                # The handler itself failed: whatever a person or a step said before, the run has now failed.
                return self._ending(edge.target, names_.FAILED)
        return self.pieces[edge.target].tasks[0]

    def _outcome(self, edge: Edge) -> str:
        """Return how the run ends when it takes an edge to the end that is no success."""
        if self._is_decided(edge):
            return names_.STOPPED
        source = self.nodes[edge.source]
        in_handler = bool(source.handler) and "@" not in source.id
        fails = edge.label == f.ERROR or source.kind is NodeKind.STOP or not in_handler
        return names_.FAILED if fails else names_.SETTLED

    def _is_decided(self, edge: Edge) -> bool:
        """Return whether a person has said no or said nothing, or the step has a handler of its own that then stops."""
        step = self.nodes[edge.source].step
        if edge.label in (f.DENIED, f.TIMEOUT):
            return True
        own = isinstance(step, (DoStep, CallStep)) and step.on_error is not None and step.on_error.then != CONTINUE
        return own and edge.label == f.ERROR

    def _ending(self, node: str, outcome: str) -> Task:
        key = (node, outcome)
        if key not in self.before:
            task = self.maker.ending(self.nodes[node], outcome)
            follower = self.pieces[node].tasks[0].key
            task.after = {NONE: [follower], ERROR: [follower]}
            self.before[key] = task
        return self.before[key]

    def _branch_end(self, edge: Edge, join: FlowNode) -> Task:
        index = _branch_of(self.nodes[edge.source], join)
        key = (join.id, f"branch{index}")
        if key not in self.before:
            task = self.maker.branch_mark(join, index)
            follower = self.pieces[join.id].tasks[0].key
            task.after = {NONE: [follower], ERROR: [follower]}
            self.before[key] = task
        return self.before[key]

    def _place(self) -> None:
        """Give every task a free place: a row of the graph is as high as its highest node, a column as wide as it must be."""
        rows, columns = self._heights(), self._widths()
        for id, node in self.nodes.items():
            row, column = rows[node.row], columns[node.column]
            own = [task for (target, _), task in sorted(self.before.items()) if target == id]
            for offset, task in enumerate(own):
                task.column, task.row = column + offset, row
            for offset, task in enumerate(self.pieces[id].tasks):
                task.column, task.row = column, row + offset + bool(own)

    def _heights(self) -> Mapping[int, int]:
        heights: dict[int, int] = {}
        for id, node in self.nodes.items():
            high = len(self.pieces[id].tasks) + any(target == id for target, _ in self.before)
            heights[node.row] = max(heights.get(node.row, 1), high)
        return _sums(heights)

    def _widths(self) -> Mapping[float, float]:
        """Return where each column starts; columns stand half a step apart, so each takes at least half a step."""
        widths: dict[float, float] = {node.column: 0.0 for node in self.nodes.values()}
        for id, node in self.nodes.items():
            wide = sum(target == id for target, _ in self.before)
            widths[node.column] = max(widths[node.column], wide - 1.0)
        found: dict[float, float] = {}
        extra = 0.0
        for column in sorted(widths):
            found[column] = column + extra
            extra += widths[column]
        return found


def _sums(heights: Mapping[int, int]) -> dict[int, int]:
    found: dict[int, int] = {}
    top = 0
    for row in sorted(heights):
        found[row] = top
        top += heights[row]
    return found


def _follow(task: Task, label: str, follower: Task) -> None:
    followers = task.after.setdefault(label, [])
    if follower.key not in followers:
        followers.append(follower.key)


def _branch_of(source: FlowNode, join: FlowNode) -> int:
    """Return in which list of the `parallel` a node stands; the copy of a handler belongs to the step it returns to."""
    if join.step is None or source.step is None:
        raise ValueError(f"{join.id} joins no branches")
    id = source.id.partition("@")[2] or source.step.id
    for index, inner in enumerate(lists_in(join.step, ())):
        if any(step.id == id for _, step in walk(inner.steps, ())):
            return index
    raise ValueError(f"{source.id} stands in no branch of {join.id}")
