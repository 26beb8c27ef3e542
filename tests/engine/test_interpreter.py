"""The interpreter over plain surroundings: what follows what, and what never does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from snaphold.engine.frame import judge
from snaphold.engine.run import Reason, RunStatus
from snaphold.engine.steps import Act, Answer
from support.plain_steps import PlainSteps, walk, went
from support.run_lab import plan_of, trial

HANDLERS = """handlers:
  tidy: [{id: tidied, do: lab.write}]
"""


def run(
    body: str, *parts: Any, on_error: str = "", given: dict[str, Any] | None = None, **answers: Any
) -> tuple[Any, PlainSteps]:
    """Return the result of a playbook and the surroundings that it ran in; `a__b` in an answer's name is `a.b`."""
    steps = PlainSteps({name.replace("__", "."): answer for name, answer in answers.items()})
    return walk(plan_of(body, *parts, on_error=on_error, **(given or {})), steps), steps


def test_steps_run_in_order_and_values_keep_their_type() -> None:
    body = """steps:
  - {id: one, do: lab.read, out: {number: integer, items: list}}
  - {id: two, do: lab.read, with: {n: $one.number, l: $one.items, t: "$one.number of $one.items"}}
"""
    result, steps = run(body, one={"number": 3, "items": ["a", "b"]})
    assert judge(result) is RunStatus.DONE
    assert steps.acts[1].given == {"n": 3, "l": ["a", "b"], "t": "3 of a,b"}


@pytest.mark.parametrize("output", [{}, {"number": "3"}, {"number": None}, {"number": True}])
def test_a_declared_output_that_is_missing_or_of_another_type_fails_the_step(output: dict[str, Any]) -> None:
    result, _ = run("steps:\n  - {id: one, do: lab.read, out: {number: integer}}\n  - {id: two, do: lab.read}\n", one=output)
    assert went(result) == [("one", "failed")]
    assert "lacks number (integer)" in result.why


@pytest.mark.parametrize("outcome", ["failed", "unknown"])
def test_a_failure_is_never_followed_by_a_later_step(outcome: str) -> None:
    result, _ = run("steps:\n  - {id: one, do: lab.read}\n  - {id: two, do: lab.read}\n", one=outcome)
    assert went(result) == [("one", outcome)]
    assert judge(result) is (RunStatus.FAILED if outcome == "failed" else RunStatus.UNKNOWN)


def test_a_partial_step_lets_the_run_go_on_and_marks_it_partial() -> None:
    result, _ = run("steps:\n  - {id: one, do: lab.read}\n  - {id: two, do: lab.read}\n", one="partial")
    assert (went(result), judge(result)) == ([("one", "partial"), ("two", "succeeded")], RunStatus.PARTIAL)


@pytest.mark.parametrize(
    ("on_error", "expected", "status"),
    [
        ("on_error: tidy", ["one", "tidied"], RunStatus.FAILED),
        ("on_error: {run: tidy}", ["one", "tidied"], RunStatus.FAILED),
        ("on_error: {run: tidy, then: continue}", ["one", "tidied", "two"], RunStatus.PARTIAL),
    ],
)
def test_after_a_handler_the_run_ends_failed_unless_the_step_says_continue(
    on_error: str, expected: list[str], status: RunStatus
) -> None:
    body = f"steps:\n  - {{id: one, do: lab.read, {on_error}}}\n  - {{id: two, do: lab.read}}\n{HANDLERS}"
    result, _ = run(body, one="failed")
    assert ([path for path, _ in went(result)], judge(result)) == (expected, status)


def test_a_handler_that_fails_stops_the_run_even_with_continue_and_the_last_handler_runs() -> None:
    body = """steps:
  - {id: one, do: lab.read, on_error: {run: tidy, then: continue}}
  - {id: two, do: lab.read}
handlers:
  tidy: [{id: tidied, do: lab.write}]
  last: [{id: told, do: lab.write}]
"""
    result, _ = run(body, on_error="last", one="failed", tidied="failed")
    assert went(result) == [("one", "failed"), ("tidied", "failed"), ("told", "succeeded")]
    assert "the handler tidy failed too" in result.why


def test_an_unhandled_failure_runs_metadata_on_error_once_and_then_fails() -> None:
    body = f"steps:\n  - {{id: one, do: lab.read}}\n{HANDLERS}"
    result, _ = run(body, on_error="tidy", one="failed", tidied="failed")
    assert went(result) == [("one", "failed"), ("tidied", "failed")]


def test_stop_runs_metadata_on_error_and_fails_the_run() -> None:
    body = (
        f'steps:\n  - {{id: one, do: lab.read, out: {{number: integer}}}}\n  - {{id: end, stop: "only $one.number"}}\n{HANDLERS}'
    )
    result, _ = run(body, on_error="tidy", one={"number": 2})
    assert (went(result)[1:], result.why) == ([("end", "failed"), ("tidied", "succeeded")], "end: only 2")


