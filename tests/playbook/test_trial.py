"""Trials: the real interpreter on scripted answers. What they say is what a run would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from snaphold.errors import PlaybookError
from snaphold.playbook.case import CaseError, load_case
from snaphold.playbook.coverage import branches
from snaphold.playbook.load import LoadedPlaybook
from snaphold.playbook.trial import Trial, run_trial, total_coverage
from support.playbooks import known_actions, read_trial, shipped

HEAD: dict[str, Any] = {"apiVersion": "snaphold/v1", "kind": "PlaybookCase", "metadata": {"name": "one", "playbook": "trial"}}
START = """
inputs:
  asset: {type: string, default: db}
steps:
  - id: start
    do: backup.start
    with: {asset: $inputs.asset}
    out: {pool: string, job: string, restore_point: string}
    poll:
      do: backup.status
      with: {asset: $inputs.asset, pool: $start.pool, job: $start.job}
      until: $result.state == "done"
      fail: $result.state == "failed"
      every: 1m
      within: 1h
  - {id: verify, do: backup.verify, with: {restore_point: $start.restore_point}}
"""
GATE = """
steps:
  - id: gate
    approve: {ask: Now, from: group/managers, within: 15m, quorum: 2, escalate: {to: group/ciso, within: 10m}}
    on_timeout: late
  - {id: go, do: evidence.seal}
handlers:
  late:
    - {id: tell, do: report.summary}
"""
HEALTH = """
steps:
  - {id: look, do: backup.check_health, with: {assets: db}, retry: {attempts: 3, every: 1m}, timeout: 5m, out: {healthy: boolean}}
  - {id: gate, if: $look.healthy == false, then: [{id: unfit, stop: Not healthy.}]}
"""
WAVE = """
inputs:
  assets: {type: list, required: true}
steps:
  - {id: each, call: snapshot-asset, for_each: $inputs.assets, at_once: 2, with: {asset: $item}}
