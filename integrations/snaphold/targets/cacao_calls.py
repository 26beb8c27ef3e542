"""Calls of other playbooks in CACAO: once as a playbook-action, or in a loop that takes one item after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snaphold.playbook.inputs import INCIDENT_ID as INCIDENT_INPUT
from snaphold.playbook.reference import parse_reference
from snaphold.playbook.step import CallStep
from snaphold.targets.cacao_values import (
    FAILED,
    INCIDENT_ID,
    RUNNING,
    SHARED,
    STOPPED,
    UNKNOWN,
    equals,
    has_succeeded,
    input_variable,
    json_variable,
    path_variable,
    state_variable,
    text_with,
    value_of,
)
from snaphold.targets.cacao_workflow import no_reference

if TYPE_CHECKING:
    from snaphold.targets.cacao_steps import Emitter, Region


def call_playbook(emitter: Emitter, step: CallStep, region: Region, after: str, failing: str) -> str:
    """Add a call, once or for each item, and return where it begins; `after` follows when it ended well."""
    if step.for_each:
        return _for_each(emitter, step, region, after, failing)
    return _played(emitter, step, region, after, failing, emitter.halted(region, STOPPED), step.id)


def _played(emitter: Emitter, step: CallStep, region: Region, after: str, failing: str, stopped: str, place: str) -> str:
    """Add one turn of a call: the called playbook says in its state variable how it ended."""
    workflow, path = emitter.workflow, emitter.path(step, region)
    called = emitter.parts[step.call].playbook
    state = workflow.declare(state_variable(called.name), "string", UNKNOWN, f"How {called.name} ended.")
    ended = workflow.branch(path, "stopped", equals(state, STOPPED), on_true=stopped, on_false=failing, name="Was it stopped?")
    check = workflow.branch(path, "played", equals(state, RUNNING), on_true=after, on_false=ended, name="Did it end well?")
    given = {input_variable(name): text_with(v, lambda f: emitter.name_of(f, region, step)) for name, v in step.arguments.items()}
    if INCIDENT_INPUT in called.inputs:
        given.setdefault(input_variable(INCIDENT_INPUT), value_of(INCIDENT_ID))
    given[path_variable(called.name)] = f"{value_of(path_variable(workflow.playbook))}.{place}"
    return workflow.add(
        "playbook-action", path, "call", name=step.title or step.id, playbook_id=called.metadata.id,
        step_variables={name: {"type": "string", "value": text} for name, text in given.items()},
        in_args=sorted([*given, *SHARED]), out_args=[state], timeout=None, on_success=check, on_failure=failing,
    )  # fmt: skip


def _for_each(emitter: Emitter, step: CallStep, region: Region, after: str, failing: str) -> str:
    """Add a loop that takes one item after the other through the gateway; after an item that failed it ends."""
    workflow, path = emitter.workflow, emitter.path(step, region)
    if (step.at_once or 1) > 1:
        workflow.lose("at_once", step, f"items run one after the other, not {step.at_once} at a time", "at_once")
    own = {role: emitter.own(step, role, region) for role in ("ITEM", "INDEX", "POSITION", "MORE", "OUTCOME", "LOOP")}
    for role, kind, value in (
        ("ITEM", "string", ""), ("INDEX", "integer", "0"), ("POSITION", "integer", "0"),
        ("MORE", "bool", "true"), ("OUTCOME", "string", UNKNOWN), ("LOOP", "string", RUNNING),
    ):  # fmt: skip
        workflow.declare(own[role], kind, value)

    halts = {
        state: workflow.halt(f"{path}.loop", own["LOOP"], state, f"An item of {step.id} ended as {state}.", no_reference)
        for state in (FAILED, STOPPED)
    }
    turn_ended = emitter.end(step, region, "turn")
    index = value_of(own["INDEX"])
    turn = _played(emitter, step, region, turn_ended, halts[FAILED], halts[STOPPED], f"{step.id}.{index}")
    taken = workflow.branch(
        path, "taken", has_succeeded(own["OUTCOME"]), on_true=turn, on_false=halts[FAILED], name="Was there one?"
    )
    variable = emitter.name_of(parse_reference(step.for_each or ""), region)
    items = value_of(json_variable(variable)) if variable in emitter.lists_as_json else f'"{value_of(variable)}"'
    out = {own[role]: role.lower() for role in ("ITEM", "INDEX", "POSITION", "MORE", "OUTCOME")}
    take = workflow.call(
        "core.next_item", step.id, path, "take", given={}, name_of=no_reference, out=out, name="Take the next item",
        raw={"items": items, "position": value_of(own["POSITION"])}, on_success=taken, on_failure=halts[FAILED],
    )  # fmt: skip
    whether_stopped = workflow.branch(
        path,
        "loop stopped",
        equals(own["LOOP"], STOPPED),
        on_true=emitter.halted(region, STOPPED),
        on_false=failing,
        name="Was one stopped?",
    )
    well = f"[{value_of(own['LOOP'])} = '{RUNNING}' AND {value_of(own['MORE'])} = 'false']"
    check = workflow.branch(path, "all played", well, on_true=after, on_false=whether_stopped, name="Did all end well?")
    return workflow.add(
        "while-condition", path, "for each", name=f"For each: {step.title or step.id}", on_true=take,
        condition=f"[{value_of(own['LOOP'])} = '{RUNNING}' AND {value_of(own['MORE'])} = 'true']",
        on_success=check, on_failure=failing,
    )  # fmt: skip
