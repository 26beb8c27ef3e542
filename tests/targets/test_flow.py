"""The graph of a playbook: every way to fail and to stop is there, nothing overlaps, and it has no cycles."""

from __future__ import annotations

from itertools import pairwise

import pytest

from snaphold.playbook.load import LoadedPlaybook
from snaphold.targets.flow import END_ID, FAILED_ID, START_ID, Flow, NodeKind, build_flow
from support.every_construct import everything
from support.playbooks import read_trial, shipped, shipped_files

SHIPPED = [path.stem for path in shipped_files()]


def every_flow() -> list[Flow]:
    loaded, parts = everything()
    found = [loaded, *parts.values(), *(shipped(name) for name in SHIPPED)]
    return [build_flow(one.playbook) for one in found]


def flow_of(body: str) -> Flow:
    loaded: LoadedPlaybook = read_trial(body)
    return build_flow(loaded.playbook)


def ways(flow: Flow, id: str) -> dict[str, str]:
    """Return where a node leads, by label."""
    return {edge.label: edge.target for edge in flow.leaving(id)}


def test_no_two_nodes_overlap() -> None:
    for flow in every_flow():
        for row in {node.row for node in flow.nodes}:
            columns = sorted(node.column for node in flow.nodes if node.row == row)
            assert all(right - left >= 1 for left, right in pairwise(columns)), columns
        assert all(node.column >= 0 for node in flow.nodes)


def test_every_edge_joins_two_nodes_and_every_node_is_reached() -> None:
    for flow in every_flow():
        ids = [node.id for node in flow.nodes]
        assert len(ids) == len(set(ids))
        assert {edge.source for edge in flow.edges} | {edge.target for edge in flow.edges} <= set(ids)
        reached, waiting = set[str](), [START_ID]
        while waiting:
            id = waiting.pop()
            if id not in reached:
                reached.add(id)
                waiting += [edge.target for edge in flow.leaving(id)]
        assert reached == set(ids)


def test_there_are_no_cycles() -> None:
    for flow in every_flow():
        left = {node.id for node in flow.nodes}
        while left:
            ends = {id for id in left if not any(edge.target in left for edge in flow.leaving(id))}
            assert ends, f"a cycle among {left}"
            left -= ends


def test_only_ends_lead_nowhere() -> None:
    for flow in every_flow():
        assert {node.id for node in flow.nodes if not flow.leaving(node.id)} <= {END_ID, FAILED_ID}


def test_every_node_that_can_fail_says_where_that_leads() -> None:
    can_fail = {NodeKind.ACTION, NodeKind.POLL, NodeKind.CALL, NodeKind.CONDITION, NodeKind.SWITCH, NodeKind.APPROVAL}
    for flow in every_flow():
        for node in flow.nodes:
            if node.kind in can_fail:
                assert "error" in ways(flow, node.id), node.id


def test_main_steps_follow_each_other_downwards() -> None:
    for flow in every_flow():
        rows = {node.id: node.row for node in flow.nodes if not node.handler}
        down = [edge for edge in flow.edges if edge.source in rows and edge.target in rows and edge.target != FAILED_ID]
        assert all(rows[edge.source] < rows[edge.target] for edge in down)


def test_a_job_is_two_nodes() -> None:
    flow = build_flow(everything()[1]["asset-job"].playbook)
    assert ways(flow, "start") == {"": "start.poll", "error": "part_report"}
    assert ways(flow, "start.poll") == {"": "verify", "error": "part_report"}


def test_a_gate_leads_to_its_escalation_and_stops_when_nobody_answers() -> None:
    flow = build_flow(everything()[0].playbook)
    assert ways(flow, "gate") == {
        "approved": "soft_gate", "denied": "note_read", "timeout": "gate.escalation", "error": "last_read",
    }  # fmt: skip
    assert ways(flow, "gate.escalation") == {
        "approved": "soft_gate", "denied": "note_read", "timeout": FAILED_ID, "error": "last_read",
    }  # fmt: skip


def test_a_gate_goes_on_without_an_approval_only_where_that_is_written() -> None:
    flow = build_flow(everything()[0].playbook)
    assert ways(flow, "soft_gate") == {"approved": "each", "denied": "each", "timeout": "last_read", "error": "last_read"}


def test_a_survived_failure_has_its_own_copy_of_the_handler() -> None:
    flow = build_flow(everything()[0].playbook)
    assert ways(flow, "classify") == {"": "order", "error": "note_read@classify"}
    assert ways(flow, "note_report@classify") == {"": "order", "error": "last_read"}
    assert ways(flow, "note_stop@classify") == {"": "last_read"}
    assert ways(flow, "order")["error"] == "note_read"
    assert ways(flow, "note_report") == {"": FAILED_ID, "error": "last_read"}


def test_the_last_handler_fails_into_the_end_and_not_into_itself() -> None:
    flow = build_flow(everything()[0].playbook)
    assert ways(flow, "last_report") == {"": FAILED_ID, "error": FAILED_ID}


def test_parallel_lists_meet_in_a_join() -> None:
    flow = build_flow(everything()[0].playbook)
    assert [edge.target for edge in flow.leaving("side_by_side")] == ["seal", "keep"]
    assert [edge.source for edge in flow.entering("side_by_side.join")] == ["check", "keep"]
    assert ways(flow, "side_by_side.join") == {"": "by_status"}


def test_a_switch_without_default_fails_on_any_other_value() -> None:
    flow = flow_of(
        "steps:\n  - {id: a, do: evidence.verify, with: {evidence: EV-1}, out: {status: string}}\n"
        "  - id: b\n    switch: $a.status\n    cases: {verified: [{id: c, do: report.summary}]}\n"
    )
    assert ways(flow, "b") == {"case verified": "c", "default": FAILED_ID, "error": FAILED_ID}


def test_nothing_follows_a_parallel_of_which_one_list_always_stops() -> None:
    flow = flow_of(
        "steps:\n  - id: a\n    parallel:\n      - [{id: b, stop: Enough}]\n      - [{id: c, do: report.summary}]\n"
        "  - {id: d, do: report.summary}\n"
    )
    assert "d" not in [node.id for node in flow.nodes]
    assert NodeKind.JOIN not in [node.kind for node in flow.nodes]


@pytest.mark.parametrize("name", SHIPPED)
def test_building_twice_gives_the_same_graph(name: str) -> None:
    assert build_flow(shipped(name).playbook) == build_flow(shipped(name).playbook)