"""


def trial(folder: Path, body: str, *parts: str, **case: Any) -> Trial:
    """Run a playbook called trial on a case; `outcome` alone is enough of an expectation."""
    path = folder / "one.yaml"
    path.write_text(yaml.safe_dump({**HEAD, "expect": {"outcome": "done"}, **case}))
    loaded: dict[str, LoadedPlaybook] = {name: shipped(name) for name in parts}
    return run_trial(read_trial(body), loaded, load_case(path), REAL_LIKE)


def with_examples() -> dict[str, Any]:
    """Return the real catalogue: its results have examples."""
    from snaphold.action import catalogue

    return dict(catalogue())


REAL_LIKE = with_examples()


def ways(found: Trial) -> set[str]:
    return {str(branch) for branch in found.taken}


def test_what_a_case_leaves_out_comes_from_examples_and_inputs(tmp_path: Path) -> None:
    found = trial(tmp_path, START, inputs={"asset": "files-01"})
    assert found.differences == ()
    start = found.calls[0]
    assert start.answer.output["asset"] == "files-01"
    assert start.answer.output["job"] == "JOB-0123456789abcdef"
    assert ways(found) == {"start: the job is done"}


def test_a_sequence_gives_one_answer_for_each_call_and_the_last_repeats(tmp_path: Path) -> None:
    answers = [{"state": state} for state in ("running", "running", "done")]
    found = trial(tmp_path, START, results={"backup.status": answers})
    assert [call.answer.output["state"] for call in found.calls if call.poll] == ["running", "running", "done"]
    assert found.lines[0].seconds == 120


@pytest.mark.parametrize(
    ("results", "way", "outcome"),
    [
        ({"start/poll": {"state": "failed", "outcome": "failed"}}, {"start: the job fails"}, "failed"),
        ({"backup.status": {"state": "running"}}, {"start: the job takes too long"}, "unknown"),
        ({"backup.status": {"fails": "no answer"}}, {"start: the job takes too long"}, "unknown"),
        ({"backup.status": {"fails": "no such job", "repeatable": False}}, set[str](), "failed"),
        ({"start": {"fails": "refused"}}, set[str](), "failed"),
        ({"start": {"fails": "lost", "outcome": "unknown"}}, set[str](), "unknown"),
    ],
)
def test_each_end_of_a_job_is_another_branch(tmp_path: Path, results: dict[str, Any], way: set[str], outcome: str) -> None:
    found = trial(tmp_path, START, results=results, expect={"outcome": outcome})
    assert ways(found) == way
    assert found.differences == ()


def test_a_flaky_read_is_repeated_and_a_slow_call_times_out(tmp_path: Path) -> None:
    answers = [{"fails": "no answer"}, {"takes": "6m"}, {"healthy": True, "takes": "1m"}]
    found = trial(tmp_path, HEALTH, results={"backup.check_health": answers})
    assert [call.answer.outcome for call in found.calls] == ["failed", "unknown", "succeeded"]
    assert "did not answer within 5m" in found.calls[1].answer.detail
    assert found.lines[0].seconds == 60 + 300 + 60 + 60
    assert ways(found) == {"gate: else"}


def test_a_refused_right_is_not_repeated(tmp_path: Path) -> None:
    results = {"look": {"fails": "not yours", "outcome": "not_authorised"}}
    found = trial(tmp_path, HEALTH, results=results, expect={"outcome": "failed", "reason": "not_authorised"})
    assert found.differences == ()
    assert len(found.calls) == 1


@pytest.mark.parametrize(
    ("decision", "way", "why"),
    [
        ({"answer": "approved", "by": ["ben", "cho"]}, "gate: approved", ""),
        ({"answer": "approved", "by": ["ben"]}, "gate: nobody answers", "1 of 2 approved"),
        ({"answer": "approved", "by": ["ben", "ben"]}, "gate: nobody answers", "1 of 2 approved"),
        ({"answer": "approved", "by": ["ben", "analyst"]}, "gate: nobody answers", "1 of 2 approved"),
        ({"answer": "approved", "after": "24m"}, "gate: approved", ""),
        ({"answer": "approved", "after": "25m"}, "gate: nobody answers", "nobody decided within 25m"),
        ("denied", "gate: denied", "denied by group/managers-1"),
        ("timeout", "gate: nobody answers", "0 of 2 approved"),
    ],
)
def test_a_gate_passes_only_on_a_quorum_in_time(tmp_path: Path, decision: Any, way: str, why: str) -> None:
    outcome = "done" if way.endswith("approved") else "failed"
    found = trial(tmp_path, GATE, approvals={"gate": decision}, expect={"outcome": outcome, "why": why})
    assert found.differences == ()
    assert way in ways(found)
    assert any(call.action == "evidence.seal" for call in found.calls) is (outcome == "done")
    assert found.handlers == (("late",) if way.endswith("answers") else ())


def test_a_turn_of_a_loop_is_named_by_its_item(tmp_path: Path) -> None:
    results = {"start[b]": {"fails": "no room for b"}}
    expect = {
        "actions": [{"do": "backup.start", "step": "each.start[a]"}, {"do": "backup.start", "step": "start[b]"}],
        "never": ["report.summary"],
        "outcome": "failed",
        "why": "no room for b",
    }
    found = trial(tmp_path, WAVE, "snapshot-asset", inputs={"assets": ["a", "b", "c"]}, results=results, expect=expect)
    assert found.differences == ()
    assert [call.item for call in found.calls if call.action == "backup.start"] == ["a", "b"]


def test_input_that_the_action_would_refuse_fails_the_step(tmp_path: Path) -> None:
    body = (
        "inputs:\n  asset: {type: string, default: db}\n"
        + "steps:\n  - {id: a, do: backup.start, with: {asset: $inputs.asset}}\n"
    )
    found = trial(tmp_path, body, inputs={"asset": "not an id!"}, expect={"outcome": "failed"})
    assert found.differences == ()
    assert "the input of backup.start is wrong" in found.why


@pytest.mark.parametrize(
    ("expect", "difference"),
    [
        ({"outcome": "failed"}, "outcome: expected failed, got done"),
        ({"outcome": "done", "reason": "denied"}, "reason: expected denied, got none"),
        ({"outcome": "done", "why": "because"}, "why: expected 'because' in ''"),
        ({"outcome": "done", "handlers": ["tell_next"]}, "handlers: expected tell_next, ran none"),
        ({"outcome": "done", "never": ["backup.verify"]}, "never: backup.verify was called at each.verify"),
        (
            {"outcome": "done", "actions": ["backup.verify", "evidence.seal"]},
            "action 2: evidence.seal was not called after each.verify",
        ),
        (
            {"outcome": "done", "actions": [{"do": "backup.start", "with": {"asset": "x"}}]},
            "action 1: backup.start with asset=x was not called",
        ),
        (
            {"outcome": "done", "actions": ["backup.start", "backup.verify"], "exact": True},
            "action 2: expected backup.verify, got backup.status at each.status",
        ),
        (
            {"outcome": "done", "actions": ["backup.start", "backup.status"], "exact": True},
            "action 3: backup.verify was not expected",
        ),
        (
            {"outcome": "done", "actions": ["backup.start", "backup.status", "backup.verify", "evidence.seal"], "exact": True},
            "action 4: evidence.seal was not called",
        ),
    ],
)
def test_every_difference_is_told(tmp_path: Path, expect: dict[str, Any], difference: str) -> None:
    found = trial(tmp_path, WAVE, "snapshot-asset", "escalate", inputs={"assets": ["a"]}, expect=expect)
    assert found.differences == (difference.replace("each.status", "each.start"),)


def test_a_gate_that_the_case_does_not_answer_is_a_fault_of_the_case(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="the case is wrong") as caught:
        trial(tmp_path, GATE)
    assert "the case does not say what people answer at gate" in str(caught.value)


def test_the_requester_alone_cannot_deny(tmp_path: Path) -> None:
    with pytest.raises(CaseError) as caught:
        trial(tmp_path, GATE, approvals={"gate": {"answer": "denied", "by": ["analyst"]}})
    assert "the person who starts the run cannot answer" in str(caught.value)


def test_inputs_are_those_of_the_playbook(tmp_path: Path) -> None:
    with pytest.raises(PlaybookError, match="the inputs of the playbook trial are wrong"):
        trial(tmp_path, WAVE, "snapshot-asset", inputs={"colour": "red"})


def test_coverage_counts_the_playbook_itself_not_what_it_calls(tmp_path: Path) -> None:
    loaded = read_trial(GATE)
    passed = trial(tmp_path, GATE, approvals={"gate": "approved"})
    coverage = total_coverage(loaded, [passed])
    assert (coverage.percent, coverage.total) == (25, 4)
    assert [str(branch) for branch in coverage.missing] == ["gate: denied", "gate: nobody answers", "handler late: runs"]
    assert total_coverage(read_trial(WAVE), []).percent == 100
    assert branches(read_trial(WAVE).playbook) == ()


def test_a_switch_without_default_has_a_branch_for_no_case(tmp_path: Path) -> None:
    body = """
