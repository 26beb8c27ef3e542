"""How far a run is by its entries, what a gate guards, and the picture."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from snaphold.clock import format_time
from snaphold.domain.authority import Approval, ApprovalState
from snaphold.engine.plan import Plan
from snaphold.engine.run import Run, RunStatus
from snaphold.playbook.lint import load_checked
from snaphold.resources import folder
from snaphold.service.pages.diagram import draw
from snaphold.service.pages.guarded import guarded_by
from snaphold.service.pages.progress import read_progress, states_of_nodes
from snaphold.targets.flow import NodeKind, build_flow
from support.incident_facts import an_incident

AT = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)
NODES, CALLS = frozenset({"classify", "approve", "back_up", "seal"}), frozenset({"back_up"})


def entry(event: str, step: str, subject: str = "-", outcome: str = "", seconds: int = 0, action: str = "backup.start") -> Any:
    key = f"INC-1/ransomware-response.{step}/{subject}/1"
    return {"event": event, "key": key, "action": action, "outcome": outcome, "at": format_time(AT + timedelta(seconds=seconds))}


def a_run(status: RunStatus = RunStatus.RUNNING) -> Run:
    return Run(
        id="RUN-1", incident="INC-1", playbook="p", version="1", digest="0", requested_by="ana", started_at=AT, status=status
    )


def test_a_step_runs_from_its_intent_to_its_outcome() -> None:
    (step,) = read_progress([entry("intent", "classify")])
    assert (step.path, step.outcome, step.ended_at) == ("classify", "running", None)
    (step,) = read_progress([entry("intent", "classify"), entry("outcome", "classify", outcome="succeeded", seconds=3)])
    assert (step.outcome, (step.ended_at or AT) - step.began_at) == ("succeeded", timedelta(seconds=3))


def test_a_question_that_is_asked_again_and_again_stands_once_for_each_item() -> None:
    asked = [
        entry(event, f"back_up.start[a,b+{item}]", outcome="" if event == "intent" else "succeeded", seconds=n)
        for n in range(3)
        for item in ("a", "b")
        for event in ("intent", "outcome")
    ]
    assert [(step.path, step.subject) for step in read_progress(asked)] == [("back_up.start", "a"), ("back_up.start", "b")]


def test_a_step_of_which_only_the_end_was_read_is_left_out_when_entries_are_missing() -> None:
    ended = [entry("outcome", "back_up.start", "a", "succeeded"), entry("intent", "back_up.start", "b")]
    assert [step.subject for step in read_progress(ended)] == ["a", "b"]
    assert [step.subject for step in read_progress(ended, whole=False)] == ["b"]


def test_what_happens_inside_a_called_playbook_shows_at_the_call_and_the_gravest_counts() -> None:
    progress = read_progress(
        [
            entry("intent", "back_up.start", "a"), entry("outcome", "back_up.start", "a", "failed"),
            entry("intent", "back_up.start", "b"), entry("outcome", "back_up.start", "b", "succeeded"),
        ]
    )  # fmt: skip
    assert states_of_nodes(progress, a_run(), [], CALLS, NODES) == {"back_up": "failed"}


def test_a_step_that_never_ended_in_a_run_that_did_is_unknown() -> None:
    progress = read_progress([entry("intent", "classify")])
    assert states_of_nodes(progress, a_run(), [], CALLS, NODES) == {"classify": "running"}
    assert states_of_nodes(progress, a_run(RunStatus.FAILED), [], CALLS, NODES) == {"classify": "unknown"}


@pytest.mark.parametrize("state", ApprovalState)
def test_a_gate_shows_its_state(state: ApprovalState) -> None:
    approval = Approval(
        id="APR-1", incident="INC-1", run="RUN-1", step="approve", ask="?", asked_of="group/x", requested_by="ana",
        requested_at=AT, expires_at=AT, state=state,
    )  # fmt: skip
    assert states_of_nodes([], a_run(), [approval], CALLS, NODES) == {"approve": state.value}


def plan_for(name: str) -> Plan:
    loaded, parts = load_checked(name)
    playbooks = {name: loaded.playbook, **{part: found.playbook for part, found in parts.items()}}
    return Plan("RUN-1", name, playbooks, {}, an_incident())


@pytest.mark.parametrize("name", sorted(path.stem for path in folder("playbooks").glob("*.yaml")))
def test_the_picture_of_every_shipped_playbook_is_sound_and_shows_every_step(name: str) -> None:
    flow = build_flow(plan_for(name).root)
    picture = ET.fromstring(draw(flow, {flow.nodes[1].id: "succeeded"}, 'A "title" & <more>'))  # noqa: S314  our own picture
    space = "{http://www.w3.org/2000/svg}" if picture.tag.startswith("{") else ""
    groups = picture.findall(f".//{space}g")
    assert len(groups) == len(flow.nodes)
    assert sum("succeeded" in (group.get("class") or "") for group in groups) == 1


def test_a_gate_tells_what_it_lets_happen_and_how_grave_that_is() -> None:
    plan = plan_for("ransomware-response")
    gate = next(node for node in build_flow(plan.root).nodes if node.kind is NodeKind.APPROVAL)
    found = guarded_by(plan, gate.id)
    assert found is not None
    assert "snapshot-primary" in {one.action for one in found.approved}
    assert "backup.start" not in {one.action for one in found.denied}
    assert found.risk.startswith("It starts or changes something")
    assert found.grant.startswith("the role backup-emergency")


def test_a_called_playbook_that_nobody_knows_counts_as_the_gravest() -> None:
    plan = plan_for("ransomware-response")
    bare = Plan(plan.run, plan.playbook, {plan.playbook: plan.root}, {}, plan.incident)
    found = guarded_by(bare, "approve")
    assert found is not None
    assert "cannot be undone" in found.risk


def test_a_gate_inside_a_called_playbook_is_not_guessed_at() -> None:
    assert guarded_by(plan_for("ransomware-response"), "back_up.nothing") is None
