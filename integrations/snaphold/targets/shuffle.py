"""Shuffle: a playbook as workflows that the installer imports.

Shuffle ends a run after 30 minutes and an action after 30 seconds, and has no loops. So a run is a chain of short passes:
each pass walks the workflow anew, a step that has its answer gives it again, and when a step waits (for a job, a person,
a called playbook, a pause) the pass ends with the start of the next one. Branches compare text with `equals`, always on
a field that the app has computed, and always together with `success`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from snaphold.clock import format_duration
from snaphold.errors import PlaybookError, Problem
from snaphold.playbook.condition import Comparison, parse_condition, write_literal
from snaphold.playbook.load import PARTS, LoadedPlaybook
from snaphold.playbook.model import Playbook
from snaphold.playbook.reference import INPUTS, RESULT, parse_reference
from snaphold.playbook.step import ApproveStep, CallStep, DoStep, IfStep, ParallelStep, StopStep, SwitchStep
from snaphold.playbook.valuetype import ValueType, type_of
from snaphold.playbook.walk import placed_steps, walk
from snaphold.soar.shuffle_flow import ITEM_VALUES
from snaphold.soar.shuffle_names import method_name
from snaphold.soar.shuffle_step import RESERVED
from snaphold.targets.base import Output, Parts, Target, place_text, stamp
from snaphold.targets.flow import (
    APPROVED,
    CASE,
    DEFAULT,
    DENIED,
    ERROR,
    NEXT,
    START_ID,
    TIMEOUT,
    YES,
    Edge,
    Flow,
    FlowNode,
    NodeKind,
    build_flow,
)
from snaphold.targets.shuffle_ask import TELL, again, tell_workflow
from snaphold.targets.shuffle_losses import losses_of
from snaphold.targets.shuffle_parts import SUCCESS, Drawing, Node, Test, document, subflow, webhook, workflow_id, written
from snaphold.targets.shuffle_values import escape, has_item, label_of, names_of, parameter_text

RUN = "run"
COLUMN, ROW, LEFT, TOP = 420, 340, 200, 100
"""Distances in Shuffle's picture; the nodes that belong to one node of the flow stand within its cell."""
_PAUSE_SECONDS = "15"
_HANDLED = "failed--handled"
_WAITS = (NodeKind.ACTION, NodeKind.POLL, NodeKind.CALL, NodeKind.APPROVAL, NodeKind.ESCALATION)


def compile_shuffle(loaded: LoadedPlaybook, parts: Parts) -> Output:
    """Return the workflows of one playbook. Raises PlaybookError for what Shuffle cannot express at all."""
    playbook, source = loaded.playbook, stamp(loaded)
    _refuse(loaded)
    # A part is started by its caller only; a playbook that can begin without inputs may begin by an alert.
    alone = loaded.path.parent.name != PARTS and not any(one.required for one in playbook.inputs.values())
    maker = _Maker(playbook, parts, build_flow(playbook), alone)
    workflows = {playbook.name: document(maker.draw(), source, _sentence(playbook))}
    if any(isinstance(step, ApproveStep) for _, step in placed_steps(playbook)):
        workflows[f"{playbook.name}.{TELL}"] = tell_workflow(playbook, source)
    return Output({f"{name}.json": written(content) for name, content in sorted(workflows.items())}, losses_of(loaded))


TARGET = Target("shuffle", "Shuffle workflows (JSON), for the installer", compile_shuffle)


def _sentence(playbook: Playbook) -> str:
    text = " ".join((playbook.metadata.description or f"The playbook {playbook.name}").split())
    return text if text.endswith(".") else text + "."


def _refuse(loaded: LoadedPlaybook) -> None:
    """Raise PlaybookError for names and values that Shuffle has no place for."""
    problems: list[Problem] = []

    def found(message: str, place: tuple[str | int, ...]) -> None:
        problems.append(Problem(message, ".".join(map(str, place)), loaded.document.locate(place)))

    for name in loaded.playbook.inputs:
        if name in RESERVED:
            found(f"on Shuffle no input can be called {name!r}", (INPUTS, name))
    for place, step in placed_steps(loaded.playbook):
        if isinstance(step, DoStep):
            for name in sorted(RESERVED & set(step.out)):
                found(f"on Shuffle no output can be called {name!r}", (*place, "out", name))
            for part in ("until", "fail") if step.poll else ():
                text = getattr(step.poll, part)
                if any(c.reference.scope != RESULT for c in parse_condition(text).comparisons):
                    found("on Shuffle a poll sees $result only", (*place, "poll", part))
        if isinstance(step, CallStep):
            for name, value in step.arguments.items():
                if has_item(value) and value != "$item":
                    found("on Shuffle $item is handed on as it is, not inside other text", (*place, "with", name))
            if len(step.arguments) > ITEM_VALUES:
                found(f"on Shuffle a call hands on {ITEM_VALUES} inputs at most", (*place, "with"))
    if problems:
        raise PlaybookError(f"Shuffle cannot express {place_text(loaded, ())}", problems)


