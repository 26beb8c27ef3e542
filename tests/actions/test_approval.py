"""approval.ask, approval.status and authority.issue_grant: questions that a SOAR asks and people answer here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snaphold.authority import refuse_signature
from snaphold.clock import FixedClock
from snaphold.context import Context
from snaphold.domain.authority import Approval, Decision, Grant
from snaphold.engine.approvals import decide
from snaphold.errors import InputError, NotAuthorisedError, SnapholdError
from snaphold.execute import execute
from support.ledgers import actor, configure, make_context, open_test_ledger

QUESTION = {
    "question": "Back up orders-db now?", "asked_of": "group/managers", "within": "15m",
    "role": "backup-emergency", "role_lasts": "2h",
}  # fmt: skip


@pytest.fixture
def context(tmp_path: Path, clock: FixedClock) -> Context:
    configuration = configure(tmp_path, roles=[
        {"name": "analyst", "members": ["ana"], "may": ["approval.*", "authority.*"]},
        {"name": "managers", "members": ["ana", "ben", "cleo"], "may": ["approval.*"]},
        {"name": "second-line", "members": ["cleo"]},
        {"name": "backup-emergency", "may": ["toy.*"]},
    ])  # fmt: skip
    return make_context(configuration, open_test_ledger(tmp_path, clock), clock, key="INC-1/ransomware.gate/-/1")


def ask(context: Context, **changes: Any) -> str:
    return execute("approval.ask", {**QUESTION, **changes}, context).model_dump()["approval"]


def stand(context: Context, id: str) -> dict[str, Any]:
    return execute("approval.status", {"approval": id}, replace(context, key="")).model_dump(mode="json")


def answer(context: Context, id: str, person: str, decision: Decision = Decision.APPROVED) -> Approval:
    who = actor(context.configuration, person)
    return decide(context.configuration, context.ledger, id, who, decision, "looked at it", context.clock.now())


def issue(context: Context, id: str) -> dict[str, Any]:
    return execute(
        "authority.issue_grant", {"approval": id}, replace(context, key=f"{context.incident.id}/grant/{context.actor.id}-{id}/1")
    ).model_dump()


def test_an_approval_of_another_person_gives_the_signed_grant_that_was_asked_for(context: Context, clock: FixedClock) -> None:
    id = ask(context)
    assert (stand(context, id)["state"], stand(context, id)["decision"]) == ("running", "waiting")
    answer(context, id, "ben")
    found = stand(context, id)
    assert (found["state"], found["decision"], found["decided_by"]) == ("done", "approved", ["ben"])
    assert found["answers"] == ["approved by Ben Okoro: looked at it"]
    told = issue(context, id)
    grant = context.ledger.record(Grant, told["grant"])
    assert grant is not None
    assert (grant.role, grant.issued_to, grant.issued_by, grant.approval) == ("backup-emergency", "ana", ("ben",), id)
    assert (grant.expires_at - clock.now()).total_seconds() == 7200
    assert refuse_signature(grant, context.configuration) == ""
    assert issue(context, id)["grant"] == told["grant"], "the same approval never gives two"


def test_the_same_step_asked_again_is_the_same_question(context: Context) -> None:
    assert ask(context) == ask(context)
    assert ask(context) != ask(replace(context, key="INC-1/ransomware.other/-/1"))
    assert len(context.ledger.records(Approval, "INC-1")) == 2


def test_who_asks_and_who_started_it_in_the_soar_cannot_answer(context: Context) -> None:
    id = ask(context, requested_for="BEN")
    for person in ("ana", "ben"):
        with pytest.raises(NotAuthorisedError):
            answer(context, id, person)
    assert stand(context, id)["decision"] == "waiting"
    answer(context, id, "cleo")
    assert stand(context, id)["decision"] == "approved"


def test_two_must_approve_when_two_are_needed(context: Context) -> None:
    id = ask(context, approvals=2)
    answer(context, id, "ben")
    with pytest.raises(InputError, match="has answered"):
        answer(context, id, "ben")
    assert stand(context, id)["decision"] == "waiting"
    answer(context, id, "cleo")
    assert stand(context, id)["decided_by"] == ["ben", "cleo"]


def test_a_denial_ends_it_and_gives_nothing(context: Context) -> None:
    id = ask(context)
    answer(context, id, "ben", Decision.DENIED)
    assert stand(context, id)["decision"] == "denied"
    with pytest.raises(NotAuthorisedError, match="gives no grant"):
        issue(context, id)


def test_silence_is_escalated_once_and_then_expires(context: Context, clock: FixedClock) -> None:
    id = ask(context, escalate_to="group/second-line", escalate_within="10m")
    clock.advance(15 * 60)
    found = stand(context, id)
    assert (found["state"], found["escalated"], found["asked_of"]) == ("running", True, "group/second-line")
    with pytest.raises(NotAuthorisedError):
        answer(context, id, "ben")
    clock.advance(10 * 60)
    assert stand(context, id)["decision"] == "expired"
    with pytest.raises(SnapholdError, match="expired already"):
        answer(context, id, "cleo")
    with pytest.raises(NotAuthorisedError, match="it is expired"):
        issue(context, id)


def test_a_grant_is_only_for_who_asked_in_the_same_incident_and_only_when_a_role_was_asked_for(context: Context) -> None:
    id = ask(context)
    answer(context, id, "ben")
    other = replace(context, actor=context.actor.model_copy(update={"id": "cleo"}))
    with pytest.raises(NotAuthorisedError, match="ana asked for it"):
        issue(other, id)
    elsewhere = replace(context, incident=context.incident.model_copy(update={"id": "INC-2"}))
    with pytest.raises(InputError, match="in INC-2"):
        issue(elsewhere, id)
    with pytest.raises(InputError, match="another incident"):
        stand(elsewhere, id)
    plain = ask(replace(context, key="INC-1/plain/-/1"), role="", role_lasts="")
    answer(context, plain, "ben")
    with pytest.raises(InputError, match="gives no role"):
        issue(context, plain)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"approvals": 3}, "too few people"),
        ({"asked_of": "individual/ana"}, "nobody could approve"),
        ({"asked_of": "group/nobody"}, "nobody could approve"),
        ({"asked_of": "managers"}, "asked_of"),
        ({"within": "0s"}, "asked for 0s"),
        ({"within": "31d"}, "30 days"),
        ({"escalate_to": "group/second-line"}, "needs both"),
        ({"role_lasts": ""}, "needs both"),
        ({"escalate_to": "group/second-line", "escalate_within": "10m", "approvals": 2}, "too few people"),
    ],
)
def test_a_question_that_nobody_could_settle_is_refused(context: Context, changes: dict[str, Any], message: str) -> None:
    with pytest.raises((SnapholdError, ValueError), match=message):
        ask(context, **changes)
    assert context.ledger.records(Approval, "INC-1") == []
