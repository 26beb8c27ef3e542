"""Notices: recorded with a deadline, never claimed to be delivered, answered once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from snaphold.actions.escalation import (
    AcknowledgeNotice,
    NoticeStatus,
    NotifyContact,
    acknowledge,
    notify,
    status,
)
from snaphold.clock import FixedClock
from snaphold.context import Context
from snaphold.domain.escalation import Notice, NoticeState
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError
from support.incident_context import NOW, RegisterOnlyLedger, make_configuration, make_context

CONTACTS = [
    {"role": "backup-team", "name": "Backup on-call", "reach": "+44 20 5550 0100"},
    {"role": "backup-team", "name": "Backup lead", "reach": "+44 20 5550 0101"},
]
TIERS = [
    {"id": "T0", "level": 0, "impact": "All.", "rto": "1h", "rpo": "15m", "acknowledge_within": "10m"},
    {"id": "T1", "level": 1, "impact": "Some.", "rto": "4h", "rpo": "1h", "acknowledge_within": "30m"},
    {"id": "T2", "level": 2, "impact": "Few.", "rto": "2d", "rpo": "1d", "acknowledge_within": "4h"},
]
TELL = NotifyContact(contact="backup-team", text="A backup failed: take over.")


def context_of(**changes: Any) -> Context:
    configuration = make_configuration(**{"contacts": CONTACTS, "tiers": TIERS, **changes})
    return make_context(configuration=configuration, key="INC-1/call_backup_team.tell/backup-team/1")


def recorded(context: Context) -> Notice:
    (notice,) = context.staged
    assert isinstance(notice, Notice)
    assert isinstance(context.ledger, RegisterOnlyLedger)
    context.ledger.kept[:] = [notice]
    context.staged.clear()
    return notice


def later(context: Context, minutes: int) -> Context:
    clock = FixedClock(NOW + timedelta(minutes=minutes))
    return make_context(configuration=context.configuration, ledger=context.ledger, clock=clock)


def test_a_notice_says_whom_to_call_and_is_not_claimed_to_be_delivered() -> None:
    context = context_of()
    result = notify(TELL, context)
    assert result.outcome is Outcome.PARTIAL
    assert not result.delivered
    assert result.call == ["Backup on-call: +44 20 5550 0100", "Backup lead: +44 20 5550 0101"]
    assert "recorded, not delivered" in result.findings[0]
    assert "+44 20 5550 0100" in result.findings[0]
    notice = recorded(context)
    assert (notice.id, notice.incident, notice.raised_by, notice.delivered_by) == (result.notice, "INC-1", "ana", "")


@pytest.mark.parametrize(
    ("assets", "tier", "minutes"), [([], "T0", 10), (["files-01"], "T2", 240), (["no-such-asset"], "T0", 10)]
)
def test_the_most_critical_tier_in_scope_sets_the_deadline_and_what_nobody_knows_is_urgent(
    assets: list[str], tier: str, minutes: int
) -> None:
    context = context_of()
    notify(TELL.model_copy(update={"assets": assets}), context)
    notice = recorded(context)
    assert (notice.tier, notice.acknowledge_by - notice.raised_at) == (tier, timedelta(minutes=minutes))


def test_what_a_critical_asset_needs_is_as_urgent() -> None:
    context = context_of()
    notify(TELL.model_copy(update={"assets": ["orders-db"]}), context)
    assert recorded(context).tier == "T0"


def test_the_same_notice_is_recorded_once() -> None:
    context = context_of()
    first = notify(TELL, context)
    recorded(context)
    again = notify(TELL, replace(later(context, 5), key=context.key))
    assert (again.notice, again.acknowledge_by) == (first.notice, first.acknowledge_by)


def test_without_a_contact_the_security_team_is_called_and_without_any_it_is_an_error() -> None:
    team = {"name": "Example Ltd", "contact": "soc@example.org"}
    assert notify(TELL, context_of(contacts=[], organisation=team)).call == ["Example Ltd: soc@example.org"]
    wrong = TELL.model_copy(update={"contact": "backup-teem"})
    with pytest.raises(InputError, match="nobody is listed for 'backup-teem'") as caught:
        notify(wrong, context_of())
    assert caught.value.why == 'did you mean "backup-team"?'


def test_a_notice_waits_then_is_overdue_and_an_answer_ends_that() -> None:
    context = context_of()
    result = notify(TELL, context)
    recorded(context)
    asked = NoticeStatus(notice=result.notice)
    assert status(asked, later(context, 9)).state is NoticeState.WAITING
    overdue = status(asked, later(context, 10))
    assert overdue.state is NoticeState.OVERDUE
    assert overdue.findings
    answering = later(context, 12)
    answer = acknowledge(AcknowledgeNotice(notice=result.notice, answered_by="Backup on-call"), answering)
    assert not answer.in_time
    assert "after the deadline" in answer.findings[0]
    recorded(answering)
    now = status(asked, later(context, 13))
    assert (now.state, now.acknowledged_by) == (NoticeState.ACKNOWLEDGED, "Backup on-call")


def test_the_first_answer_stands() -> None:
    context = context_of()
    result = notify(TELL, context)
    recorded(context)
    first = later(context, 3)
    assert acknowledge(AcknowledgeNotice(notice=result.notice, answered_by="Backup on-call"), first).in_time
    recorded(first)
    second = later(context, 4)
    again = acknowledge(AcknowledgeNotice(notice=result.notice, answered_by="Somebody else"), second)
    assert again.in_time
    assert "Backup on-call had answered already" in again.findings[0]
    assert second.staged == []


def test_an_unknown_notice_is_refused_with_the_known_ones() -> None:
    context = context_of()
    result = notify(TELL, context)
    recorded(context)
    with pytest.raises(InputError, match="there is no notice 'NOTICE-x'") as caught:
        status(NoticeStatus(notice="NOTICE-x"), context)
    assert result.notice in str(caught.value)