@dataclass
class _Maker:
    playbook: Playbook
    parts: Parts
    flow: Flow
    has_webhook: bool

    def draw(self) -> Drawing:
        """Return the workflow of the playbook's run."""
        id = self.playbook.metadata.id
        self.names = names_of(self.playbook)
        self.drawing = Drawing(id, RUN, f"Snaphold {self.playbook.name}", INPUTS)
        for node in self.flow.nodes:
            self._node(node)
        for edge in self.flow.edges:
            self._edge(edge)
        waiting = [node for node in self.flow.nodes if node.kind in _WAITS]
        if waiting:
            self._again(waiting)
        if self.has_webhook:
            own = self.drawing.id_of("incident")
            self.drawing.add(webhook("incident", own, (LEFT + self._x(0), TOP - ROW / 2)))
            self.drawing.lead("incident", INPUTS)
        return self.drawing

    def _x(self, column: float) -> float:
        return COLUMN * column

    def _at(self, node: FlowNode, part: int = 0) -> tuple[float, float]:
        """Return where a node stands; the parts of one node stand beside and below it in its cell."""
        return (LEFT + self._x(node.column) + 150 * (part % 2), TOP + ROW * node.row + 80 * (part // 2 + part % 2))

    def _add(self, node: FlowNode, name: str, parameters: dict[str, str], label: str = "", part: int = 0) -> str:
        label = label or label_of(node.id)
        self.drawing.add(Node(label, name, parameters, self._at(node, part), escape(node.title)))
        return label

    def _text(self, value: object, node: FlowNode, own: str = "") -> str:
        return parameter_text(value, self.names, node.id, own)

    def _run(self, node: FlowNode) -> dict[str, str]:
        return {"run": "$inputs.run", "step": label_of(node.id)}

    def _node(self, node: FlowNode) -> None:
        step = node.step
        if node.kind is NodeKind.START:
            declared = {n: d.model_dump(mode="json", exclude={"description"}) for n, d in self.playbook.inputs.items()}
            told = {"argument": "$exec", "playbook": self.playbook.name, "inputs": escape(json.dumps(declared))}
            self._add(node, "begin_run", told, INPUTS)
        elif node.kind in (NodeKind.END, NodeKind.FAILED):
            kinds = (NodeKind.ACTION, NodeKind.POLL, NodeKind.CALL, NodeKind.STOP)
            steps = ",".join(label_of(other.id) for other in self.flow.nodes if other.kind in kinds)
            ended = "done" if node.kind is NodeKind.END else "failed"
            self._add(node, "finish_run", {"run": "$inputs.run", "ended": ended, "steps": steps})
            if node.kind is NodeKind.FAILED:
                self._add(node, "finish_run", {"run": "$inputs.run", "ended": "handled", "steps": steps}, _HANDLED, 1)
        elif node.kind is NodeKind.SPLIT:
            self._add(node, "go_on", {"note": "side by side"})
        elif isinstance(step, DoStep):
            self._do(node, step)
        elif isinstance(step, CallStep):
            self._call(node, step)
        elif isinstance(step, IfStep):
            self._condition(node, step)
        elif isinstance(step, SwitchStep):
            kind = self.names.kind(parse_reference(step.switch))
            told = {"value": self._text(step.switch, node), "type": kind.value, "cases": escape(json.dumps(list(step.cases)))}
            self._add(node, "choose_case", {**told, "has_default": "no" if step.default is None else "yes"})
        elif isinstance(step, ApproveStep):
            self._approve(node, step)
        elif isinstance(step, StopStep):
            self._add(node, "stop_run", {**self._run(node), "reason": self._text(step.stop, node)})
        elif isinstance(step, ParallelStep):
            self._join(node, step)
        else:
            raise TypeError(f"{node.kind} has no place on Shuffle")

    def _do(self, node: FlowNode, step: DoStep) -> None:
        asks = step.poll if node.kind is NodeKind.POLL else None
        action, arguments = (asks.do, asks.arguments) if asks else (step.do, step.arguments)
        own = step.id if asks else ""
        told = {name: self._text(value, node, own) for name, value in arguments.items()}
        told |= {"snaphold_run": "$inputs.run", "snaphold_step": label_of(node.id)}
        if asks or not step.poll:
            told["snaphold_expects"] = ",".join(f"{name}:{kind.value}" for name, kind in step.out.items())
        if asks:
            told |= {
                "snaphold_until": escape(asks.until),
                "snaphold_fail": escape(asks.fail),
                "snaphold_every": format_duration(asks.every),
                "snaphold_within": format_duration(asks.within),
                "snaphold_joins": label_of(node.id).replace("-poll", "", 1),
            }
        else:
            if step.retry:
                told |= {"snaphold_attempts": str(step.retry.attempts), "snaphold_every": format_duration(step.retry.every)}
            if step.timeout:
                told["snaphold_timeout"] = format_duration(step.timeout)
        self._add(node, method_name(action), told)

    def _call(self, node: FlowNode, step: CallStep) -> None:
        called = self.parts[step.call].playbook
        kinds = {name: "item" if value == "$item" else called.inputs[name].type.value for name, value in step.arguments.items()}
        told = {**self._run(node), "names": ",".join(f"{name}:{kind}" for name, kind in kinds.items())}
        if step.for_each:
            told |= {"for_each": "yes", "items": self._text(step.for_each, node), "at_once": str(step.at_once or 1)}
        for number, (name, value) in enumerate(step.arguments.items(), start=1):
            if kinds[name] != "item":
                told[f"value_{number}"] = self._text(value, node)
        label = self._add(node, "call_playbook", told)
        start = f"{label}-start"
        other = workflow_id(called.metadata.id, RUN)
        self.drawing.add(subflow(start, other, {"run": f"${label}.child"}, self._at(node, 1), f"Starts {step.call}"))
        self.drawing.lead(label, start, SUCCESS, ("way", "start"), label="start")
        self.drawing.lead(label, _HANDLED, SUCCESS, ("way", "handled"), label="handled")

    def _condition(self, node: FlowNode, step: IfStep) -> None:
        condition = parse_condition(step.condition)
        before = ""
        last = len(condition.comparisons)
        for number, comparison in enumerate(condition.comparisons, start=1):
            label = label_of(node.id) + ("" if number == last else f"-{number}")
            told = {**_compared(comparison), "left": self._text(str(comparison.reference), node)}
            if before:
                told |= {"joiner": condition.joiner, "before": f"${before}.holds"}
            self._add(node, "condition_holds", told, label, last - number)
            if before:
                self.drawing.lead(before, label, SUCCESS, ("way", "next"))
            before = label

    def _approve(self, node: FlowNode, step: ApproveStep) -> None:
        question = step.approve
        first = node.kind is NodeKind.APPROVAL
        terms = question if first or not question.escalate else question.escalate
        asked_of = question.asked_of if first or not question.escalate else question.escalate.to
        asked = {
            **self._run(node),
            "question": self._text(question.ask, node),
            "asked_of": asked_of,
            "within": format_duration(terms.within),
            "quorum": self._text(question.quorum, node),
        }
        if first and question.escalate:
            asked |= {"escalate_to": question.escalate.to, "escalate_within": format_duration(question.escalate.within)}
        if not first:
            asked["joins"] = label_of(node.id).replace("-escalation", "", 1)
        if question.grants:
            asked |= {"role": question.grants.role, "role_lasts": format_duration(question.grants.lasts)}
        label = self._add(node, "approval_state", asked)
        start = f"{label}-ask"
        told = {"run": "$inputs.run", "step": label}
        other = workflow_id(self.playbook.metadata.id, TELL)
        self.drawing.add(subflow(start, other, told, self._at(node, 1), f"Tells {asked_of}"))
        self.drawing.lead(label, start, SUCCESS, ("way", "ask"), label="ask")

    def _join(self, node: FlowNode, step: ParallelStep) -> None:
        """Give each list an end of its own, so that the join can tell whether every list came to its end."""
        label = label_of(node.id)
        ends = [f"{label}-{index}" for index in range(len(step.parallel))]
        values = ",".join(f"${end}.success^_^" for end in ends)
        for index, end in enumerate(ends):
            self._add(node, "go_on", {"note": f"end of list {index + 1}"}, end, index + 1)
        self._add(node, "join_lists", {"values": values})
        for end in ends:
            self.drawing.lead(end, label, SUCCESS, ("way", "next"))

    def _edge(self, edge: Edge) -> None:
        source = INPUTS if edge.source == START_ID else label_of(edge.source)
        node, target = self.flow.node(edge.source), self.flow.node(edge.target)
        into = label_of(edge.target)
        if target.kind is NodeKind.JOIN and isinstance(target.step, ParallelStep):
            into = f"{into}-{_list_index(target.step, edge.source)}"
        if target.kind is NodeKind.FAILED and self._is_handled(node, edge.label):
            into = _HANDLED
        if node.kind is NodeKind.CONDITION and edge.label == ERROR:
            for number in range(1, len(parse_condition(_if(node).condition).comparisons)):
                self.drawing.lead(f"{source}-{number}", into, ("success", "false"), label=ERROR)
        self.drawing.lead(source, into, *_tests(node, edge.label), label=edge.label)
        if target.kind is NodeKind.CONDITION and len(parse_condition(_if(target).condition).comparisons) > 1:
            # The chain of comparisons is entered at its first one.
            way = self.drawing.ways.pop()
            self.drawing.lead(way.source, f"{into}-1", *way.tests, label=way.label)

    def _is_handled(self, node: FlowNode, label: str) -> bool:
        """Return whether a run that ends here was ended by a step's own handler, or by people: nobody handles it again."""
        if node.kind in (NodeKind.APPROVAL, NodeKind.ESCALATION):
            return label in (DENIED, TIMEOUT)
        return bool(node.handler) and node.handler != self.playbook.metadata.on_error and label != ERROR

    def _again(self, waiting: list[FlowNode]) -> None:
        bottom = max(node.row for node in self.flow.nodes) + 1
        left = LEFT + self._x(max(node.column for node in self.flow.nodes) + 1)
        told = {"run": "$inputs.run", "seconds": _PAUSE_SECONDS}
        self.drawing.add(Node("again", "pause_run", told, (left, TOP + ROW * bottom), "Ends this pass: something waits"))
        self.drawing.add(again(self.playbook, (left, TOP + ROW * bottom + 120)))
        self.drawing.lead("again", "again-start", SUCCESS, ("way", "next"))
        for node in waiting:
            label = label_of(node.id)
            for way in ("waiting", *(["start"] if node.kind is NodeKind.CALL else [])):
                self.drawing.lead(label, "again", SUCCESS, ("way", way), label=way)
            if node.kind in (NodeKind.APPROVAL, NodeKind.ESCALATION):
                self.drawing.lead(label, "again", SUCCESS, ("way", "ask"), label="ask")


def _if(node: FlowNode) -> IfStep:
    if not isinstance(node.step, IfStep):
        raise TypeError(f"{node.id} has no condition")
    return node.step


def _compared(comparison: Comparison) -> dict[str, str]:
    literal = comparison.literal
    kind = type_of(literal) or ValueType.STRING
    right = literal if isinstance(literal, str) else write_literal(literal)
    return {"operator": comparison.operator, "right": escape(right), "type": kind.value}


def _tests(node: FlowNode, label: str) -> tuple[Test, ...]:
    """Return what a branch compares. Every way but the error path is gated on success."""
    if label == ERROR:
        return (("success", "false"),)
    if label in (APPROVED, DENIED, TIMEOUT):
        return SUCCESS, ("way", label)
    if node.kind is NodeKind.CONDITION:
        return SUCCESS, ("holds", "true" if label == YES else "false")
    if node.kind is NodeKind.SWITCH:
        cases = list(node.step.cases) if isinstance(node.step, SwitchStep) else []
        return SUCCESS, ("case", "0" if label == DEFAULT else str(cases.index(label.removeprefix(CASE)) + 1))
    if label == NEXT:
        return SUCCESS, ("way", "next")
    raise ValueError(f"{node.id} has no way {label!r}")


def _list_index(step: ParallelStep, source: str) -> int:
    """Return which list of a `parallel` a node stands in; a handler's copy stands where its step does."""
    parts = [part for piece in source.split("@") for part in (piece.partition(".")[0],)]
    for index, steps in enumerate(step.parallel):
        inside = {inner.id for _, inner in walk(steps, ())}
        if any(part in inside for part in parts):
            return index
    raise ValueError(f"{source} stands in no list of {step.id}")
