"""Notes about waiting approvals in real simulated cases: once per request and stage, with the link, and marked as ours."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from snaphold.case_loop import on_status
from snaphold.domain.authority import Approval, ApprovalState
from snaphold.domain.case_traffic import MOST_NOTES
from snaphold.domain.incident import IncidentRecord
from snaphold.platforms.base import CaseStatus
from snaphold.service.inbox import Inbox
from snaphold.service.keeper import Keeper
from support.case_lab import CaseLab
from support.kept_estate import make_kept_estate
from support.ledgers import INCIDENT, NOW, note
from support.platform_rigs import PagerDutyRig, ServiceNowRig
from support.quick_retries import no_pauses

ADDRESS = "https://snaphold.example.org"
REQUEST = Approval(
    id="APR-0a1b2c3d", incident="INC-1", step="gate", ask="Isolate the order database?", asked_of="group/managers",
    requested_by="ana", requested_at=NOW, expires_at=NOW + timedelta(days=2),
)  # fmt: skip


@pytest.fixture(params=[PagerDutyRig, ServiceNowRig], ids=["pagerduty", "servicenow"])
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[CaseLab]:
    no_pauses(monkeypatch)
    rig = request.param(tmp_path)
    made = make_lab(rig, tmp_path, monkeypatch, service={"address": ADDRESS})
    made.synchronise()
    yield made
    rig.close()


def make_lab(rig: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> CaseLab:
    estate = make_kept_estate(folder, monkeypatch, integrations=[rig.integration.model_dump()], **changes)
    told = IncidentRecord(id="INC-1", incident="INC-1", declared=INCIDENT, told_by="ana", told_at=NOW)
    estate.ledger.append(note(), [told])
    return CaseLab(estate, rig, rig.open_incident())


def keeper(lab: CaseLab) -> Keeper:
    return Keeper(lab.runtime, Inbox(lab.runtime))


def put(lab: CaseLab, approval: Approval = REQUEST, **changes: Any) -> None:
    lab.estate.ledger.append(note(), [approval.model_copy(update=changes)])


def linked(lab: CaseLab) -> list[str]:
    return [text for text in lab.notes() if f"{ADDRESS}/ui/approvals/{REQUEST.id}" in text]


def test_a_waiting_approval_is_told_once_whoever_looks_and_however_often(lab: CaseLab) -> None:
    put(lab)
    first = keeper(lab)
    for watching in (first, first, keeper(lab)):
        watching.look()
    (told,) = linked(lab)
    assert "Approval needed from group/managers: Isolate the order database?" in told


def test_an_escalated_approval_is_told_once_more(lab: CaseLab) -> None:
    put(lab)
    watching = keeper(lab)
    watching.look()
    put(lab, escalated_to="individual/ben")
    watching.look()
    watching.look()
    assert len(linked(lab)) == 2
    assert sum("put to individual/ben" in text for text in linked(lab)) == 1


@pytest.mark.parametrize("state", [ApprovalState.APPROVED, ApprovalState.DENIED, ApprovalState.EXPIRED])
def test_an_answered_approval_is_not_told(lab: CaseLab, state: ApprovalState) -> None:
    put(lab, state=state)
    keeper(lab).look()
    assert linked(lab) == []


def test_the_echo_of_the_note_starts_nothing(lab: CaseLab) -> None:
    put(lab)
    keeper(lab).look()
    (told,) = linked(lab)
    answer = on_status(lab.runtime, "INC-1", lab.rig.integration.name, CaseStatus.OPEN, reference=lab.reference, text=told)
    assert (answer.looked, "echo" in answer.why) == (False, True)


def test_many_requests_keep_to_the_limit_of_notes_and_none_is_lost(lab: CaseLab) -> None:
    watching = keeper(lab)
    for number in range(MOST_NOTES + 3):
        put(lab, id=f"APR-{number:08d}")
    watching.look()
    before = len(lab.notes())
    assert before <= MOST_NOTES
    lab.estate.clock.advance(3600)
    watching.look()
    text = "\n".join(lab.notes())
    assert all(text.count(f"/ui/approvals/APR-{number:08d}") == 1 for number in range(MOST_NOTES + 3))


def test_without_an_address_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = ServiceNowRig(tmp_path)
    try:
        lab = make_lab(rig, tmp_path, monkeypatch)
        lab.synchronise()
        put(lab)
        keeper(lab).look()
        assert linked(lab) == []
    finally:
        rig.close()