steps:
  - {id: seal, do: evidence.seal, out: {evidence: string}}
  - {id: which, switch: $seal.evidence, cases: {EV-1: [{id: a, do: report.summary}], EV-2: [{id: b, do: report.summary}]}}
"""
    assert [str(branch) for branch in branches(read_trial(body).playbook)] == [
        "which: case EV-1",
        "which: case EV-2",
        "which: no case",
    ]
    one = trial(tmp_path, body, results={"seal": {"evidence": "EV-2"}})
    other = trial(tmp_path, body, expect={"outcome": "failed"})
    assert ways(one) == {"which: case EV-2"}
    assert ways(other) == {"which: no case"}


def test_the_tests_use_the_catalogue_that_the_linter_knows() -> None:
    assert set(known_actions()) - {"backup.delete", "notify.page"} <= set(REAL_LIKE)


def test_a_write_of_which_nobody_knows_is_not_repeated_and_one_that_failed_is(tmp_path: Path) -> None:
    body = "steps:\n  - {id: seal, do: evidence.seal, retry: {attempts: 3, every: 1m}}\n"
    lost = trial(tmp_path, body, results={"seal": {"fails": "lost", "outcome": "unknown"}}, expect={"outcome": "unknown"})
    failed = trial(tmp_path, body, results={"seal": [{"fails": "the disk is full"}, {}]})
    assert (len(lost.calls), len(failed.calls)) == (1, 2)
    assert failed.differences == ()


def test_every_way_of_a_step_is_a_branch() -> None:
    assert [str(branch) for branch in branches(shipped("escalate").playbook)] == [
        "urgency: then",
        "urgency: else",
        "ask: the job is done",
        "ask: the job fails",
        "ask: the job takes too long",
        "ask: fails",
        "handler tell_next: runs",
    ]
