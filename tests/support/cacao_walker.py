"""Plays a CACAO document step by step, as its specification says, with scripted answers in the place of the world.

It shares no code with the exporter: patterns, variables and branches are judged here from the document alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

EXTENSION = re.compile(r"extension-definition--.*")
TOKEN = re.compile(r"\s*(\(|\)|AND\b|OR\b|NOT IN\b|IN\b|!=|<=|>=|=|<|>|,|'(?:[^'\\]|\\.)*'|-?\d+|__[A-Za-z0-9_-]+__:value)")
LONGEST_WALK = 5000

Answer = "Mapping[str, Any] | None"
Ask = Callable[[str, Mapping[str, Any]], "Mapping[str, Any] | None"]
"""Gives an action's answer; None when the call fails."""
Decide = Callable[[str, str], "str | None"]
"""Gives a person's answer to (who, question); None when nobody answers in time."""


@dataclass
class CacaoWalker:
    """Plays playbooks. `trace` lists every action that was called, with its input, and every question."""

    playbooks: Mapping[str, Mapping[str, Any]]
    ask: Ask
    decide: Decide
    job: Callable[[str], Mapping[str, Any] | None] = lambda _: None
    trace: list[tuple[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    left: int = LONGEST_WALK

    def play(self, id: str, given: Mapping[str, str]) -> dict[str, str]:
        """Play a playbook with the external variables `given` and return all its variables at the end."""
        document = self.playbooks[id]
        declared = document["playbook_variables"]
        unknown = set(given) - set(declared)
        assert not unknown, f"{document['name']} is given {unknown}"
        variables = {name: given.get(name, variable.get("value")) for name, variable in declared.items()}
        self._chain(document, document["workflow_start"], variables)
        return variables

    def _chain(self, document: Mapping[str, Any], id: str, variables: dict[str, str]) -> None:
        while True:
            self.left -= 1
            assert self.left > 0, "the walk does not end"
            step = document["workflow"][id]
            if step["type"] == "end":
                return
            id = self._step(document, step, variables)

    def _step(self, document: Mapping[str, Any], step: Mapping[str, Any], variables: dict[str, str]) -> str:
        kind, went_well = step["type"], True
        if kind == "action":
            went_well = self._action(document, step, variables)
        elif kind == "if-condition":
            way = "on_true" if holds(step["condition"], variables) else "on_false"
            if way in step:
                self._chain(document, step[way], variables)
        elif kind == "while-condition":
            went_well = self._while(document, step, variables)
        elif kind == "parallel":
            for entry in step["next_steps"]:
                self._chain(document, entry, variables)
        elif kind == "playbook-action":
            own = {name: fill(item["value"], variables) for name, item in step["step_variables"].items()}
            given = {name: own.get(name, variables.get(name)) for name in step["in_args"]}
            ended = self.play(step["playbook_id"], {name: value for name, value in given.items() if value is not None})
            variables.update({name: ended[name] for name in step["out_args"]})
        else:
            assert kind == "start", kind
        if "on_completion" in step:
            return step["on_completion"]
        return step["on_success"] if went_well else step["on_failure"]

    def _while(self, document: Mapping[str, Any], step: Mapping[str, Any], variables: dict[str, str]) -> bool:
        waited = 0
        while holds(step["condition"], variables):
            waited += document["workflow"][step["on_true"]].get("delay", 0)
            if "timeout" in step and waited > step["timeout"]:
                return False
            self._chain(document, step["on_true"], variables)
        return True

    def _action(self, document: Mapping[str, Any], step: Mapping[str, Any], variables: dict[str, str]) -> bool:
        (command,) = step["commands"]
        if command["type"] == "manual":
            who = document["agent_definitions"][step["agent"]]["name"]
            said = self.decide(who, fill(command["command"], variables))
            if said is not None:
                variables.update(dict.fromkeys(step["out_args"], said))
            return said is not None
        verb, path, _ = fill(command["command"], variables).split()
        if verb == "GET":
            answer = self.job(path.rpartition("/")[2])
        else:
            action = path.rpartition("/")[2]
            given = json.loads(fill(command["content"], variables))
            given.pop("incident")
            self.keys += [fill(key, variables) for key in command["headers"].get("Idempotency-Key", [])]
            answer = self.ask(action, given)
            self.trace.append((action, given))
        if answer is None:
            return False
        (extension,) = step["step_extensions"].values()
        assert sorted(extension["out"]) == step["out_args"]
        for name, source in extension["out"].items():
            value: Any = answer
            for part in source.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if value is not None:
                variables[name] = written(value, as_json=name.endswith("-JSON__"))
        return True


def written(value: Any, *, as_json: bool = False) -> str:
    """Return a value of an answer as a variable holds it."""
    if isinstance(value, str) and not as_json:
        return value
    return ",".join(value) if isinstance(value, list) and not as_json else json.dumps(value)


def fill(text: str, variables: Mapping[str, Any]) -> str:
    """Return text with the values of its variables."""

    def value(found: re.Match[str]) -> str:
        assert variables.get(found[1]) is not None, f"{found[1]} has no value in {text!r}"
        return variables[found[1]]

    return re.sub(r"(__[A-Za-z_][A-Za-z0-9_-]*?__):value", value, text)


def holds(pattern: str, variables: Mapping[str, Any]) -> bool:
    """Return whether a STIX pattern holds."""
    assert pattern[0] == "[", pattern
    assert pattern[-1] == "]", pattern
    tokens, position = [], 1
    while position < len(pattern) - 1:
        match = TOKEN.match(pattern, position)
        assert match, f"{pattern[position:]!r} in {pattern!r}"
        tokens.append(match[1])
        position = match.end()
    tokens.append("]")
    verdict = _either(tokens, variables)
    assert tokens == ["]"], tokens
    return verdict


def _either(tokens: list[str], variables: Mapping[str, Any]) -> bool:
    verdict = _both(tokens, variables)
    while tokens[0] == "OR":
        tokens.pop(0)
        verdict = _both(tokens, variables) or verdict
    return verdict


def _both(tokens: list[str], variables: Mapping[str, Any]) -> bool:
    verdict = _one(tokens, variables)
    while tokens[0] == "AND":
        tokens.pop(0)
        verdict = _one(tokens, variables) and verdict
    return verdict


def _one(tokens: list[str], variables: Mapping[str, Any]) -> bool:
    first = tokens.pop(0)
    if first == "(":
        verdict = _either(tokens, variables)
        assert tokens.pop(0) == ")"
        return verdict
    value, operator = variables[first.removesuffix(":value")], tokens.pop(0)
    if operator in ("IN", "NOT IN"):
        assert tokens.pop(0) == "("
        literals = [_literal(tokens.pop(0))]
        while tokens.pop(0) == ",":
            literals.append(_literal(tokens.pop(0)))
        return (value in literals) is (operator == "IN")
    text = tokens.pop(0)
    literal = _literal(text)
    if operator in ("=", "!="):
        return (value == literal) is (operator == "=")
    left, right = int(value), int(text)
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]


def _literal(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith("'") else text
