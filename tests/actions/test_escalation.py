"""Escalation through a paging platform: called, answered, late, and what happens when the platform fails."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from snaphold.actions.escalation import (
    AcknowledgeNotice,
    EndPage,
    NoticeStatus,
    NotifyContact,
    acknowledge,
    end_page,
    notify,
    status,
)
from snaphold.clock import FixedClock
from snaphold.context import Context
from snaphold.domain.escalation import Notice, NoticeState
from snaphold.domain.outcome import Outcome
from snaphold.platforms.paging import page_key, paging_integrations
from snaphold.simulators.faults import FOR_EVER, Fault
from support.incident_context import NOW, make_configuration, make_context
from support.platform_rigs import PagerDutyRig
from support.quick_retries import no_pauses

CONTACTS = [{"role": "backup-team", "name": "Backup on-call", "reach": "+44 20 5550 0100", "review_by": "2099-01-31"}]
ASK = NotifyContact(contact="backup-team", text="Critical systems are hit: back them up.")


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[PagerDutyRig]:
    no_pauses(monkeypatch)
    made = PagerDutyRig(tmp_path)
    yield made
    made.close()


def context_of(rig: PagerDutyRig, *records: Notice) -> Context:
    configuration = make_configuration(contacts=CONTACTS, integrations=[rig.integration.model_dump()])
    return make_context(*records, configuration=configuration)


def raised(rig: PagerDutyRig) -> Notice:
    """Notify the backup team; return the notice as it is kept."""
    context = context_of(rig)
    result = notify(ASK, context)
    assert (result.outcome, result.delivered, result.findings) == (Outcome.SUCCEEDED, True, [])
    (notice,) = context.staged
    assert isinstance(notice, Notice)
    return notice


def test_the_backup_team_is_paged_when_a_critical_system_is_hit(rig: PagerDutyRig) -> None:
    notice = raised(rig)
    assert notice.delivered_by == "my-pagerduty"
    assert rig.paged(page_key(notice)) == ["triggered"]
    payload = rig.simulator.events[0]["payload"]
    assert payload["severity"] == "critical"
    assert payload["custom_details"]["assets"] == "files-01, shop"


def test_an_attempt_that_was_lost_and_taken_over_pages_nobody_twice(rig: PagerDutyRig) -> None:
    notice = raised(rig)
    raised(rig)
    assert rig.paged(page_key(notice)) == ["triggered"]


def test_the_answer_is_read_from_the_platform_and_written_down(rig: PagerDutyRig) -> None:
    notice = raised(rig)
    context = context_of(rig, notice)
    assert status(NoticeStatus(notice=notice.id), context).state is NoticeState.WAITING
    assert context.staged == []
    rig.simulator.respond(page_key(notice))
    standing = status(NoticeStatus(notice=notice.id), context)
    assert (standing.state, standing.acknowledged_by) == (NoticeState.ACKNOWLEDGED, "Fay Lund")
    (kept,) = context.staged
    assert isinstance(kept, Notice)
    assert (kept.acknowledged_by, kept.recorded_by) == ("Fay Lund", "my-pagerduty")
    assert kept.acknowledged_at is not None


def test_a_notice_that_nobody_answers_in_time_is_overdue(rig: PagerDutyRig) -> None:
    notice = raised(rig)
    late = replace(context_of(rig, notice), clock=FixedClock(notice.acknowledge_by))
    assert late.clock.now() > NOW
    assert status(NoticeStatus(notice=notice.id), late).state is NoticeState.OVERDUE


def test_a_platform_that_cannot_be_asked_is_no_answer(rig: PagerDutyRig) -> None:
    notice = raised(rig)
    rig.simulator.respond(page_key(notice))
    rig.server.faults.switch_on(Fault("error", FOR_EVER))
    standing = status(NoticeStatus(notice=notice.id), context_of(rig, notice))
    assert standing.state is NoticeState.WAITING
    assert "cannot be asked" in standing.findings[0]


@pytest.mark.parametrize(
    ("fault", "told"), [("reset_before", "unknown"), ("error", "unknown"), ("throttled_long", "could not be paged")]
)
def test_a_platform_that_fails_never_loses_the_notice(rig: PagerDutyRig, fault: str, told: str) -> None:
    rig.server.faults.switch_on(Fault(fault, FOR_EVER))
    context = context_of(rig)
    result = notify(ASK, context)
    assert (result.outcome, result.delivered) == (Outcome.PARTIAL, False)
    assert told in result.findings[0]
    assert "+44 20 5550 0100" in result.findings[1]
    (notice,) = context.staged
    assert isinstance(notice, Notice)
    assert notice.delivered_by == ""


def test_without_a_paging_platform_a_person_calls() -> None:
    context = make_context(configuration=make_configuration(contacts=CONTACTS))
    result = notify(ASK, context)
    assert (result.outcome, result.delivered) == (Outcome.PARTIAL, False)
    assert "call Backup on-call: +44 20 5550 0100" in result.findings[0]


def test_an_answer_by_telephone_stops_the_platform_from_calling(rig: PagerDutyRig) -> None:
    notice = raised(rig)
    acknowledge(AcknowledgeNotice(notice=notice.id, answered_by="Fay Lund"), context_of(rig, notice))
    assert rig.paged(page_key(notice)) == ["acknowledged"]


def test_a_page_is_ended(rig: PagerDutyRig) -> None:
    notice = raised(rig)
    assert end_page(EndPage(notice=notice.id), context_of(rig, notice)).told == "my-pagerduty"
    assert rig.paged(page_key(notice)) == ["resolved"]
    undelivered = notice.model_copy(update={"delivered_by": ""})
    assert end_page(EndPage(notice=notice.id), context_of(rig, undelivered)).told == ""
    gone = notice.model_copy(update={"delivered_by": "former"})
    assert end_page(EndPage(notice=notice.id), context_of(rig, gone)).outcome is Outcome.PARTIAL


def test_an_integration_calls_only_the_contacts_that_it_is_for(rig: PagerDutyRig) -> None:
    document = rig.integration.model_dump()
    document["settings"]["contacts"] = "ciso-oncall, legal-counsel"
    configuration = make_configuration(integrations=[document])
    assert paging_integrations(configuration, "backup-team") == []
    assert [item.name for item in paging_integrations(configuration, "legal-counsel")] == ["my-pagerduty"]
