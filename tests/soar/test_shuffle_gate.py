"""Gates on Shuffle: asked and decided in Snaphold; whatever goes wrong is never an approval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from snaphold.errors import InputError, NotAuthorisedError, ProviderError, UnknownOutcomeError
from snaphold.soar.answers import Job
from snaphold.soar.shuffle import answer
from snaphold.soar.shuffle_step import LOST_ANSWERS
from support.shuffle_walker import Store, Watch

GATE = {
    "run": "RUN-1", "step": "gate", "question": "Go?", "asked_of": "group/a", "within": "15m", "quorum": "2",
    "url": "https://x", "token": "t",
}  # fmt: skip
WAITING = {"outcome": "succeeded", "decision": "waiting", "escalated": False, "answers": [], "asked_of": "group/a"}
APPROVED = {**WAITING, "decision": "approved", "answers": ["approved by Ben: seen"]}


class Service:
    """Answers each action with what was laid out for it, the last one for ever."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {name.replace("__", "."): list(found) for name, found in answers.items()}
        self.calls: list[tuple[str, dict[str, Any], str]] = []

    def call(self, action: str, given: Mapping[str, Any], **options: Any) -> Any:
        self.calls.append((action, dict(given), options["key"]))
        left = self.answers.get(action, [{"outcome": "succeeded", "approval": "APR-1", "grant": "GRANT-1"}])
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found


class Bench:
    """An app with a run that has begun."""

    def __init__(self, **answers: Any) -> None:
        self.store, self.watch, self.service = Store(), Watch(), Service(**answers)
        self.ask("begin_run", argument={"run": "RUN-1", "incident": "INC-1"}, playbook="p", inputs="{}")

    def ask(self, method: str, **given: Any) -> dict[str, Any]:
        service: Any = self.service
        return answer(self.store, method, given, client=lambda _: service, clock=self.watch, sleep=self.watch.sleep)

    def gate(self, **terms: str) -> dict[str, Any]:
        return self.ask("approval_state", **{**GATE, **terms})


def test_a_gate_is_asked_once_under_the_key_of_the_runner_and_its_end_is_kept() -> None:
    bench = Bench(approval__status=[WAITING, APPROVED])
    assert [bench.gate()["way"] for _ in range(4)] == ["ask", "waiting", "approved", "approved"]
    asked = [(action, key) for action, _, key in bench.service.calls]
    assert asked == [("approval.ask", "INC-1/p.gate/-/1"), ("approval.status", ""), ("approval.status", "")]
    assert bench.service.calls[0][1]["approvals"] == "2"
    text = bench.ask("put_question", run="RUN-1", step="gate")["text"]
    assert "snaphold approvals approve APR-1 --reason TEXT" in text


def test_an_approval_that_gives_a_role_takes_the_grant_before_the_run_goes_on() -> None:
    bench = Bench(approval__status=[APPROVED])
    bench.gate(role="backup-emergency", role_lasts="2h")
    assert bench.gate(role="backup-emergency", role_lasts="2h")["grant"] == "GRANT-1"
    assert bench.service.calls[-1] == ("authority.issue_grant", {"approval": "APR-1"}, "INC-1/p.gate_grant/APR-1/1")


def test_a_grant_that_is_refused_is_a_failure_and_no_approval() -> None:
    bench = Bench(approval__status=[APPROVED], authority__issue_grant=[NotAuthorisedError("no")])
    bench.gate(role="r", role_lasts="2h")
    for _ in range(2):
        found = bench.gate(role="r", role_lasts="2h")
        assert (found["success"], found["way"]) == (False, "error")
    assert len(bench.service.calls) == 3, "what was refused is not asked again"


@pytest.mark.parametrize(("decision", "way"), [("denied", "denied"), ("expired", "timeout"), ("new word", "waiting")])
def test_only_the_word_approved_approves(decision: str, way: str) -> None:
    bench = Bench(approval__status=[{**WAITING, "decision": decision}])
    bench.gate()
    assert bench.gate()["way"] == way


def test_silence_goes_on_to_the_second_line_about_the_same_question() -> None:
    bench = Bench(approval__status=[{**WAITING, "escalated": True}, {**WAITING, "escalated": True}, APPROVED])
    terms = {"escalate_to": "group/b", "escalate_within": "10m"}
    bench.gate(**terms)
    assert bench.gate(**terms)["way"] == "timeout"
    second = {"step": "gate-escalation", "joins": "gate", "asked_of": "group/b", "within": "10m"}
    assert [bench.gate(**second)["way"] for _ in range(3)] == ["ask", "waiting", "approved"]
    assert [action for action, _, _ in bench.service.calls].count("approval.ask") == 1
    assert "group/b" in bench.ask("put_question", run="RUN-1", step="gate-escalation")["text"]


def test_a_service_that_is_silent_until_the_time_is_over_is_no_approval() -> None:
    bench = Bench(approval__status=[ProviderError("gone")])
    bench.gate()
    assert bench.gate()["way"] == "waiting"
    bench.watch.sleep(25 * 60)
    assert bench.gate()["way"] == "timeout"


def test_a_question_whose_answer_is_lost_is_asked_again_under_its_key_and_then_fails() -> None:
    lost = UnknownOutcomeError("lost")
    bench = Bench(approval__ask=[lost, Job("J", "approval.ask", "running"), {"outcome": "succeeded", "approval": "APR-1"}])
    assert [bench.gate()["way"] for _ in range(3)] == ["waiting", "waiting", "ask"]
    assert len({key for _, _, key in bench.service.calls}) == 1
    for_good = Bench(approval__ask=[lost])
    ways = [for_good.gate()["way"] for _ in range(LOST_ANSWERS + 2)]
    assert ways == ["waiting"] * LOST_ANSWERS + ["error", "error"]


@pytest.mark.parametrize("fault", [InputError("too few people could approve"), NotAuthorisedError("no")])
def test_a_question_that_cannot_be_put_is_a_failure(fault: Exception) -> None:
    found = Bench(approval__ask=[fault]).gate()
    assert (found["success"], found["way"]) == (False, "error")


def test_the_second_line_of_a_question_that_was_never_asked_is_a_failure() -> None:
    assert Bench().gate(step="gate-escalation", joins="gate")["success"] is False
    assert Bench().ask("put_question", run="RUN-1", step="gate")["success"] is False
