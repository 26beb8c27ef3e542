"""Walks a compiled XSOAR playbook as a server would: its YAML, our real commands, scripted answers for the world.

It shares no code with the compiler. Where nobody could check what a server does, it takes the least convenient reading:
a list of one item is handed on as text, a task that is entered by several ways runs once, after all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

LONGEST_WALK = 5000
Run = Callable[[str, dict[str, Any]], "dict[str, Any] | None"]
"""Runs a command with its arguments and returns the context that it gives; None when it is an error."""


@dataclass
class Walked:
    """What one playbook did: the numbers of its tasks in order, and its context at the end."""

    tasks: list[str] = field(default_factory=list)
    context: dict[str, Any] = field(default_factory=dict)
    halted: str = ""


@dataclass
class XsoarWalker:
    """Walks playbooks; `playbooks` by name."""

    playbooks: Mapping[str, Mapping[str, Any]]
    run: Run
    incident: Mapping[str, Any]
    left: int = LONGEST_WALK

    def walk(self, name: str, given: Mapping[str, Any]) -> Walked:
        """Walk a playbook with these inputs."""
        document = self.playbooks[name]
        context: dict[str, Any] = {"incident": dict(self.incident)}
        defaults = {item["key"]: value_of(item["value"], context) for item in document["inputs"]}
        unknown = set(given) - set(defaults)
        assert not unknown, f"{name} has no inputs {unknown}"
        missing = [item["key"] for item in document["inputs"] if item["required"] and not {**defaults, **given}.get(item["key"])]
        assert not missing, f"{name} misses {missing}"
        context["inputs"] = {key: value for key, value in {**defaults, **given}.items() if value not in (None, "")}
        done = Walked(context=context)
        tasks = document["tasks"]
        reach = _reachable(tasks)
        waiting = [document["starttaskid"]]
        while waiting:
            self.left -= 1
            assert self.left > 0, "the walk does not end"
            ready = [task for task in waiting if not any(task in reach[other] for other in waiting if other != task)]
            number = ready[-1]
            waiting.remove(number)
            done.tasks.append(number)
            label = self._task(tasks[number], context)
            following = tasks[number].get("nexttasks", {})
            if following and label not in following:
                done.halted = f"task {number} of {name} has no way {label}"
                return done
            for follower in reversed(following.get(label, [])):
                if follower not in waiting and follower not in done.tasks:
                    waiting.append(follower)
        return done

    def _task(self, task: Mapping[str, Any], context: dict[str, Any]) -> str:
        kind = task["type"]
        if kind in ("start", "title"):
            return "#none#"
        if kind == "condition":
            assert "message" not in task, "XSOAR's own questions do not tell who answers"
            return _choose(task, context)
        arguments = {key: value_of(value, context) for key, value in task.get("scriptarguments", {}).items()}
        arguments = {key: value for key, value in arguments.items() if value not in (None, "")}
        if kind == "playbook":
            return self._call(task, arguments, context)
        assert kind == "regular", kind
        found = self.run(task["task"]["script"].partition("|||")[2], arguments)
        if found is None:
            assert task["continueonerror"] is True
            assert task["continueonerrortype"] == "errorPath"
            return "#error#"
        for path, value in found.items():
            write(context, path, value)
        return "#none#"

    def _call(self, task: Mapping[str, Any], arguments: dict[str, Any], context: dict[str, Any]) -> str:
        name = task["task"]["playbookName"]
        turns = 1
        if task.get("loop"):
            assert task["loop"]["forEach"] is True
            turns = max(len(value) if isinstance(value, list) else 1 for value in arguments.values())
        for turn in range(turns):
            given = {
                key: value[turn] if task.get("loop") and isinstance(value, list) else value for key, value in arguments.items()
            }
            assert all("," not in value for value in given.values() if task.get("loop") and isinstance(value, str)), given
            ended = self.walk(name, given)
            if ended.halted:
                return "#error#"
            self._take_outputs(name, ended.context, context)
        return "#none#"

    def _take_outputs(self, name: str, inner: Mapping[str, Any], context: dict[str, Any]) -> None:
        paths = [output["contextPath"] for output in self.playbooks[name]["outputs"]]
        for path in paths:
            if not any(path.startswith(other + ".") for other in paths):
                value = read(inner, path)
                for one in value if isinstance(value, list) else [value] if value is not None else []:
                    write(context, path, one)


def load(content: bytes) -> dict[str, Any]:
    """Return a compiled playbook."""
    return yaml.safe_load(content)


def value_of(value: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
    """Return a value of a task: fixed text with `${paths}`, or a path."""
    if "simple" in value:
        return re.sub(r"\$\{([^}]*)\}", lambda found: str(read(context, found[1]) or ""), value["simple"])
    if "complex" in value:
        inner = value["complex"]
        return read(context, ".".join(part for part in (inner["root"], inner.get("accessor", "")) if part))
    return None


def read(context: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a path. A list of one item is that item."""
    found: Any = context
    for part in path.split("."):
        if isinstance(found, list):
            found = [one[part] for one in found if isinstance(one, dict) and part in one]
        elif isinstance(found, dict):
            found = found.get(part)
    if isinstance(found, list):
        flat = [item for one in found for item in (one if isinstance(one, list) else [one])]
        return flat[0] if len(flat) == 1 else flat or None
    return found


def write(context: dict[str, Any], path: str, value: Any) -> None:
    """Write a value of an entry's context: replace what has the same key, else stand beside it."""
    place, _, condition = path.partition("(")
    keys = sorted(set(re.findall(r"obj\.(\w+)", condition)))
    *folders, last = place.split(".")
    inner = context
    for part in folders:
        inner = inner.setdefault(part, {})
        assert isinstance(inner, dict), f"{path} meets a list"
    for one in value if isinstance(value, list) else [value]:
        there = inner.get(last)
        known = there if isinstance(there, list) else [] if there is None else [there]
        kept = [item for item in known if not keys or any(item.get(key) != one.get(key) for key in keys)]
        inner[last] = [*kept, one] if kept else one


def _choose(task: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    for entry in task["conditions"]:
        if all(any(_holds(term, context) for term in terms) for terms in entry["condition"]):
            return entry["label"]
    return "#default#"


def _holds(term: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    left = value_of(term["left"]["value"], context)
    assert term["left"]["iscontext"] is True
    if term["operator"] == "isExists":
        return left not in (None, "")
    if term["operator"] in ("isEmpty", "isNotEmpty"):
        return (left in (None, "")) is (term["operator"] == "isEmpty")
    if left is None:
        return term["operator"] == "isNotEqualString"
    assert isinstance(left, str), f"{left!r} is compared with text"
    right = value_of(term["right"]["value"], context)
    if term["operator"] in ("isEqualString", "isNotEqualString"):
        return (left == right) is (term["operator"] == "isEqualString")
    numbers = int(left), int(right)
    return {
        "lessThan": numbers[0] < numbers[1],
        "lessThanOrEqual": numbers[0] <= numbers[1],
        "greaterThan": numbers[0] > numbers[1],
        "greaterThanOrEqual": numbers[0] >= numbers[1],
    }[term["operator"]]


def _reachable(tasks: Mapping[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}

    def visit(number: str, path: tuple[str, ...]) -> set[str]:
        assert number not in path, f"a cycle at {number}"
        if number not in found:
            followers = [follower for group in tasks[number].get("nexttasks", {}).values() for follower in group]
            found[number] = set(followers).union(*(visit(follower, (*path, number)) for follower in followers))
        return found[number]

    for number in tasks:
        visit(number, ())
    return found
