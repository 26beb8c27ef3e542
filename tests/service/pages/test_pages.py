"""What the pages show, and answering an approval on them without JavaScript."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from snaphold.domain.authority import Approval, ApprovalState, Hold
from snaphold.domain.incident import Incident
from snaphold.domain.people import Actor
from snaphold.domain.value import Value
from snaphold.engine.run import Run, RunStatus
from snaphold.incident_register import remember_incident
from snaphold.ledger.entry import Event, NewEntry
from snaphold.runtime import Runtime
from snaphold.service.pages import views
from snaphold.service.tokens import create_token
from support.incident_facts import HOSTILE, a_restore_point, an_incident
from support.ledgers import NOW
from support.page_lab import Browser
from support.service_lab import ServiceLab, serving

ROLES = [
    {"name": "analyst", "members": ["ana"], "may": ["*"]},
    {"name": "incident-managers", "members": ["ana", "ben"], "may": ["approval.*"]},
]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ServiceLab]:
    with serving(tmp_path, monkeypatch, roles=ROLES) as found:
        fill(found.runtime)
        ben = Actor(id="ben", name="Ben Oke", roles=("incident-managers",), login="ben")
        owner = Runtime(found.runtime.configuration, found.runtime.ledger, found.runtime.clock, ben)
        found.tokens["approver"] = create_token(owner, "ben", may_approve=True)[1]
        yield found


def fill(runtime: Runtime, title: str = HOSTILE) -> None:
    """Put an incident with a run, a restore point, a hold and an approval request into the registers."""
    incident: Incident = an_incident(title, HOSTILE)
    remember_incident(incident, runtime.ledger, runtime.actor, runtime.clock)
    run = Run(
        id="RUN-INC-1-00000000", incident="INC-1", playbook="ransomware-response", version="1.0.0", digest="0" * 64,
        requested_by="ana", started_at=NOW, status=RunStatus.WAITING,
    )  # fmt: skip
    hold = Hold(
        id="HOLD-1", incident="INC-1", subject=a_restore_point().id, subject_kind="restore_point", reason=HOSTILE,
        placed_by="ana", placed_at=NOW, enforced_by="register only",
    )  # fmt: skip
    approval = Approval(
        id="APR-00000001", incident="INC-1", run=run.id, step="approve", ask=HOSTILE, asked_of="group/incident-managers",
        requested_by="ana", requested_at=NOW, expires_at=NOW + timedelta(days=3),
    )  # fmt: skip
    entry = NewEntry(event=Event.SERVICE, actor="ana", incident="INC-1", action="test.fill")
    runtime.ledger.append(entry, [run, a_restore_point(), hold, approval])
    step = NewEntry(
        event=Event.INTENT, actor="ana", incident="INC-1", run=run.id, action="backup.start",
        key="INC-1/ransomware-response.back_up.start/files-01/1",
    )  # fmt: skip
    runtime.ledger.append(step)


PAGES = [
    "/ui", "/ui/incidents/INC-1", "/ui/runs/RUN-INC-1-00000000", "/ui/approvals", "/ui/approvals/APR-00000001",
    "/ui/restore-points", "/ui/evidence", "/ui/integrations", "/ui/board",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_no_text_of_an_attacker_becomes_markup(lab: ServiceLab, page: str) -> None:
    reply = Browser(lab).sign_in().get(page)
    assert reply.status == 200
    assert b"<script>alert" not in reply.body
    assert b"<img src=x" not in reply.body
    assert "\u202e".encode() not in reply.body
    assert b"\x1b" not in reply.body


def test_a_run_shows_its_steps_and_that_its_plan_is_missing(lab: ServiceLab) -> None:
    text = Browser(lab).sign_in().text("/ui/runs/RUN-INC-1-00000000")
    assert "back_up.start" in text
    assert "running" in text
    assert 'data-live="/ui/runs/RUN-INC-1-00000000/events"' in text
    assert "cannot be read" in text


def test_an_incident_shows_clocks_points_and_holds(lab: ServiceLab) -> None:
    text = Browser(lab).sign_in().text("/ui/incidents/INC-1")
    for wanted in ("RP-files-01-0a1b2c3d", "HOLD-1", "protect", "APR-00000001"):
        assert wanted in text


@pytest.mark.parametrize("page", ["/ui/incidents/NONE", "/ui/runs/NONE", "/ui/approvals/NONE", "/ui/static/none.js"])
def test_what_is_not_there_is_told(lab: ServiceLab, page: str) -> None:
    reply = Browser(lab).sign_in().get(page)
    assert reply.status == 404
    assert reply.headers["content-type"].startswith("text/html")


def test_somebody_else_approves_with_a_reason_and_it_stands_in_the_trail(lab: ServiceLab) -> None:
    browser = Browser(lab).sign_in("approver")
    page = "/ui/approvals/APR-00000001"
    assert "You cannot answer" not in browser.text(page)
    assert browser.post(page, decision="approved", reason="").status == 422
    assert browser.post(page, decision="maybe", reason="x").status == 422
    reply = browser.post(page, decision="approved", reason="The files are encrypted.")
    assert (reply.status, reply.headers["location"]) == (303, page)
    found = lab.runtime.ledger.record(Approval, "APR-00000001")
    assert found is not None
    assert (found.state, found.votes[0].by, found.votes[0].reason) == (ApprovalState.APPROVED, "ben", "The files are encrypted.")
    assert ("approval", "approval.decide") in lab.events()
    assert browser.post(page, decision="denied", reason="no").status == 422


def test_the_requester_is_told_why_they_cannot_answer_and_cannot(lab: ServiceLab) -> None:
    browser = Browser(lab).sign_in("ana")
    page = "/ui/approvals/APR-00000001"
    assert "you asked for it yourself" in browser.text(page)
    assert browser.post(page, decision="approved", reason="I want it").status == 403
    found = lab.runtime.ledger.record(Approval, "APR-00000001")
    assert found is not None
    assert found.state is ApprovalState.WAITING


def test_a_form_of_another_session_approves_nothing(lab: ServiceLab) -> None:
    browser = Browser(lab).sign_in("approver")
    reply = browser.post("/ui/approvals/APR-00000001", form_key="f" * 32, decision="approved", reason="x")
    assert reply.status == 403
    found = lab.runtime.ledger.record(Approval, "APR-00000001")
    assert found is not None
    assert not found.votes


def test_long_lists_come_in_pages(lab: ServiceLab) -> None:
    for number in range(60):
        point = a_restore_point().model_copy(update={"id": f"RP-files-01-{number:08x}"})
        entry = NewEntry(event=Event.SERVICE, actor="ana", incident="INC-1", action="test.fill")
        lab.runtime.ledger.append(entry, [point])
    browser = Browser(lab).sign_in()
    first, second = browser.text("/ui/restore-points"), browser.text("/ui/restore-points?page=2")
    assert "Page 1 of 2, 61 in all" in first
    assert "RP-files-01-0000003b" in first
    assert "RP-files-01-0a1b2c3d" in second
    assert browser.get("/ui/restore-points?page=0").status == 422


def test_a_run_of_very_many_steps_shows_the_first_and_the_newest_and_says_so(
    lab: ServiceLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "FIRST_ENTRIES", 1)
    monkeypatch.setattr(views, "LAST_ENTRIES", 4)
    for number in range(9):
        for event, outcome in ((Event.INTENT, ""), (Event.OUTCOME, "succeeded")):
            key = f"INC-1/ransomware-response.back_up.start/asset-{number}/1"
            run = "RUN-INC-1-00000000"
            entry = NewEntry(
                event=event, actor="ana", incident="INC-1", run=run, action="backup.start", key=key, outcome=outcome
            )  # fmt: skip
            lab.runtime.ledger.append(entry)
    text = Browser(lab).sign_in().text("/ui/runs/RUN-INC-1-00000000")
    assert "The run has 19 entries in the audit trail; 14 between" in text
    assert ["asset-7" in text, "asset-8" in text, "asset-6" in text, "files-01" in text] == [True, True, False, True]


def test_an_incident_with_very_many_restore_points_and_holds_says_how_many_are_left_out(
    lab: ServiceLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MOST_OF_ONE", 3)
    (hold,) = lab.runtime.ledger.records(Hold)
    more: list[Value] = []
    for number in range(5):
        more.append(a_restore_point().model_copy(update={"id": f"RP-files-01-{number:08x}"}))
        more.append(hold.model_copy(update={"id": f"HOLD-2{number}"}))
    more.append(hold.model_copy(update={"id": "HOLD-3", "released_at": NOW}))
    lab.runtime.ledger.append(NewEntry(event=Event.SERVICE, actor="ana", incident="INC-1", action="test.fill"), more)
    text = Browser(lab).sign_in().text("/ui/incidents/INC-1")
    assert text.count("3 more are not shown here") == 2
    assert "GET /v1/registers/holds?incident=INC-1" in text
    assert "HOLD-3" not in text


def test_events_need_a_session_and_end_with_the_service(lab: ServiceLab) -> None:
    assert Browser(lab).get("/ui/runs/RUN-INC-1-00000000/events").status == 401
