"""Who may answer, when it counts, and what never counts as an approval."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from snaphold.clock import FixedClock
from snaphold.context import Context
from snaphold.domain.authority import Approval, ApprovalState, Decision
from snaphold.engine.approvals import decide, judge, may_decide, open_request
from snaphold.engine.steps import Gate
from snaphold.errors import InputError, NotAuthorisedError
from snaphold.ledger.entry import Event
from snaphold.playbook.step import Escalation
from support.ledgers import NOW, actor, configure, make_context, open_test_ledger
from support.run_lab import PEOPLE

GATE = Gate("gate", "Back up now?", "group/managers", timedelta(minutes=10), 1)


class Table:
    """A request, people around it, and a clock that can be moved."""

    def __init__(self, folder: Path) -> None:
        self.configuration = configure(folder, sign=False, **PEOPLE)
        self.clock = FixedClock(NOW)
        self.ledger = open_test_ledger(folder, self.clock)
        self.context: Context = make_context(self.configuration, self.ledger, self.clock, run="RUN-1")

    def open(self, **changes: Any) -> Gate:
        """Open the request and return its gate."""
        gate = replace(GATE, **changes)
        open_request(gate, self.context, "ana")
        return gate

    def approval(self) -> Approval:
        """Return the request as the register has it."""
        return self.ledger.records(Approval)[0]

    def vote(
        self, person: str, decision: Decision = Decision.APPROVED, reason: str = "because", at: datetime | None = None
    ) -> Any:
        """Answer as a person."""
        who = actor(self.configuration, person)
        return decide(self.configuration, self.ledger, self.approval().id, who, decision, reason, at or self.clock.now())


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """A table for each test."""
    return Table(tmp_path)


def test_one_approval_is_enough_for_a_quorum_of_one_and_asking_again_is_the_same_request(table: Table) -> None:
    gate = table.open()
    assert table.vote("ben").state is ApprovalState.APPROVED
    assert open_request(gate, table.context, "ana").state is ApprovalState.APPROVED
    assert [entry.action for entry in table.ledger.entries()] == ["approval.ask", "approval.decide"]
    assert table.ledger.entries()[1].justification == "because"


def test_the_requester_is_refused_and_the_refusal_is_recorded(table: Table) -> None:
    table.open()
    with pytest.raises(NotAuthorisedError, match="ana cannot answer"):
        table.vote("ana")
    assert table.approval().state is ApprovalState.WAITING
    assert table.ledger.entries()[-1].event is Event.REFUSED


def test_somebody_who_was_not_asked_is_refused(table: Table) -> None:
    table.open()
    with pytest.raises(NotAuthorisedError, match="dan cannot answer"):
        table.vote("dan")


def test_a_quorum_needs_that_many_different_people(table: Table) -> None:
    table.open(needed=2)
    assert table.vote("ben").state is ApprovalState.WAITING
    with pytest.raises(InputError, match="has answered APR"):
        table.vote("ben")
    assert table.vote("cleo").state is ApprovalState.APPROVED


def test_one_denial_ends_it_also_after_an_approval(table: Table) -> None:
    table.open(needed=2)
    table.vote("ben")
    assert table.vote("cleo", Decision.DENIED).state is ApprovalState.DENIED
    with pytest.raises(InputError, match="is denied already"):
        table.vote("ben")


@pytest.mark.parametrize("reason", ["", "  "])
def test_an_answer_without_a_reason_is_refused(table: Table, reason: str) -> None:
    table.open()
    with pytest.raises(InputError, match="needs a reason"):
        table.vote("ben", reason=reason)


def test_a_late_answer_does_not_count_even_before_the_run_has_looked(table: Table) -> None:
    gate = table.open()
    table.clock.advance(600)
    with pytest.raises(InputError, match="has expired"):
        table.vote("ben")
    assert judge(gate, table.context).state is ApprovalState.EXPIRED
    assert table.approval().state is ApprovalState.EXPIRED


def test_votes_short_of_the_quorum_expire_as_denied_by_nobody(table: Table) -> None:
    gate = table.open(needed=2)
    table.vote("ben")
    table.clock.advance(601)
    assert judge(gate, table.context).state is ApprovalState.EXPIRED


def test_the_second_line_is_asked_once_and_only_they_may_answer_then(table: Table) -> None:
    gate = table.open(escalate=Escalation(to="group/ciso", within=timedelta(minutes=5)))
    table.clock.advance(601)
    asked = judge(gate, table.context)
    assert (asked.state, asked.escalated_to, may_decide(table.configuration, asked)) == (
        ApprovalState.WAITING,
        "group/ciso",
        ("dan",),
    )
    with pytest.raises(NotAuthorisedError):
        table.vote("ben")
    table.clock.advance(299)
    assert table.vote("dan").state is ApprovalState.APPROVED


def test_after_the_second_line_it_expires(table: Table) -> None:
    gate = table.open(escalate=Escalation(to="group/ciso", within=timedelta(minutes=5)))
    table.clock.advance(601)
    judge(gate, table.context)
    table.clock.advance(301)
    assert judge(gate, table.context).state is ApprovalState.EXPIRED


@pytest.mark.parametrize(
    "changes",
    [
        {"asked_of": "group/empty"},
        {"asked_of": "group/nobody"},
        {"asked_of": "individual/ana"},
        {"needed": 3},
        {"escalate": Escalation(to="group/empty", within=timedelta(minutes=5))},
    ],
)
def test_a_question_that_nobody_could_answer_is_an_error_and_not_a_pass(table: Table, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="could approve"):
        table.open(**changes)
    assert table.ledger.records(Approval) == []


def test_an_unknown_request_is_told_and_makes_no_file(table: Table) -> None:
    with pytest.raises(InputError, match="there is no approval request"):
        decide(table.configuration, table.ledger, "../../x", table.context.actor, Decision.APPROVED, "r", NOW)
    assert not table.configuration.state_folder.joinpath("approvals").exists()
