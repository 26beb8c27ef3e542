"""Finds in a CACAO document what the schemas let pass. Pure functions; a player would fail on it, or worse, go on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from snaphold.errors import Problem
from snaphold.targets.cacao_values import USED_VARIABLE

COMMAND_TYPES = frozenset(
    {
        "manual",
        "http-api",
        "openc2-http",
        "bash",
        "powershell",
        "ssh",
        "caldera-cmd",
        "elastic",
        "jupyter",
        "kestrel",
        "sigma",
        "yara",
    }
)
_V4 = re.compile(r"[a-z][a-z0-9-]+[a-z0-9]--[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_COMPARISON = (
    r"__[a-zA-Z_][a-zA-Z0-9_-]*__:value +"
    r"(?:(?:=|!=|<=?|>=?|NOT =) +(?:'(?:[^'\\]|\\['\\])*'|-?[0-9]+)|(?:NOT +)?IN +\('[^'\\]*'(?: *, *'[^'\\]*')*\))"
)
_LEVEL = "x(?: AND x)*|x(?: OR x)*"
_NEXT = ("on_completion", "on_success", "on_failure")
_BRANCHES = ("on_true", "on_false")


def lint_cacao(document: Mapping[str, Any]) -> list[Problem]:
    """Return every fault; an empty list when there is none."""
    return [*_steps(document), *_ids(document), *_flow(document), *_variables(document), *_times(document)]


def branches_of(step: Mapping[str, Any]) -> list[str]:
    """Return where a step branches to: chains that end and then give control back to it."""
    return [*(step[key] for key in _BRANCHES if key in step), *step.get("next_steps", []), *step.get("cases", {}).values()]


def next_of(step: Mapping[str, Any]) -> list[str]:
    """Return what can follow a step in its own chain."""
    return [step[key] for key in _NEXT if key in step]


def _workflow(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return cast("dict[str, dict[str, Any]]", document.get("workflow", {}))


def _steps(document: Mapping[str, Any]) -> Iterator[Problem]:
    agents = document.get("agent_definitions", {})
    for id, step in _workflow(document).items():
        if not id.startswith(f"{step['type']}--"):
            yield Problem(f"the id is not one of a step of type {step['type']}", id)
        for target in (*next_of(step), *branches_of(step)):
            if target not in _workflow(document):
                yield Problem(f"leads to {target}, which does not exist", id)
        for field in ("timeout", "delay"):
            if field in step and step[field] <= 0:
                yield Problem(f"{field} is {step[field]}; it must be more than nothing", id)
        for command in step.get("commands", []):
            if command["type"] not in COMMAND_TYPES:
                yield Problem(f"there is no command type {command['type']!r}", id)
        if "agent" in step and step["agent"] not in agents:
            yield Problem(f"the agent {step['agent']} is not defined", id)
        if "condition" in step and not is_pattern(step["condition"]):
            yield Problem(f"{step['condition']!r} is no pattern that is used here", id)


def _ids(document: Mapping[str, Any]) -> Iterator[Problem]:
    ids = [
        document["id"],
        *_workflow(document),
        *document.get("agent_definitions", {}),
        *document.get("extension_definitions", {}),
    ]
    seen: dict[str, str] = {}
    for id in ids:
        unique = id.rpartition("--")[2]
        if unique in seen:
            yield Problem(f"has the same UUID as {seen[unique]}", id)
        seen[unique] = id
        if id != document["id"] and not _V4.fullmatch(id):
            yield Problem("the id is not a UUID of version 4", id)


def _flow(document: Mapping[str, Any]) -> Iterator[Problem]:
    steps = _workflow(document)
    starts = [document[key] for key in ("workflow_start", "workflow_exception") if key in document]
    for start in starts:
        if start not in steps:
            yield Problem(f"the workflow starts at {start}, which does not exist", "workflow_start")
    reached: set[str] = set()
    waiting = [start for start in starts if start in steps]
    while waiting:
        id = waiting.pop()
        if id in reached or id not in steps:
            continue
        reached.add(id)
        waiting += [*next_of(steps[id]), *branches_of(steps[id])]
    for id, step in steps.items():
        if id not in reached:
            yield Problem("is never reached", id)
        own = _chain(steps, next_of(step))
        for entry in branches_of(step):
            # A branch that runs into what follows the branching step would run that twice: it needs an end of its own.
            shared = {found for found in _chain(steps, [entry]) & own if steps[found]["type"] != "end"}
            if shared and step["type"] != "while-condition":
                yield Problem(f"the branch {entry} has no end of its own: it runs into {min(shared)}", id)
    for id in _rounds(steps):
        yield Problem("leads back to itself", id)


def _chain(steps: Mapping[str, Mapping[str, Any]], entries: list[str]) -> set[str]:
    """Return the steps of a chain, without those inside the branches of its steps."""
    found: set[str] = set()
    waiting = list(entries)
    while waiting:
        id = waiting.pop()
        if id in steps and id not in found:
            found.add(id)
            waiting += next_of(steps[id])
    return found


def _rounds(steps: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield steps that can come round to themselves; only while-condition repeats, and not by an edge."""
    done: set[str] = set()
    for root in steps:
        trail: list[tuple[str, list[str]]] = [(root, _ways(steps, root))] if root not in done else []
        on_trail = {root}
        while trail:
            id, ways = trail[-1]
            if not ways:
                trail.pop()
                on_trail.discard(id)
                done.add(id)
                continue
            target = ways.pop()
            if target in on_trail:
                yield target
            elif target in steps and target not in done:
                trail.append((target, _ways(steps, target)))
                on_trail.add(target)


def _ways(steps: Mapping[str, Mapping[str, Any]], id: str) -> list[str]:
    return [*next_of(steps[id]), *branches_of(steps[id])]


def _variables(document: Mapping[str, Any]) -> Iterator[Problem]:
    declared = set(document.get("playbook_variables", {}))
    for id, step in _workflow(document).items():
        own = set(step.get("step_variables", {}))
        used = {match[1] for text in _texts({**step, "step_extensions": {}}) for match in USED_VARIABLE.finditer(text)}
        for name in sorted({*used, *step.get("in_args", []), *step.get("out_args", [])} - declared - own):
            yield Problem(f"the variable {name} is not declared", id)
        outs = set(step.get("out_args", []))
        for name, variable in document.get("playbook_variables", {}).items():
            if name in outs and variable.get("constant"):
                yield Problem(f"the variable {name} is constant and cannot be set", id)


def _times(document: Mapping[str, Any]) -> Iterator[Problem]:
    for field in ("created", "modified", "valid_from", "valid_until"):
        if field in document and not _TIME.fullmatch(document[field]):
            yield Problem("a time has milliseconds and ends in Z", field)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _texts(item)


def is_pattern(text: str) -> bool:
    """Return whether a condition is a STIX pattern of comparisons of variables with literals, with AND, OR and brackets."""
    if not (text.startswith("[") and text.endswith("]")):
        return False
    rest = re.sub(_COMPARISON, "x", text[1:-1])
    # Only one kind of word between brackets: STIX binds AND tighter than OR, and players disagree.
    while (folded := re.sub(rf"\(({_LEVEL})\)", "x", rest)) != rest:
        rest = folded
    return re.fullmatch(_LEVEL, rest) is not None
