"""Each class of fault, seeded at every place of every shipped playbook where it can stand: the linter finds every one."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snaphold.errors import DocumentError, Problem
from snaphold.playbook.lint import errors_in, lint_playbook
from snaphold.playbook.load import LoadedPlaybook, read_playbook
from support.playbooks import known_actions, shipped, shipped_files

Data = dict[str, Any]
Mutant = tuple[str, Data]
Mutator = Callable[[Data], Iterator[Mutant]]
MUTATORS: dict[str, Mutator] = {}


def mutator(function: Mutator) -> Mutator:
    MUTATORS[function.__name__] = function
    return function


def places(node: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every value of plain data with its path."""
    yield where, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*where, key))


def at(data: Any, where: tuple[Any, ...]) -> Any:
    for part in where:
        data = data[part]
    return data


def changed(data: Data, where: tuple[Any, ...], value: Any) -> Mutant:
    mutant = copy.deepcopy(data)
    at(mutant, where[:-1])[where[-1]] = value
    return f"{'.'.join(map(str, where))} = {value!r}", mutant


def without(data: Data, where: tuple[Any, ...]) -> Mutant:
    mutant = copy.deepcopy(data)
    del at(mutant, where[:-1])[where[-1]]
    return f"without {'.'.join(map(str, where))}", mutant


def steps(data: Data) -> Iterator[tuple[tuple[Any, ...], Data]]:
    return ((where, node) for where, node in places(data) if isinstance(node, dict) and "id" in node and "name" not in node)


def texts(data: Data) -> Iterator[tuple[tuple[Any, ...], str]]:
    return ((where, node) for where, node in places(data) if isinstance(node, str) and where[0] != "metadata")


@mutator
def a_key_is_misspelt(data: Data) -> Iterator[Mutant]:
    for where, node in places(data):
        for key in node if isinstance(node, dict) else ():
            mutant = copy.deepcopy(data)
            around = at(mutant, where)
            around[f"{key}x"] = around.pop(key)
            yield f"{where} {key}x", mutant


@mutator
def a_needed_key_is_gone(data: Data) -> Iterator[Mutant]:
    form = "id version change_record name apiVersion kind steps then until fail every within ask from role for to type handlers"
    inputs = "asset restore_point evidence reason job pool"
    needed = {*form.split(), *inputs.split()}
    for where, _ in places(data):
        may_go = where[-2:-1] == ("out",) or where[-2:] == ("on_error", "then")
        if where and where[-1] in needed and not may_go:
            yield without(data, where)


@mutator
def a_value_is_gone(data: Data) -> Iterator[Mutant]:
    for where, _ in places(data):
        if where:
            yield changed(data, where, None)


@mutator
def a_name_is_misspelt(data: Data) -> Iterator[Mutant]:
    for where, node in texts(data):
        if where[-1] in ("do", "call"):
            yield changed(data, where, node + "x")
        if where[-1] in ("on_denied", "on_timeout") and node not in ("stop", "continue"):
            yield changed(data, where, node + "x")
        if where[-1] == "on_error" or where[-2:] == ("on_error", "run"):
            yield changed(data, where, node + "x")
    if "on_error" in data["metadata"]:
        yield changed(data, ("metadata", "on_error"), "nobody")


@mutator
def an_id_stands_twice(data: Data) -> Iterator[Mutant]:
    found = list(steps(data))
    for where, node in found:
        for _, other in found[:3]:
            if other is not node:
                yield changed(data, (*where, "id"), other["id"])


@mutator
def a_reference_is_misspelt(data: Data) -> Iterator[Mutant]:
    for where, node in texts(data):
        for match in re.finditer(r"\$([a-z_]+)\.([a-z_]+)|\$item", node):
            yield changed(data, where, node[: match.end()] + "x" + node[match.end() :])
            yield changed(data, where, node[: match.start() + 1] + "x" + node[match.start() + 1 :])
            yield changed(data, where, node[: match.end()] + " costs $5" + node[match.end() :])


@mutator
def a_declared_type_is_another(data: Data) -> Iterator[Mutant]:
    for where, node in places(data):
        if node in ("string", "integer", "boolean", "list") and where[-2:-1] == ("out",):
            for other in {"string", "integer", "boolean", "list"} - {node}:
                yield changed(data, where, other)
        if where[:1] == ("inputs",) and where[-1] == "type":
            # A list that is handed on as text with commas is right too, and integers and booleans are always wrong.
            for other in {"integer", "boolean"} - {node}:
                yield changed(data, where, other)


@mutator
def a_step_comes_after_its_users(data: Data) -> Iterator[Mutant]:
    for where, node in steps(data):
        if "out" in node and where[0] == "steps":
            mutant = copy.deepcopy(data)
            siblings = at(mutant, where[:-1])
            siblings.append(siblings.pop(where[-1]))
            yield f"{node['id']} last", mutant


