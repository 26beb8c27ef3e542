"""Two playbooks of one incident: what one of them did is not taken for what the other is to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.engine.plan import Plan, make_plan
from snaphold.engine.run import RunStatus
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
