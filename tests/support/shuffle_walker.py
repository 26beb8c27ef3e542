"""Walks compiled Shuffle workflows the way Shuffle does, with the app's own code and a scripted service behind it.

What decides is the same as in the SDK: references are text replaced before the call, a branch compares with `equals`
and ignores case, branches into a node are OR, a node waits for all its parents, and SKIPPED goes on to what follows.
`tests/packaging/test_shuffle_sdk.py` shows that the real SDK answers as `substitute` and `holds` do here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from snaphold.action import catalogue
from snaphold.clock import parse_duration
from snaphold.execute import validate
from snaphold.soar.shuffle import answer
from snaphold.soar.shuffle_names import method_name
from support.ledgers import NOW

REFERENCE = re.compile(r"([$]{1}([a-zA-Z0-9_@-]+\.?){1}([a-zA-Z0-9#_@-]+\.?){0,})")
ESCAPED = "\\%\\%\\%\\%\\%"
MOST_PASSES = 20_000
METHODS = {method_name(name): name for name in catalogue()}
Respond = Callable[[str, Mapping[str, Any]], dict[str, Any]]


def substitute(text: str, results: Mapping[str, str], argument: str) -> str:
    """Return a parameter with its references replaced; what is missing becomes nothing."""
    found = text.replace("\\$", ESCAPED)
    for match in REFERENCE.findall(found):
        found = found.replace(match[0], _value(match[0], results, argument), 1)
    return found.replace("^_^", "").replace(ESCAPED, "$")


def _value(reference: str, results: Mapping[str, str], argument: str) -> str:
    label, *fields = reference[1:].split(".")
    base = argument if label.lower() == "exec" else results.get(label.lower(), "")
    if not base or not fields:
        return base
    try:
        value: Any = json.loads(base)
    except ValueError:
        return base
    for name in fields:
        if name == "":
            break
        if not isinstance(value, dict) or name not in value:
            return ""
        value = value[name]
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def parsed(text: str) -> Any:
    """Return what the SDK hands to a method: text that looks like JSON is read."""
    if text[:1] in ("{", "[") and text[-1:] in ("}", "]"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def holds(branch: Mapping[str, Any], results: Mapping[str, str], argument: str) -> bool:
    """Return whether a branch is taken. Only positive `equals` exists in compiled workflows."""
    verdicts: list[bool] = []
    for condition in branch["conditions"]:
        assert condition["condition"]["value"] == "equals"
        assert not condition["condition"]["configuration"]
        left, right = (substitute(condition[side]["value"], results, argument) for side in ("source", "destination"))
        verdicts.append(left.lower() == right.lower())
    return all(verdicts)


@dataclass
class Store:
    """What the SDK's `AppBase` gives: the datastore of the organisation and the id of the execution."""

    values: dict[str, str] = field(default_factory=dict[str, str])
    current_execution_id: str = "execution-1"

    def get_cache(self, key: str) -> dict[str, Any]:
        """Answer as the SDK: the value is read as JSON where it can be."""
        if key not in self.values:
            return {"success": False, "key": key}
        return {"success": True, "key": key, "value": json.loads(self.values[key])}

    def set_cache(self, key: str, value: str) -> dict[str, Any]:
        """Keep text, as the SDK does."""
        self.values[key] = str(value)
        return {"success": True, "key": key, "value": str(value)}


