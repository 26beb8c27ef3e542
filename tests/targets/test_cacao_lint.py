"""What the schemas let pass is found by our own checks: one fault each, seeded into a faultless export."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from snaphold.targets.cacao_lint import is_pattern, lint_cacao
from support.cacao_play import cacao_set
from support.every_construct import everything

Fault = Callable[[dict[str, Any]], Any]


def of_kind(made: dict[str, Any], kind: str, having: str = "") -> dict[str, Any]:
    return next(step for step in made["workflow"].values() if step["type"] == kind and having in ("", *step))


def rename(made: dict[str, Any], old: str, new: str) -> None:
    made["workflow"][new] = made["workflow"].pop(old)
    for step in made["workflow"].values():
        for key, value in step.items():
            if value == old:
                step[key] = new
            elif isinstance(value, list):
                step[key] = [new if item == old else item for item in value]


def dangle(made: dict[str, Any]) -> None:
    of_kind(made, "action", "on_failure")["on_failure"] = "end--00000000-0000-4000-8000-000000000000"


def version_5(made: dict[str, Any]) -> None:
    old = next(id for id in made["workflow"] if id.startswith("parallel--"))
    rename(made, old, old[:24] + "5" + old[25:])


def wrong_type(made: dict[str, Any]) -> None:
    old = next(id for id in made["workflow"] if id.startswith("parallel--"))
    rename(made, old, old.replace("parallel", "action"))


def same_uuid(made: dict[str, Any]) -> None:
    old = next(id for id in made["workflow"] if id.startswith("parallel--"))
    rename(made, old, "parallel--" + made["workflow_start"].partition("--")[2])


def no_own_end(made: dict[str, Any]) -> None:
    step = of_kind(made, "parallel")
    step["next_steps"][0] = step["on_completion"]


def round_trip(made: dict[str, Any]) -> None:
    start = of_kind(made, "start")
    steps = made["workflow"]
    first = next(id for id in steps if steps[id]["type"] == "action" and "on_failure" in steps[id])
    steps[first]["on_failure"] = start["on_completion"]


def unreached(made: dict[str, Any]) -> None:
    made["workflow"]["end--00000000-0000-4000-8000-000000000000"] = {"type": "end"}


FAULTS: dict[str, tuple[Fault, str]] = {
    "dangling step id": (dangle, "does not exist"),
    "dangling start": (lambda made: made.update(workflow_start="start--x"), "the workflow starts at"),
    "unknown agent": (lambda made: of_kind(made, "action").update(agent="group--x"), "is not defined"),
    "undeclared in_args": (lambda made: of_kind(made, "action", "in_args")["in_args"].append("__no__"), "__no__ is not declared"),
    "undeclared out_args": (lambda made: of_kind(made, "action")["out_args"].append("__no__"), "__no__ is not declared"),
    "undeclared in a condition": (
        lambda made: of_kind(made, "if-condition").update(condition="[__no__:value = '1']"), "__no__ is not declared",
    ),
    "undeclared in a command": (
        lambda made: of_kind(made, "action")["commands"][0].update(command="__no__:value"), "__no__ is not declared",
    ),
    "constant that is set": (
        lambda made: made["playbook_variables"][of_kind(made, "action", "out_args")["out_args"][0]].update(constant=True),
        "is constant",
    ),
    "malformed condition": (lambda made: of_kind(made, "if-condition").update(condition="__x__:value = '1'"), "is no pattern"),
    "misspelt command type": (lambda made: of_kind(made, "action")["commands"][0].update(type="htpp-api"), "no command type"),
    "negative timeout": (lambda made: of_kind(made, "while-condition", "timeout").update(timeout=-1), "timeout is -1"),
    "delay of nothing": (lambda made: of_kind(made, "action").update(delay=0), "delay is 0"),
    "time without milliseconds": (lambda made: made.update(modified="2026-11-22T00:00:00Z"), "milliseconds"),
    "step id of version 5": (version_5, "not a UUID of version 4"),
    "key and type differ": (wrong_type, "not one of a step of type parallel"),
    "UUID twice": (same_uuid, "has the same UUID"),
    "branch without own end": (no_own_end, "has no end of its own"),
    "unreachable step": (unreached, "is never reached"),
    "round": (round_trip, "leads back to itself"),
}  # fmt: skip


def documents() -> list[dict[str, Any]]:
    return list(cacao_set(*everything()).values())


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_found(name: str) -> None:
    seed, message = FAULTS[name]
    made = documents()[1 if name == "negative timeout" else 0]
    broken = copy.deepcopy(made)
    seed(broken)
    assert any(message in str(problem) for problem in lint_cacao(broken)), [str(problem) for problem in lint_cacao(broken)]
    assert lint_cacao(made) == []


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("[__a__:value = '1']", True),
        ("[__a__:value = 'it\\'s']", True),
        ("[__a-b__:value NOT IN ('1', '2') AND __b__:value != '3']", True),
        ("[__a__:value = '1' OR ((__b__:value = '2' OR __c__:value = '3') AND (__d__:value < 4))]", True),
        ("[__a__:value = '1' AND __b__:value = '2' OR __c__:value = '3']", False),
        ("[__a__:value = '1'", False),
        ("[__a__:value = __b__:value]", False),
        ("[NOT __a__:value = '1']", False),
        ("[__a__:value = 'it's']", False),
        ("[__a__:value == '1']", False),
        ("[__a__ = '1']", False),
        ("[]", False),
    ],
)
def test_a_condition_is_told_from_what_is_none(text: str, good: bool) -> None:
    assert is_pattern(text) is good
