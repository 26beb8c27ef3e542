"""The nodes of a playbook's graph as XSOAR tasks. One node becomes one task, or a short column of tasks.

Whatever can be decided by a program is decided by our own commands: which items a loop has, whether every turn and every
branch came to its end. XSOAR then only follows edges, and a mark that is missing is a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from snaphold.action import Effect, find_action
from snaphold.playbook.condition import parse_condition
from snaphold.playbook.model import Playbook
from snaphold.playbook.reference import references_in
from snaphold.playbook.step import ApproveStep, CallStep, DoStep, IfStep, Poll, StopStep, SwitchStep
from snaphold.soar import xsoar_fields as fields
from snaphold.soar import xsoar_names as names_
from snaphold.targets import flow as f
from snaphold.targets.flow import FlowNode, NodeKind
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

NONE, DEFAULT, ERROR = "#none#", "#default#", "#error#"
APPROVE, DENY = "Approve", "Deny"
HOLDS, HOLDS_NOT = "holds", "does not hold"
"""Not yes and no: written without quotes, which other tools do, those are booleans in YAML 1.1."""
STOPPED, ENDED = "stopped", "ended"
"""Exits that the graph does not have: what was called was stopped by a person or a handler; a branch has ended the run."""
WAYS = (names_.DONE, names_.STOPPED)
LARGEST_QUORUM = 3
"""How many approvals a gate can ask for one after the other; a playbook that needs more fails closed at that gate."""
PLACE = f"${{inputs.{names_.PLACE_INPUT}}}"
Body = dict[str, Any]


@dataclass
class Task:
    """One task. `role` tells several tasks of one node apart; `after` maps a label to the tasks that follow."""

    node: str
    role: str
    kind: str
    title: str
    body: Body = field(default_factory=dict[str, Any])
    task: Body = field(default_factory=dict[str, Any])
    after: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])
    column: float = 0
    row: float = 0

    @property
    def key(self) -> str:
        """What no other task of the playbook has."""
        return f"{self.node}/{self.role}"


@dataclass
class Piece:
    """The tasks of one node, the first is entered. `exits`: by label of the graph, the tasks and their labels."""

    tasks: list[Task]
    exits: dict[str, list[tuple[Task, str]]]


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
            NodeKind.START: lambda: _straight(self._timed(Task(node.id, "start", "start", ""), "start")),
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
            return self._approve(node, step)
        if isinstance(step, IfStep):
            return self._if(node, step)
        if isinstance(step, SwitchStep):
            return self._switch(node, step)
        if isinstance(step, StopStep):
            arguments = {"reason": text(inline(step.stop, self.names)), "step": text(PLACE + step.id)}
            task = command(node, "stop", names_.STOP, node.title, arguments)
            return Piece([task], {f.NEXT: [(task, NONE), (task, ERROR)]})
        raise TypeError(f"{node.kind} is no kind of node")

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
            metadata = self.playbook.metadata
            arguments["justification"] = text(
                f"Playbook {metadata.name} {metadata.version}, change record {metadata.change_record}"
            )
        return arguments

    def _call(self, node: FlowNode, step: CallStep) -> Piece:
        items: Task | None = None
        given = {name: argument(value, self.names, step.id) for name, value in step.arguments.items()}
        place = f"{PLACE}{step.id}."
        places: Body = text(place)
        if step.for_each:
            over = argument(step.for_each, self.names)
            arguments = {"items": over, "place": text(place), "step": text(PLACE + step.id)}
            items = command(node, "items", names_.ITEMS, f"List the items of: {node.title}", arguments)
            places = whole(f"{names_.ITEMS_PREFIX}.{step.id}", "place")
        called = Task(node.id, "call", "playbook", node.title)
        called.task = {"playbookName": self.display(step.call)}
        called.body = {"scriptarguments": {**given, names_.PLACE_INPUT: places}, "separatecontext": True} | _error_path()
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
        note.body = {"scriptarguments": {fields.OUTCOME: text(outcome)}} | _error_path()
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

    def _approve(self, node: FlowNode, step: ApproveStep) -> Piece:
        """One question for each approval that is needed; any denial, and any silence, ends the gate."""
        question = step.approve
        escalated = node.kind is NodeKind.ESCALATION and question.escalate is not None
        asked_of = question.escalate.to if escalated and question.escalate else question.asked_of
        within = question.escalate.within if escalated and question.escalate else question.within
        most = question.quorum if isinstance(question.quorum, int) else LARGEST_QUORUM
        most = min(most, LARGEST_QUORUM)
        tasks: list[Task] = []
        exits: dict[str, list[tuple[Task, str]]] = {f.APPROVED: [], f.DENIED: [], f.TIMEOUT: [], f.ERROR: []}
        waiting: tuple[Task, str] | None = None
        if isinstance(question.quorum, str):
            gate = self._quorum_task(node, question.quorum, most)
            tasks.append(gate)
            exits[f.ERROR].append((gate, DEFAULT))
            waiting = (gate, HOLDS)
        for number in range(1, most + 1):
            ask = self._ask_task(node, number, most, asked_of, question.ask, within)
            tasks.append(ask)
            if waiting:
                waiting[0].after[waiting[1]] = [ask.key]
            exits[f.DENIED].append((ask, DENY))
            exits[f.TIMEOUT].append((ask, DEFAULT))
            waiting = (ask, APPROVE)
            if isinstance(question.quorum, str) and number < most:
                more = self._enough_task(node, question.quorum, number)
                tasks.append(more)
                ask.after[APPROVE] = [more.key]
                exits[f.APPROVED].append((more, "enough"))
                exits[f.ERROR].append((more, DEFAULT))
                waiting = (more, "more")
        if waiting:
            exits[f.APPROVED].append(waiting)
        return Piece(tasks, {label: ways for label, ways in exits.items() if ways})

    def _quorum_task(self, node: FlowNode, quorum: str, most: int) -> Task:
        root, accessor = self.names.path(references_in(quorum)[0])
        allowed = [compare_path(root, accessor, "isEqualString", str(number)) for number in range(1, most + 1)]
        body = {"conditions": labelled({HOLDS: [allowed]})}
        return Task(node.id, "quorum", "condition", f"At most {most} approvals can be asked for", body)

    def _enough_task(self, node: FlowNode, quorum: str, number: int) -> Task:
        root, accessor = self.names.path(references_in(quorum)[0])
        ways = {
            "enough": [[compare_path(root, accessor, "isEqualString", str(number))]],
            "more": [[compare_path(root, accessor, "isNotEqualString", str(number))]],
        }
        return Task(node.id, f"enough{number}", "condition", "Are there enough approvals?", {"conditions": labelled(ways)})

    def _ask_task(self, node: FlowNode, number: int, most: int, asked_of: str, ask: str, within: timedelta) -> Task:
        minutes = -(-int(within.total_seconds()) // 60)
        body: Body = {
            "message": {
                "to": text(f"${{inputs.{approver_input(asked_of)}}}"),
                "subject": text(node.title),
                "body": text(inline(ask, self.names)),
                "methods": ["email"],
                "timings": {
                    "retriescount": 2,
                    "retriesinterval": 360,
                    "completeafterreplies": 1,
                    "completeafterv2": True,
                    "completeaftersla": True,
                },
                "replyOptions": [APPROVE, DENY],
            },
            "sla": {"weeks": 0, "days": minutes // 1440, "hours": minutes % 1440 // 60, "minutes": minutes % 60},
        }
        title = node.title if most == 1 else f"{node.title} (approval {number})"
        return Task(node.id, f"ask{number}", "condition", title, body)


def case_label(key: str) -> str:
    """Return the label of a switch's case; it must not meet the words of other labels."""
    return f"is {key}"


def approver_input(asked_of: str) -> str:
    """Return the name of the playbook input that says which users, roles or addresses a group of approvers is."""
    return "approvers_" + "".join(char if char.isalnum() and char.isascii() else "_" for char in asked_of.partition("/")[2])


def command(node: FlowNode, role: str, name: str, title: str, arguments: Body) -> Task:
    """Return a task that runs one of our commands, with an error path."""
    task = Task(node.id, role, "regular", title)
    task.task = {"script": f"{names_.BRAND}|||{name}", "iscommand": True, "brand": names_.BRAND}
    task.body = {"scriptarguments": arguments} | _error_path()
    return task


def _error_path() -> Body:
    return {"continueonerror": True, "continueonerrortype": "errorPath"}


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
