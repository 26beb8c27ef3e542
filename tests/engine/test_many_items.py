"""What a step costs does not depend on how many others there are: counted in statements and bytes, never in seconds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from snaphold.engine.durable import state_path
from snaphold.engine.run import Run, RunStatus
from support.ledger_traffic import Traffic, watched
from support.run_lab import World, make_world, plan_of, trial

PART = """inputs:
  asset: {type: string, required: true}
steps:
  - {id: go, do: lab.start, with: {asset: $inputs.asset, text: $inputs.asset}}
  - {id: look, do: lab.read, with: {text: $inputs.asset}}
"""
BODY = """inputs:
  list: {type: list, required: true}
steps:
  - {id: each, call: part, for_each: $inputs.list, at_once: AT_ONCE, with: {asset: $item}}
"""
WAVES = """inputs:
  waves: {type: list, required: true}
steps:
  - {id: waves, call: wave, for_each: $inputs.waves, with: {list: $item}}
"""
SIZES = (10, 20, 30)

LONGEST_INPUT = """select max(length(inputs)) from workflow_input
    where workflow_uuid in (select workflow_uuid from workflow_status where name = 'branch')"""
LONGEST_OUTPUT = """select max(length(output)) from operation_outputs
    where workflow_uuid in (select workflow_uuid from workflow_status where name = 'branch')"""


def run_of(world: World, size: int, at_once: int) -> Run:
    """Run a loop over so many items; each run is of a generation of its own."""
    items = [f"item-{number:03}" for number in range(size)]
    body = BODY.replace("AT_ONCE", str(at_once))
    run = world.start(plan_of(body, trial(PART, name="part"), generation=size, list=items))
    assert run.status is RunStatus.DONE
    return run


def start(world: World, size: int, *, nested: bool) -> Run:
    """Run a loop over so many items at once, or a loop over one wave of them, whose name is as long as all together."""
    if not nested:
        return run_of(world, size, 4)
    wave = trial(BODY.replace("AT_ONCE", "4"), name="wave")
    names = ",".join(f"item-with-a-long-name-{number:03}" for number in range(size))
    parts = (trial(PART, name="part"), wave)
    run = world.start(plan_of(WAVES, *parts, generation=size, waves=[names]))
    assert run.status is RunStatus.DONE
    return run


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world of its own for each test."""
    return make_world(tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 4])
def test_the_thirtieth_item_costs_the_ledger_what_the_tenth_did(world: World, at_once: int) -> None:
    seen: list[Traffic] = []
    run_of(world, 5, at_once)  # the first one makes the tables, and the incident is told only once
    for size in SIZES:
        with watched() as traffic:
            run_of(world, size, at_once)
        seen.append(traffic)
    first, second, third = seen
    assert third.statements - second.statements == second.statements - first.statements > 0
    grown = [later.characters - earlier.characters for earlier, later in ((first, second), (second, third))]
    assert grown[1] <= grown[0] * 1.05, "text for each item grows with the number of items"


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
def test_a_branch_is_given_and_records_no_more_when_there_are_more_branches(world: World, nested: bool) -> None:
    longest: list[tuple[int, ...]] = []
    for size in (SIZES[0], SIZES[2]):
        run = start(world, size, nested=nested)
        with sqlite3.connect(state_path(world.configuration, run.id)) as connection:
            found = [connection.execute(statement).fetchone()[0] for statement in (LONGEST_INPUT, LONGEST_OUTPUT)]
        entries = world.runtime().ledger.each_stored(run=run.id)
        longest.append((*found, max(len(entry["key"]) for entry in entries if "/trial." in entry["key"])))
    for few, many in zip(*longest, strict=True):
        assert 0 < many <= few + 2, "the number of an item may have another digit, and that is all"
