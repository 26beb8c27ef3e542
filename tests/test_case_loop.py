"""The loop between case and backup: what a platform says leads to a look, and no echo makes a storm."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from snaphold.case_loop import catch_up, followed_incident
from snaphold.domain.case_traffic import MOST_LOOKS, MOST_NOTES, WINDOW, CaseGuard
from snaphold.domain.incident import IncidentStatus
from snaphold.domain.outcome import Outcome
from snaphold.domain.retention import CaseRecord, Retention
from snaphold.errors import InputError, KeptError, ProviderError, SnapholdError
from snaphold.platforms.base import CaseStatus
from snaphold.simulators.faults import parse_fault
from support.case_lab import CaseLab, make_case_lab
from support.kept_estate import FILES, ORDERS
from support.ledgers import NOW
from support.platform_rigs import PagerDutyRig, ServiceNowRig
from support.quick_retries import no_pauses

OPEN, CLOSED = CaseStatus.OPEN, CaseStatus.RESOLVED
A_WINDOW = WINDOW.total_seconds()


@pytest.fixture(params=[PagerDutyRig, ServiceNowRig], ids=["pagerduty", "servicenow"])
def lab(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[CaseLab]:
    no_pauses(monkeypatch)
    rig = request.param(tmp_path)
    yield make_case_lab(rig, tmp_path, monkeypatch)
    rig.close()


def fail(_incident: str, error: SnapholdError) -> None:
    raise error


def until(lab: CaseLab, name: str = FILES) -> object:
    found = lab.estate.ledger.record(Retention, name)
    return found.until if found else None


def case(lab: CaseLab) -> CaseRecord:
    found = lab.estate.ledger.record(CaseRecord, "INC-1")
    assert found is not None
    return found


def test_an_open_case_extends_a_closed_one_releases_and_a_reopened_one_extends_again(lab: CaseLab) -> None:
    first = lab.synchronise()
    assert (first.status, first.changed, first.outcome) == ("open", False, Outcome.SUCCEEDED)
    assert until(lab) == NOW.replace(hour=0) + timedelta(days=31)
    assert lab.notes() == []
    lab.set_status(CLOSED)
    closed = lab.synchronise()
    assert (closed.status, closed.changed) == ("closed", True)
    assert case(lab).closed_at == NOW
    assert until(lab, ORDERS) == NOW + timedelta(days=365)
    lab.set_status(OPEN)
    assert lab.synchronise().changed
    assert (case(lab).status, case(lab).closed_at, case(lab).reopened) == (IncidentStatus.OPEN, None, 1)
    assert [text.split(":")[0] for text in lab.notes()] == ["The case is closed", "The case is open again"]


def test_looking_again_changes_nothing_and_writes_nothing(lab: CaseLab) -> None:
    lab.set_status(CLOSED)
    lab.synchronise()
    before = [until(lab, name) for name in (FILES, ORDERS)], lab.writes(), case(lab).closed_at
    lab.estate.clock.advance(3600)
    lab.synchronise()
    assert ([until(lab, name) for name in (FILES, ORDERS)], lab.writes(), case(lab).closed_at) == before


def test_a_message_is_not_believed_it_only_leads_to_a_look(lab: CaseLab) -> None:
    lab.synchronise()
    answer = lab.tell(CLOSED)
    assert answer.looked
    assert case(lab).status is IncidentStatus.OPEN


def test_the_echo_of_our_note_and_what_follows_it_write_nothing(lab: CaseLab) -> None:
    lab.synchronise()
    lab.set_status(CLOSED)
    assert lab.tell(CLOSED).looked
    assert lab.writes() == 1
    answers = lab.echo(CLOSED, times=50)
    assert len(answers) == 51
    assert not any(answer.looked for answer in answers)
    assert answers[0].why == "it is the echo of a note of ours"
    assert lab.writes() == 1
    assert lab.looks() == 1


def test_a_platform_that_strips_our_mark_makes_no_storm_either(lab: CaseLab) -> None:
    lab.synchronise()
    entries = len(lab.estate.ledger.entries("INC-1"))
    for turn in range(12):
        status = CLOSED if turn % 2 == 0 else OPEN
        lab.set_status(status)
        lab.tell(status)
        lab.echo(status, times=20, strip_marks=True)
    assert lab.told > 100
    assert lab.looks() == MOST_LOOKS
    assert lab.writes() <= MOST_NOTES
    assert len(lab.estate.ledger.entries("INC-1")) - entries < 100


def test_what_was_left_alone_in_a_storm_is_made_up_for_after_the_window(lab: CaseLab) -> None:
    lab.synchronise()
    for turn in range(MOST_LOOKS + 2):
        lab.set_status(CLOSED if turn % 2 else OPEN)
        lab.tell(CLOSED if turn % 2 else OPEN)
    lab.set_status(CLOSED)
    lab.tell(OPEN)
    lab.tell(CLOSED)
    guard = lab.estate.ledger.record(CaseGuard, "INC-1")
    assert guard is not None
    assert guard.owed
    assert catch_up(lab.runtime, on_error=fail) == [], "the window has not ended"
    lab.estate.clock.advance(A_WINDOW + 1)
    assert [answer.looked for answer in catch_up(lab.runtime, on_error=fail)] == [True]
    assert case(lab).status is IncidentStatus.CLOSED
    assert catch_up(lab.runtime, on_error=fail) == []


def test_after_downtime_every_followed_case_is_looked_at(lab: CaseLab) -> None:
    lab.synchronise()
    assert followed_incident(lab.runtime, lab.rig.integration.name, case(lab).reference) == "INC-1"
    catch_up(lab.runtime, on_error=fail)
    lab.estate.clock.advance(20 * 86400)
    assert len(catch_up(lab.runtime, on_error=fail)) == 1
    assert until(lab) == NOW.replace(hour=0) + timedelta(days=51)
    lab.set_status(CLOSED)
    lab.estate.clock.advance(86400)
    catch_up(lab.runtime, on_error=fail)
    assert case(lab).status is IncidentStatus.CLOSED
    lab.estate.clock.advance(86400)
    assert catch_up(lab.runtime, on_error=fail) == [], "a closed case is left alone"


def test_a_look_that_fails_is_owed_and_nothing_is_released_meanwhile(lab: CaseLab) -> None:
    lab.synchronise()
    lab.set_status(CLOSED)
    lab.rig.server.faults.switch_on(parse_fault("forbidden:always"))
    with pytest.raises(SnapholdError):
        lab.tell(CLOSED)
    assert case(lab).status is IncidentStatus.OPEN
    lab.rig.server.faults.clear()
    lab.estate.clock.advance(A_WINDOW + 1)
    assert catch_up(lab.runtime, on_error=fail)[0].looked
    assert case(lab).status is IncidentStatus.CLOSED


def test_a_case_that_fails_does_not_stop_the_others(lab: CaseLab) -> None:
    lab.synchronise()
    lab.rig.server.faults.switch_on(parse_fault("forbidden:always"))
    told: list[str] = []
    assert catch_up(lab.runtime, on_error=lambda incident, error: told.append(f"{incident}: {error.what}")) == []
    assert len(told) == 1
    assert told[0].startswith("INC-1: ")


def test_a_message_of_another_platform_and_of_an_unknown_incident_are_left_alone(lab: CaseLab) -> None:
    from snaphold.case_loop import on_status

    with pytest.raises(InputError, match="is not known here"):
        on_status(lab.runtime, "INC-1", lab.rig.integration.name, OPEN)
    with pytest.raises(InputError, match="cannot be the id"):
        on_status(lab.runtime, "../INC", lab.rig.integration.name, OPEN)
    lab.synchronise()
    answer = on_status(lab.runtime, "INC-1", "elsewhere", CLOSED)
    assert (answer.looked, answer.why) == (False, f"the case is followed in {lab.rig.integration.name}")


def test_a_deletion_asks_the_platform_once_more(lab: CaseLab) -> None:
    lab.set_status(CLOSED)
    lab.synchronise()
    lab.estate.clock.advance(timedelta(days=100).total_seconds())
    lab.estate.grant("backup.delete")
    lab.set_status(OPEN)
    given = {"restore_point": FILES, "reason": "over"}
    with pytest.raises(KeptError, match="its case was reopened"):
        lab.estate.use("backup.delete", given)
    lab.set_status(CLOSED)
    lab.rig.server.faults.switch_on(parse_fault("forbidden:always"))
    with pytest.raises(SnapholdError):
        lab.estate.use("backup.delete", given)
    assert FILES in lab.estate.engine.points
    lab.rig.server.faults.clear()
    assert lab.estate.use("backup.delete", given).outcome is Outcome.SUCCEEDED


def test_a_milestone_is_noted_once_whoever_reports_it(lab: CaseLab) -> None:
    lab.synchronise()
    first = lab.estate.use("case.report_progress", {"milestone": "evidence-sealed"})
    again = lab.estate.use("case.report_progress", {"milestone": "evidence-sealed", "text": "another text"})
    assert (first.found, again.found, again.note) == (False, True, first.note)
    (text,) = lab.notes()
    assert "Backup of INC-1: 2 restore points." in text
    assert f"SHA-256 of its tag manifest {'ab' * 32}; no hold" in text
    assert "Kept at least until 2026-12-23T00:00:00.000Z." in text


def test_too_many_notes_wait_and_go_together(lab: CaseLab) -> None:
    lab.synchronise()
    results = [
        lab.estate.use("case.report_progress", {"milestone": f"step-{number}", "text": f"Step {number}."})
        for number in range(MOST_NOTES + 3)
    ]
    assert [result.waiting for result in results] == [False] * MOST_NOTES + [True] * 3
    assert lab.writes() == MOST_NOTES
    lab.estate.clock.advance(A_WINDOW)
    lab.estate.use("case.report_progress", {"milestone": "last", "text": "The last."})
    assert lab.writes() == MOST_NOTES + 1
    assert all(f"Step {number}." in lab.notes()[-1] for number in range(MOST_NOTES, MOST_NOTES + 3))
    assert lab.estate.use("case.report_progress", {"milestone": f"step-{MOST_NOTES}"}).found


@pytest.mark.parametrize("fault", ["reset_after", "error_after", "truncated", "garbage"])
def test_a_note_whose_answer_was_lost_is_found_again(lab: CaseLab, fault: str) -> None:
    lab.synchronise()
    lab.rig.server.faults.switch_on(parse_fault(f"{fault}:1@{'PATCH' if isinstance(lab.rig, ServiceNowRig) else 'POST'}"))
    given = {"milestone": "evidence-sealed", "text": "Sealed."}
    try:
        lab.estate.use("case.report_progress", given)
    except SnapholdError:
        lab.rig.server.faults.clear()
        lab.estate.use("case.report_progress", given)
    assert sum("Sealed." in text for text in lab.notes()) == 1


def test_a_status_that_is_not_understood_counts_as_open(lab: CaseLab) -> None:
    if not isinstance(lab.rig, ServiceNowRig):
        return
    lab.rig.simulator.tables.find("incident", "number", lab.reference)["state"] = "42"
    result = lab.synchronise()
    assert (result.status, result.outcome) == ("open", Outcome.PARTIAL)
    assert any("not understood" in finding for finding in result.findings)


def test_a_note_that_fails_does_not_undo_the_release(lab: CaseLab) -> None:
    lab.synchronise()
    lab.set_status(CLOSED)
    method = "PATCH" if isinstance(lab.rig, ServiceNowRig) else "POST"
    lab.rig.server.faults.switch_on(parse_fault(f"forbidden:always@{method}"))
    result = lab.synchronise()
    assert result.status == "closed"
    assert any(finding.startswith("it could not be noted in the case: ") for finding in result.findings)
    assert case(lab).status is IncidentStatus.CLOSED
    with pytest.raises((ProviderError, SnapholdError)):
        lab.estate.use("case.report_progress", {"milestone": "x"})