@pytest.mark.parametrize(
    ("answer", "written", "expected", "reason"),
    [
        ("denied", "", ["gate"], Reason.DENIED),
        ("expired", "", ["gate"], Reason.TIMED_OUT),
        ("denied", "on_denied: tidy", ["gate", "tidied"], Reason.DENIED),
        ("expired", "on_denied: continue", ["gate"], Reason.TIMED_OUT),
        ("denied", "on_denied: continue", ["gate", "after"], Reason.NONE),
        ("expired", "on_timeout: continue", ["gate", "after"], Reason.NONE),
        ("failed", "on_denied: continue, on_timeout: continue", ["gate"], Reason.FAILED),
        ("cancelled", "on_denied: continue, on_timeout: continue", ["gate"], Reason.CANCELLED),
        ("approved", "", ["gate", "after"], Reason.NONE),
    ],
)
def test_only_an_approval_or_a_written_continue_passes_a_gate(
    answer: str, written: str, expected: list[str], reason: Reason
) -> None:
    more = f", {written}" if written else ""
    body = f"""steps:
  - {{id: gate, approve: {{ask: "?", from: group/managers, within: 5m}}{more}}}
  - {{id: after, do: lab.write}}
{HANDLERS}"""
    result, _ = run(body, gate=answer)
    assert ([path for path, _ in went(result)], result.reason) == (expected, reason)
    assert judge(result) is not RunStatus.DONE or answer == "approved"


@pytest.mark.parametrize(("quorum", "ok"), [(2, True), (0, False), ("two", False)])
def test_a_quorum_by_reference_must_be_a_number_of_people(quorum: object, ok: bool) -> None:
    kind = "integer" if isinstance(quorum, int) else "string"
    body = f"""steps:
  - {{id: one, do: lab.read, out: {{people: {kind}}}}}
  - {{id: gate, approve: {{ask: "?", from: group/managers, within: 5m, quorum: $one.people}}}}
"""
    result, steps = run(body, one={"people": quorum})
    assert (result.reason is Reason.NONE) is ok
    assert [gate.needed for gate in steps.gates] == ([2] if ok else [])


def test_if_and_switch_choose_and_a_value_without_a_case_fails() -> None:
    body = """steps:
  - {id: one, do: lab.read, out: {tier: string, n: integer}}
  - id: fork
    if: $one.n >= 2
    then: [{id: yes_way, do: lab.read}]
    else: [{id: no_way, do: lab.read}]
  - id: choice
    switch: $one.tier
    cases:
      T0: [{id: zero, do: lab.read}]
      T1: [{id: first, do: lab.read}]
"""
    assert [path for path, _ in went(run(body, one={"tier": "T1", "n": 2})[0])] == ["one", "yes_way", "first"]
    result, _ = run(body, one={"tier": "T9", "n": 1})
    assert went(result) == [("one", "succeeded"), ("no_way", "succeeded"), ("choice", "failed")]


def test_a_retry_repeats_only_what_may_be_repeated() -> None:
    body = "steps:\n  - {id: one, do: lab.read, retry: {attempts: 3, every: 30s}}\n"
    result, steps = run(body, one="failed")
    assert ([act.attempt for act in steps.acts], steps.pauses) == ([1, 2, 3], [timedelta(seconds=30)] * 2)
    assert result.lines[0].seconds == 60.0
    assert len(run(body, one="unknown")[1].acts) == 1


def test_a_cancel_during_a_pause_ends_the_run_without_handlers() -> None:
    body = f"steps:\n  - {{id: one, do: lab.read, retry: {{attempts: 3, every: 30s}}, on_error: tidy}}\n{HANDLERS}"
    steps = PlainSteps({"one": "failed"}, cancel_at_pause=1)
    result = walk(plan_of(body, on_error="tidy"), steps)
    assert (went(result), judge(result)) == ([("one", "cancelled")], RunStatus.CANCELLED)


POLL = """steps:
  - id: job
    do: lab.start
    out: {text: string, size: integer}
    poll:
      do: lab.status
      with: {job: $job.text}
      until: $result.state == "done"
      fail: $result.state == "failed"
      every: 40s
      within: 1m
  - {id: after, do: lab.read, with: {size: $job.size}}
"""


def _states(*states: str) -> Any:
    left = list(states)

    def tell(_act: Act) -> Any:
        state = left.pop(0) if len(left) > 1 else left[0]
        return state if state in ("failed!", "unknown") else {"state": state, "size": 5}

    return tell


def poll(tell: Any) -> tuple[Any, PlainSteps]:
    """Run POLL with these answers about the job."""
    steps = PlainSteps({"job:lab.start": {"text": "J1"}, "job:lab.status": tell})
    return walk(plan_of(POLL), steps), steps


def test_a_poll_asks_until_the_job_is_done_and_its_answer_fills_the_output() -> None:
    result, steps = poll(_states("running", "done"))
    assert judge(result) is RunStatus.DONE
    assert (steps.acts[1].given, steps.acts[-1].given) == ({"job": "J1"}, {"size": 5})
    assert result.lines[0].seconds == 40.0


