"""The nodes of a playbook's graph as XSOAR tasks. One node becomes one task, or a short column of tasks.

Whatever can be decided by a program is decided by our own commands: which items a loop has, whether every turn and every
branch came to its end. XSOAR then only follows edges, and a mark that is missing is a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from snaphold.action import Effect, find_action
from snaphold.playbook.condition import parse_condition
from snaphold.playbook.model import Playbook
from snaphold.playbook.reference import references_in
from snaphold.playbook.step import ApproveStep, CallStep, DoStep, IfStep, Poll, StopStep, SwitchStep
from snaphold.soar import xsoar_fields as fields
from snaphold.soar import xsoar_names as names_
from snaphold.targets import flow as f
from snaphold.targets.flow import FlowNode, NodeKind
from snaphold.targets.xsoar_gates import gate
from snaphold.targets.xsoar_task import DEFAULT, ERROR, NONE, PLACE, Body, Piece, Task, command, error_path
from snaphold.targets.xsoar_values import (
    Names,
    argument,
    compare_path,
    equals,
    equals_none,
    holds,
    holds_not,
    inline,
    labelled,
    text,
    whole,
)

HOLDS, HOLDS_NOT = "holds", "does not hold"
"""Not yes and no: written without quotes, which other tools do, those are booleans in YAML 1.1."""
STOPPED, ENDED = "stopped", "ended"
"""Exits that the graph does not have: what was called was stopped by a person or a handler; a branch has ended the run."""
WAYS = (names_.DONE, names_.STOPPED)


@dataclass(frozen=True)
class Maker:
    """Makes the tasks of one playbook. A part, which others call, leaves the incident's timer and outcome alone."""

    playbook: Playbook
    display: Callable[[str], str]
    names: Names
    is_part: bool = False

    def piece(self, node: FlowNode) -> Piece:
        """Return the tasks of a node."""
        step = node.step
        makers: dict[NodeKind, Callable[[], Piece]] = {
            NodeKind.START: lambda: self._start(node),
            NodeKind.SPLIT: lambda: _straight(_title(node)),
            NodeKind.JOIN: lambda: self._join_branches(node),
            NodeKind.END: lambda: self._end(node),
            NodeKind.FAILED: lambda: Piece(self._last(node, names_.FAILED), {}),
        }
        if node.kind in makers:
            return makers[node.kind]()
        if isinstance(step, DoStep):
            return _failing(
                self._poll(node, step, step.poll) if node.kind is NodeKind.POLL and step.poll else self._do(node, step)
            )
        if isinstance(step, CallStep):
            return self._call(node, step)
        if isinstance(step, ApproveStep):
            return gate(node, step, self.names, self._why)
        if isinstance(step, IfStep):
            return self._if(node, step)
        if isinstance(step, SwitchStep):
            return self._switch(node, step)
        if isinstance(step, StopStep):
            arguments = {"reason": text(inline(step.stop, self.names)), "step": text(PLACE + step.id)}
            task = command(node, "stop", names_.STOP, node.title, arguments)
            return Piece([task], {f.NEXT: [(task, NONE), (task, ERROR)]})
        raise TypeError(f"{node.kind} is no kind of node")

    def _start(self, node: FlowNode) -> Piece:
        """Every playbook may be a turn of a loop, and XSOAR begins turns also after one that failed."""
        start = self._timed(Task(node.id, "start", "start", ""), "start")
        turn = command(node, "turn", names_.TURN, "May this begin?", {"place": text(PLACE)})
        skipped = Task(node.id, "skipped", "title", "Not begun: an earlier turn failed")
        start.after[NONE] = [turn.key]
        turn.after[ERROR] = [skipped.key]
        return Piece([start, turn, skipped], {f.NEXT: [(turn, NONE)]})

    def _do(self, node: FlowNode, step: DoStep) -> Task:
        arguments = {name: argument(value, self.names) for name, value in step.arguments.items()}
        arguments |= self._standard(step, step.do)
        if step.retry:
            arguments["retry-count"] = text(str(step.retry.attempts - 1))
            arguments["retry-interval"] = text(_seconds(step.retry.every))
        if step.timeout:
            arguments["execution-timeout"] = text(_seconds(step.timeout))
        at_once = {name: kind for name, kind in step.out.items() if (step.id, name) not in self.names.polled}
        arguments["expects"] = text(",".join(f"{name}:{kind.value}" for name, kind in at_once.items()))
        task = command(node, "do", names_.command_name(step.do), node.title, _given(arguments))
        shown = [
            {"incidentfield": title, "output": whole(names_.context_prefix(step.do), output)}
            for (action, output), title in fields.SHOWN.items()
            if action == step.do
        ]
        if shown:
            task.body["fieldMapping"] = shown
        return task

    def _poll(self, node: FlowNode, step: DoStep, poll: Poll) -> Task:
        arguments = {name: argument(value, self.names) for name, value in poll.arguments.items()}
        arguments |= {
            "until": text(poll.until),
            "fail": text(poll.fail),
            "interval_in_seconds": text(_seconds(poll.every)),
            "timeout_in_seconds": text(_seconds(poll.within)),
            "step": text(f"{PLACE}{step.id}_poll"),
            "expects": text(
                ",".join(f"{name}:{kind.value}" for name, kind in step.out.items() if (step.id, name) in self.names.polled)
            ),
        }
        return command(node, "poll", names_.wait_name(poll.do), node.title, _given(arguments))

    def _standard(self, step: DoStep, action: str) -> Body:
        arguments: Body = {"step": text(PLACE + step.id)}
        if find_action(action).effect is not Effect.READS and "justification" not in step.arguments:
            arguments["justification"] = text(self._why)
        return arguments

    @property
    def _why(self) -> str:
        metadata = self.playbook.metadata
        return f"Playbook {metadata.name} {metadata.version}, change record {metadata.change_record}"

    def _call(self, node: FlowNode, step: CallStep) -> Piece:
        items: Task | None = None
        given = {name: argument(value, self.names, step.id) for name, value in step.arguments.items()}
        place = f"{PLACE}{step.id}."
        places: Body = text(place)
        if step.for_each:
            over = argument(step.for_each, self.names)
            arguments = {"items": over, "place": text(place), "step": text(PLACE + step.id)}
            arguments["at_once"] = text(str(step.at_once or 1))
            items = command(node, "items", names_.ITEMS, f"List the items of: {node.title}", arguments)
            places = whole(f"{names_.ITEMS_PREFIX}.{step.id}", "place")
        called = Task(node.id, "call", "playbook", node.title)
        called.task = {"playbookName": self.display(step.call)}
        called.body = {"scriptarguments": {**given, names_.PLACE_INPUT: places}, "separatecontext": True} | error_path()
        if step.for_each:
            called.body["loop"] = {"iscommand": False, "exitCondition": "", "wait": 1, "max": 100, "forEach": True}
        expected = whole(f"{names_.ITEMS_PREFIX}.{step.id}", "place_json") if step.for_each else text(place)
        end = f"{step.id}_end"
        check = command(node, "check", names_.JOIN, f"How did it end: {node.title}", self._marks(expected, end))
        judge = Task(node.id, "judge", "condition", "Did it come to its end?")
        ways = {way: [[compare_path(f"{names_.STEP_PREFIX}.{end}", "state", "isEqualString", way)]] for way in WAYS}
        judge.body = {"conditions": labelled(ways)}
        called.after[NONE] = [check.key]
        check.after[NONE] = [judge.key]
        if items:
            items.after[NONE] = [called.key]
        failing = [(task, ERROR) for task in (items, called, check) if task]
        exits = {f.NEXT: [(judge, names_.DONE)], STOPPED: [(judge, names_.STOPPED)], f.ERROR: [*failing, (judge, DEFAULT)]}
        return Piece([task for task in (items, called, check, judge) if task], exits)

    def _marks(self, expected: Body, end: str) -> Body:
        return {"places": expected, "ended": whole(names_.ENDED_PREFIX, "mark"), "step": text(PLACE + end)}

    def _join_branches(self, node: FlowNode) -> Piece:
        """A branch that failed has gone its own way; what comes after all branches must then not run."""
        step_id = node.step.id if node.step else node.id
        count = len(getattr(node.step, "parallel", ()))
        places = ",".join(f"{PLACE}{step_id}.{index}." for index in range(count))
        task = command(node, "check", names_.JOIN, node.title, self._marks(text(places), f"{step_id}_end"))
        judge = Task(node.id, "judge", "condition", "Did all come to their end?")
        state = compare_path(f"{names_.STEP_PREFIX}.{step_id}_end", "state", "isEqualString", names_.DONE)
        judge.body = {"conditions": labelled({names_.DONE: [[state]]})}
        task.after[NONE] = [judge.key]
        # The branch that failed has run what there was to run, so nothing but the end is left.
        return Piece([task, judge], {f.NEXT: [(judge, names_.DONE)], ENDED: [(task, ERROR), (judge, DEFAULT)]})

    def branch_mark(self, node: FlowNode, index: int) -> Task:
        """Return the task that marks the end of one branch of a `parallel`."""
        step_id = node.step.id if node.step else node.id
        arguments = {"place": text(f"{PLACE}{step_id}.{index}."), "outcome": text(names_.DONE)}
        return command(node, f"branch{index}", names_.END, f"Branch {index + 1} has ended", arguments)

    def _end(self, node: FlowNode) -> Piece:
        mark = command(node, "mark", names_.END, "Note how this ended", {"place": text(PLACE), "outcome": text(names_.DONE)})
        last = self._last(node, names_.DONE)
        mark.after = {NONE: [last[0].key], ERROR: [last[0].key]}
        return Piece([mark, *last], {})

    def _last(self, node: FlowNode, outcome: str) -> list[Task]:
        """Return the last tasks: the incident's outcome, unless others call this playbook, then the title."""
        title = _title(node)
        if self.is_part:
            return [title]
        note = Task(node.id, "outcome", "regular", "Show the outcome in the incident")
        note.task = {"script": "Builtin|||setIncident", "iscommand": True, "brand": "Builtin"}
        note.body = {"scriptarguments": {fields.OUTCOME: text(outcome)}} | error_path()
        note.after = {NONE: [title.key], ERROR: [title.key]}
        return [note, self._timed(title, "stop")]

    def _timed(self, task: Task, what: str) -> Task:
        if not self.is_part:
            task.body["timertriggers"] = [{"fieldname": fields.TIMER, "action": what}]
        return task

    def ending(self, node: FlowNode, outcome: str) -> Task:
        """Return a task before the last title that notes one of the ways to end without success."""
        titles = {
            names_.FAILED: "Note that this failed",
            names_.STOPPED: "Note that this was stopped",
            names_.SETTLED: "Note whether this was stopped or failed",
            names_.DECIDED: "Note that this will be stopped",
        }
        arguments: Body = {"place": text(PLACE), "outcome": text(outcome)}
        if outcome == names_.SETTLED:
            arguments["ended"] = whole(names_.ENDED_PREFIX, "mark")
        return command(node, outcome, names_.END, titles[outcome], arguments)

    def _if(self, node: FlowNode, step: IfStep) -> Piece:
        condition = parse_condition(step.condition)
        ways = {HOLDS: holds(condition, self.names), HOLDS_NOT: holds_not(condition, self.names)}
        task = Task(node.id, "if", "condition", node.title, {"conditions": labelled(ways)})
        return Piece([task], {f.YES: [(task, HOLDS)], f.DEFAULT: [(task, HOLDS_NOT)], f.ERROR: [(task, DEFAULT)]})

    def _switch(self, node: FlowNode, step: SwitchStep) -> Piece:
        (reference,) = references_in(step.switch)
        ways = {case_label(key): equals(reference, key, self.names) for key in step.cases}
        task = Task(node.id, "switch", "condition", node.title)
        exits = {f.CASE + key: [(task, case_label(key))] for key in step.cases} | {f.ERROR: [(task, DEFAULT)]}
        if step.default is not None:
            ways["other"] = equals_none(reference, list(step.cases), self.names)
            exits[f.DEFAULT] = [(task, "other")]
        else:
            exits[f.DEFAULT] = [(task, DEFAULT)]
        task.body = {"conditions": labelled(ways)}
        return Piece([task], exits)


def case_label(key: str) -> str:
    """Return the label of a switch's case; it must not meet the words of other labels."""
    return f"is {key}"


def _given(arguments: Body) -> Body:
    return {name: value for name, value in arguments.items() if value != text("")}


def _failing(task: Task) -> Piece:
    return Piece([task], {f.NEXT: [(task, NONE)], f.ERROR: [(task, ERROR)]})


def _straight(task: Task) -> Piece:
    return Piece([task], {f.NEXT: [(task, NONE)]})


def _title(node: FlowNode) -> Task:
    return Task(node.id, "title", "title", node.title)


def _seconds(length: timedelta) -> str:
    return str(int(length.total_seconds()))
