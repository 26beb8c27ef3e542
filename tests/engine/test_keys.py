"""Two playbooks of one incident: what one of them did is not taken for what the other is to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.engine import acting
from snaphold.engine.acting import carry_out
from snaphold.engine.items import LONGEST_ITEM, brief
from snaphold.engine.plan import Plan, make_plan
from snaphold.engine.run import RunStatus
from snaphold.engine.steps import Act, Answer
from snaphold.ledger.entry import Event
from support.ledgers import INCIDENT
from support.run_lab import World, make_world, trial

BODY = """
steps:
  - {id: one, do: lab.start, with: {asset: orders-db}}
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return make_world(tmp_path, monkeypatch)


def plan(name: str) -> Plan:
    return make_plan(trial(BODY, name=name), {}, {}, INCIDENT, justification="an exercise")


def test_the_same_step_of_another_playbook_is_another_effect(world: World) -> None:
    assert world.start(plan("first")).status is RunStatus.DONE
    assert world.start(plan("second")).status is RunStatus.DONE
    assert world.lab.vendor.starts() == ["INC-1/first.one/orders-db/1", "INC-1/second.one/orders-db/1"]


def test_the_same_part_called_by_two_playbooks_acts_for_each(world: World) -> None:
    part = trial(BODY, name="part")
    caller = "steps:\n  - {id: whole, call: part}\n"
    for name in ("first", "second"):
        given = make_plan(trial(caller, name=name), {"part": part}, {}, INCIDENT, justification="an exercise")
        assert world.start(given).status is RunStatus.DONE
    assert world.lab.vendor.starts() == ["INC-1/first.whole.one/orders-db/1", "INC-1/second.whole.one/orders-db/1"]


WAVE = ",".join(f"asset-{number:03}" for number in range(200))


def act(world: World, action: str, *items: str) -> Answer:
    """Carry out an action without key values of its own inside loops over these items."""
    runtime = world.runtime()
    return carry_out(Act("trial.each.go", action, {}, items), runtime.context(INCIDENT, justification="an exercise"), 1)


def keys(world: World) -> list[str]:
    """Return the keys of all intents."""
    return [entry.key for entry in world.runtime().ledger.entries() if entry.event is Event.INTENT]


@pytest.mark.parametrize("action", ["lab.read", "lab.write"])
def test_a_long_item_stands_in_the_key_by_its_digest_and_a_short_one_as_it_is(world: World, action: str) -> None:
    act(world, action, "asset-001")
    act(world, action, WAVE, "asset-001")
    act(world, action, brief([WAVE])[0], "asset-001")
    named = f"INC-1/trial.each.go[{brief([WAVE])[0]}+asset-001]/-/1"
    assert keys(world)[:2] == ["INC-1/trial.each.go[asset-001]/-/1", named]
    assert set(keys(world)[2:]) <= {named}, "the item is the same one, already in brief"
    assert len(named) < len("INC-1/trial.each.go[]/-/1") + 2 * LONGEST_ITEM
    assert brief([WAVE]) != brief([WAVE + ",asset-200"])


def test_what_an_older_version_claimed_under_a_long_key_is_not_done_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(acting, "brief", tuple)
        assert act(world, "lab.write", WAVE).outcome == "succeeded"
    assert act(world, "lab.write", WAVE).outcome == "succeeded"
    assert keys(world) == [f"INC-1/trial.each.go[{WAVE}]/-/1"]
    assert len(world.lab.calls) == 1