class ScriptedService:
    """Answers actions by a function of name and input, and keeps what was asked."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.keys: list[str] = []

    def call(self, action: str, given: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """Answer an action; the key must be there exactly when it writes."""
        entry = catalogue()[action]
        assert bool(options["key"]) is (entry.effect.value != "reads"), action
        self.asked.append((action, dict(given)))
        self.keys += [options["key"]] if options["key"] else []
        return self.respond(action, given)


@dataclass
class Watch:
    """A clock that only pauses and delays move."""

    moment: datetime = NOW

    def now(self) -> datetime:
        """Return the time."""
        return self.moment

    def sleep(self, seconds: float) -> None:
        """Move the time."""
        self.moment += timedelta(seconds=seconds)


@dataclass
class Walker:
    """Runs workflows until nothing is left to start. `people`: what is answered at a gate: approved, denied, or silence."""

    workflows: Mapping[str, Mapping[str, Any]]
    service: Any
    people: Mapping[str, str] = field(default_factory=dict[str, str])
    store: Store = field(default_factory=Store)
    watch: Watch = field(default_factory=Watch)
    waiting: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    executions: int = 0
    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    questions: dict[str, dict[str, Any]] = field(default_factory=dict[str, "dict[str, Any]"])
    granted: list[str] = field(default_factory=list[str])

    def run(self, workflow: str, argument: Mapping[str, Any]) -> None:
        """Start a workflow by id and go on until all that it starts has ended."""
        self.waiting.append((workflow, json.dumps(argument)))
        while self.waiting:
            self.executions += 1
            assert self.executions < MOST_PASSES, "the run never ends"
            self.execute(*self.waiting.pop(0))

    def execute(self, workflow: str, argument: str) -> dict[str, dict[str, Any]]:
        """Run one execution and return the results by label; a skipped node has none."""
        document = self.workflows[workflow]
        self.store.current_execution_id = f"execution-{self.executions}"
        nodes = {node["id"]: node for node in [*document["actions"], *document["triggers"]]}
        results: dict[str, str] = {}
        state: dict[str, str] = {}
        left = [id for id in nodes if nodes[id].get("trigger_type") != "WEBHOOK"]
        while left:
            id = next(id for id in left if self._is_ready(document, id, nodes, state))
            left.remove(id)
            node, into = nodes[id], [branch for branch in document["branches"] if branch["destination_id"] == id]
            taken = id == document["start"] or any(
                state.get(branch["source_id"]) == "SUCCESS" and holds(branch, results, argument) for branch in into
            )
            found = self._act(node, results, argument) if taken else None
            state[id] = "SKIPPED" if found is None else "SUCCESS"
            if found is not None:
                results[node["label"].lower()] = json.dumps(found, indent=4)
        return {label: json.loads(text) for label, text in results.items()}

    def _is_ready(self, document: Mapping[str, Any], id: str, nodes: Mapping[str, Any], state: Mapping[str, str]) -> bool:
        sources = [branch["source_id"] for branch in document["branches"] if branch["destination_id"] == id]
        return all(source in state or nodes[source].get("trigger_type") == "WEBHOOK" for source in sources)

    def _act(self, node: Mapping[str, Any], results: Mapping[str, str], argument: str) -> dict[str, Any] | None:
        told = {one["name"]: substitute(one["value"], results, argument) for one in node["parameters"]}
        kind = node.get("trigger_type")
        if kind == "SUBFLOW":
            self.watch.sleep(node["execution_delay"])
            self.waiting.append((told["workflow"], told["argument"]))
            return {"success": True}
        method = METHODS.get(str(node["name"]), str(node["name"]))
        self.calls.append((node["label"], method))
        given = {name: parsed(text) for name, text in told.items()}
        people: Any = WithPeople(self)
        return answer(self.store, method, given, client=lambda _: people, clock=self.watch, sleep=self.watch.sleep)

    def decision(self, asked: dict[str, Any]) -> str:
        """Return what was decided by now."""
        gate, now = asked["gate"], self.watch.now()
        said = self.people.get(gate, "approved")
        if said != "silent":
            return said
        if asked["second"] is None and now >= asked["at"] + parse_duration(asked["within"]):
            if not asked.get("escalate_to"):
                return "expired"
            asked["second"] = now
        if asked["second"] is None:
            return "waiting"
        said = self.people.get(f"{gate}-escalation", "approved")
        late = now >= asked["second"] + parse_duration(asked["escalate_within"])
        return said if said != "silent" else "expired" if late else "waiting"

    def ended(self, run: str) -> dict[str, Any]:
        """Return how a run ended; empty when it has not."""
        found = self.store.values.get(f"snaphold.{run}.end")
        return json.loads(found) if found else {}


class WithPeople:
    """The service of a walker, with people who answer its questions; everything else is the service's own."""

    def __init__(self, walker: Walker) -> None:
        self.walker = walker

    def __getattr__(self, name: str) -> Any:
        return getattr(self.walker.service, name)

    def call(self, action: str, given: Mapping[str, Any], **options: Any) -> Any:
        """Answer about a question as Snaphold does: silence is escalated when its time is over, and then expires."""
        walker = self.walker
        if action == "approval.ask":
            assert options["key"]
            validate(catalogue()[action], given)
            gate = options["key"].split("/")[1].partition("[")[0].rpartition(".")[2]
            asked = {**given, "gate": gate, "at": walker.watch.now(), "second": None}
            id = "APR-" + options["key"].replace("/", ".").replace("[", ".").replace("]", "")
            walker.questions.setdefault(id, asked)
            return {"outcome": "succeeded", "approval": id}
        if action not in ("approval.status", "authority.issue_grant"):
            return walker.service.call(action, given, **options)
        decision = walker.decision(walker.questions[given["approval"]])
        if action == "authority.issue_grant":
            assert options["key"]
            assert decision == "approved"
            walker.granted.append(walker.questions[given["approval"]]["role"])
            return {"outcome": "succeeded", "grant": "GRANT-1"}
        escalated = walker.questions[given["approval"]]["second"] is not None
        return {"outcome": "succeeded", "decision": decision, "escalated": escalated, "answers": []}