def is_used_elsewhere(data: Data, node: Data) -> bool:
    """Return whether a step other than this one names its outputs."""
    return json.dumps(data).count(f"${node['id']}.") > json.dumps(node).count(f"${node['id']}.")


@mutator
def a_step_may_not_run(data: Data) -> Iterator[Mutant]:
    for where, node in steps(data):
        if "out" in node and is_used_elsewhere(data, node):
            name = next(iter(node["out"]))
            wrapped = {"id": "wrapped", "if": '$inputs.incident_id == "x"', "then": [node]}
            mutant = changed(data, where, wrapped)[1]
            mutant.setdefault("inputs", {}).setdefault("incident_id", {"type": "string", "default": ""})
            yield f"{node['id']} in a branch ({name})", mutant


@mutator
def a_step_may_fail_and_the_run_goes_on(data: Data) -> Iterator[Mutant]:
    for where, node in steps(data):
        if "out" in node and is_used_elsewhere(data, node):
            mutant = changed(data, (*where, "on_error"), {"run": "tell", "then": "continue"})[1]
            mutant.setdefault("handlers", {})["tell"] = [{"id": "told", "do": "report.summary"}]
            yield f"{node['id']} may fail", mutant


@mutator
def a_condition_is_wrong(data: Data) -> Iterator[Mutant]:
    for where, node in texts(data):
        if where[-1] in ("if", "until", "fail"):
            yield changed(data, where, f"{node} and {node} or {node}")
            yield changed(data, where, node.replace("==", "=").replace("!=", "="))
            yield changed(data, where, re.sub(r'(true|false|"\w+")$', "7", node))
            yield changed(data, where, re.sub(r'(true|false|"\w+")$', "", node))
            yield changed(data, where, re.sub(r"[=!]=", "<", node))
            yield changed(data, where, f"not {node}")


@mutator
def a_wait_is_wrong(data: Data) -> Iterator[Mutant]:
    for where, _ in texts(data):
        if where[-1] in ("within", "every", "timeout", "for"):
            for value in ("0s", "31d", "5", "1:30", "soon"):
                yield changed(data, where, value)
        if where[-1] == "within" and where[-2] == "poll":
            yield changed(data, where, "1s")


@mutator
def a_gate_fails_open(data: Data) -> Iterator[Mutant]:
    for where, node in steps(data):
        if "approve" in node:
            yield changed(data, (*where, "on_denied"), "continue")
            yield changed(data, (*where, "on_timeout"), "continue")
            yield changed(data, (*where, "approve", "quorum"), 0)
            yield changed(data, (*where, "approve", "from"), "incident-managers")


@mutator
def a_list_of_steps_is_empty(data: Data) -> Iterator[Mutant]:
    for where, node in places(data):
        if isinstance(node, list) and node and isinstance(node[0], dict):
            yield changed(data, where, [])


@mutator
def the_run_stops_before_other_steps(data: Data) -> Iterator[Mutant]:
    for where, node in places(data):
        if isinstance(node, list) and node and isinstance(node[0], dict):
            yield changed(data, where, [{"id": "enough", "stop": "Enough."}, *node])


@mutator
def something_destroys(data: Data) -> Iterator[Mutant]:
    deletion = {"id": "wipe", "do": "backup.delete", "with": {"restore_point": "RP-1"}}
    for where, node in places(data):
        if isinstance(node, list) and node and isinstance(node[0], dict) and len(where) == 1:
            yield changed(data, where, [deletion, *node])
            if not any("grants" in step.get("approve", {}) for step in node):
                yield changed(data, where, [*node, deletion])


@mutator
def a_step_that_may_double_is_repeated(data: Data) -> Iterator[Mutant]:
    page = {"id": "page", "do": "notify.page", "with": {"text": "x"}, "retry": {"attempts": 3, "every": "5s"}}
    for where, node in places(data):
        if isinstance(node, list) and node and isinstance(node[0], dict):
            yield changed(data, where, [page, *node])


@mutator
def a_playbook_calls_itself(data: Data) -> Iterator[Mutant]:
    for where, node in steps(data):
        if "call" in node:
            yield changed(data, (*where, "call"), data["metadata"]["name"])


@mutator
def a_loop_is_broken(data: Data) -> Iterator[Mutant]:
    for where, node in steps(data):
        if "for_each" in node:
            yield without(data, (*where, "for_each"))
            yield changed(data, (*where, "for_each"), "$item")
            yield changed(data, (*where, "at_once"), 0)


@mutator
def a_step_is_of_two_kinds(data: Data) -> Iterator[Mutant]:
    for where, node in steps(data):
        for kind in {"do", "if", "switch", "parallel", "approve", "call", "stop"} - set(node):
            yield changed(data, (*where, kind), "x")