def test_a_job_that_failed_fails_the_step_at_once() -> None:
    result, steps = poll(_states("failed"))
    assert went(result) == [("job", "failed")]
    assert steps.pauses == []


def test_a_job_that_is_not_done_in_time_is_an_error_and_is_asked_one_last_time_at_the_deadline() -> None:
    result, steps = poll(_states("running"))
    assert (went(result), result.reason) == ([("job", "unknown")], Reason.TIMED_OUT)
    assert judge(result) is RunStatus.UNKNOWN
    assert steps.pauses == [timedelta(seconds=40), timedelta(seconds=20)]


def test_a_question_about_a_job_that_cannot_be_repeated_fails_the_step() -> None:
    result, _ = poll(_states("unknown"))
    assert went(result) == [("job", "failed")] or went(result) == [("job", "unknown")]
    assert judge(result) is not RunStatus.DONE


def test_a_shaky_question_about_a_job_is_asked_again() -> None:
    turns = iter([Answer("failed", "2026-11-22T18:00:00Z", "2026-11-22T18:00:00Z", repeatable=True, reason=Reason.FAILED)])

    def tell(_act: Act) -> Any:
        return next(turns, {"state": "done", "size": 1})

    result, _ = poll(tell)
    assert judge(result) is RunStatus.DONE


PART = trial(
    "inputs:\n  x: {type: string, required: true}\nsteps:\n  - {id: go, do: lab.write, with: {text: $inputs.x}}\n", name="part"
)
EACH = """inputs:
  list: {type: list, required: true}
steps:
  - {id: each, call: part, for_each: $inputs.list, with: {x: "<$item>"}}
  - {id: after, do: lab.read}
"""


def test_a_call_runs_for_each_item_with_a_scope_of_its_own() -> None:
    result, steps = run(EACH, PART, given={"list": ["a", "b"]})
    assert [line.item for line in result.lines] == ["a", "b", ""]
    assert [act.given.get("text") for act in steps.acts] == ["<a>", "<b>", None]
    assert steps.acts[0].path == "each.go"


@pytest.mark.parametrize(("items", "why"), [([], "empty list"), (["a", "a"], "more than once")])
def test_an_empty_list_or_one_with_doubles_fails_the_step(items: list[str], why: str) -> None:
    result, steps = run(EACH, PART, given={"list": items})
    assert (went(result), steps.acts) == ([("each", "failed")], [])
    assert why in result.why


def test_after_a_failed_item_no_further_item_starts() -> None:
    def tell(act: Act) -> Any:
        return "failed" if act.given["text"] == "<b>" else {}

    result, _ = run(EACH, PART, given={"list": ["a", "b", "c"]}, each__go=tell)
    assert [(line.item, line.outcome) for line in result.lines] == [("a", "succeeded"), ("b", "failed")]


def test_a_decision_inside_a_called_playbook_ends_the_whole_run() -> None:
    part = trial('steps:\n  - {id: gate, approve: {ask: "?", from: group/managers, within: 5m}}\n', name="part")
    body = f"""steps:
  - {{id: sub, call: part, on_error: {{run: tidy, then: continue}}}}
  - {{id: after, do: lab.read}}
{HANDLERS}"""
    result, _ = run(body, part, sub__gate="denied")
    assert (went(result), result.reason) == ([("sub.gate", "denied")], Reason.DENIED)


def test_a_failure_inside_a_called_playbook_fails_the_call_which_may_handle_it() -> None:
    part = trial("steps:\n  - {id: go, do: lab.read}\n", name="part")
    body = f"""steps:
  - {{id: sub, call: part, on_error: {{run: tidy, then: continue}}}}
  - {{id: after, do: lab.read}}
{HANDLERS}"""
    result, _ = run(body, part, sub__go="failed")
    assert [path for path, _ in went(result)] == ["sub.go", "tidied", "after"]


def test_branches_all_run_and_a_failed_one_fails_the_step() -> None:
    body = """steps:
  - id: both
    parallel:
      - [{id: left, do: lab.read}]
      - [{id: right, do: lab.read}]
  - {id: after, do: lab.read}
"""
    result, _ = run(body, left="failed")
    assert went(result) == [("left", "failed"), ("right", "succeeded")]
    assert run(body)[0].reason is Reason.NONE


def test_an_unknown_branch_outranks_a_failed_one() -> None:
    body = "steps:\n  - id: both\n    parallel:\n      - [{id: left, do: lab.read}]\n      - [{id: right, do: lab.read}]\n"
    assert run(body, left="failed", right="unknown")[0].reason is Reason.UNKNOWN


@pytest.mark.parametrize("reason", [Reason.CANCELLED, Reason.DENIED])
def test_a_decision_in_one_branch_ends_the_run_whatever_the_other_did(reason: Reason) -> None:
    body = """steps:
  - id: both
    parallel:
      - [{id: left, do: lab.read}]
      - [{id: gate, approve: {ask: "?", from: group/managers, within: 5m}}]
"""
    result, _ = run(body, left="failed", gate="cancelled" if reason is Reason.CANCELLED else "denied")
    assert (result.reason, result.handled) == (reason, True)