@mutator
def an_input_does_not_exist(data: Data) -> Iterator[Mutant]:
    for where, node in steps(data):
        if "do" in node or "call" in node:
            mutant = copy.deepcopy(data)
            at(mutant, where).setdefault("with", {})["colour"] = "red"
            yield f"{node['id']} colour", mutant


@mutator
def a_switch_has_no_default(data: Data) -> Iterator[Mutant]:
    for where, node in steps(data):
        if "switch" in node:
            yield without(data, (*where, "default"))


@mutator
def a_value_can_never_be(data: Data) -> Iterator[Mutant]:
    for where, node in places(data):
        if where[-1:] == ("cases",):
            for key in node:
                mutant = copy.deepcopy(data)
                cases = at(mutant, where)
                cases["elsewhere"] = cases.pop(key)
                yield f"{where} {key} = elsewhere", mutant
    for where, node in texts(data):
        if where[-1] in ("if", "until", "fail") and "$inputs." not in node and ".grant " not in node:
            yield changed(data, where, re.sub(r'"\w+"', '"elsewhere"', node))
        if where[-2:-1] == ("with",) and where[-1] == "storage" and "$" not in node and "call" not in at(data, where[:-2]):
            yield changed(data, where, "elsewhere")


@mutator
def a_condition_is_decided_beforehand(data: Data) -> Iterator[Mutant]:
    for where, node in texts(data):
        if where[-1] == "if" and node.endswith("true"):
            yield changed(data, where, f"{node} and {node.removesuffix('true')}false")


@mutator
def nothing_sets_a_value(data: Data) -> Iterator[Mutant]:
    for where, _node in places(data):
        if where[-2:-1] == ("out",) and is_used_elsewhere(data, at(data, where[:-2])):
            yield without(data, where)


@mutator
def the_version_is_not_one(data: Data) -> Iterator[Mutant]:
    for value in ("1.0", 1.0, 1, "v1.0.0", "1.0.0-beta", ""):
        yield changed(data, ("metadata", "version"), value)


def problems_of(data: Data, path: Path) -> list[Problem]:
    def find(name: str) -> LoadedPlaybook:
        return loaded if name == path.stem else shipped(name)

    try:
        loaded = read_playbook(json.dumps(data), path)
    except DocumentError as error:
        return error.problems
    return lint_playbook(loaded, actions=known_actions(), find=find)


QUICK = ("ransomware-response", "seal-evidence", "snapshot-asset")
"""One playbook of each kind; all others are seeded by the slow tests."""
SEEDED = [pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else [pytest.mark.slow]) for path in shipped_files()]


@pytest.mark.parametrize("path", SEEDED)
@pytest.mark.parametrize("name", MUTATORS)
def test_no_fault_survives(name: str, path: Path) -> None:
    data = shipped(path.stem).document.data
    survivors = [label for label, mutant in MUTATORS[name](data) if mutant != data and not errors_in(problems_of(mutant, path))]
    assert survivors == []


@pytest.mark.parametrize("path", shipped_files(), ids=lambda path: path.stem)
def test_what_nothing_uses_is_warned_of(path: Path) -> None:
    data = shipped(path.stem).document.data
    declared = {"type": "string", "default": "", "description": "Unused."}
    unused_input = changed({"inputs": {}, **data}, ("inputs", "colour"), declared)[1]
    unused_handler = changed({"handlers": {}, **data}, ("handlers", "nobody"), [{"id": "told", "do": "report.summary"}])[1]
    assert [problem.message for problem in problems_of(unused_input, path)] == ["nothing uses the input 'colour'"]
    assert [problem.message for problem in problems_of(unused_handler, path)] == ["nothing names the handler 'nobody'"]


def test_every_fault_is_seeded_somewhere() -> None:
    for name, mutate in MUTATORS.items():
        assert any(True for path in shipped_files() for _ in mutate(shipped(path.stem).document.data)), name


def test_the_shipped_playbooks_themselves_are_clean() -> None:
    for path in shipped_files():
        assert problems_of(shipped(path.stem).document.data, path) == []


ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
    | st.sampled_from(["$", "$$", "$item", "$inputs.assets", "$start.job", "stop", "continue", "5m", "backup.start", "é" * 3000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "do", "if", "then", "stop", "x"]), inner),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(shipped_files()), st.data())
def test_anything_anywhere_is_right_or_a_fault_with_a_place_and_never_a_crash(path: Path, data: st.DataObject) -> None:
    playbook = shipped(path.stem).document.data
    where = data.draw(st.sampled_from([where for where, _ in places(playbook) if where]))
    for problem in problems_of(changed(playbook, where, data.draw(ODD))[1], path):
        assert problem.location is not None
