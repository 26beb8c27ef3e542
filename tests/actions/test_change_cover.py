"""The change that covers an emergency backup, against the simulated ServiceNow."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from snaphold.actions.change import CloseChange, OpenEmergencyChange, close, open_emergency
from snaphold.actions.change_cover import BackupCovered, CloseOpened, CoverBackup, close_opened, cover
from snaphold.context import Context
from snaphold.domain.change import CoveringChange
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, UnknownOutcomeError
from snaphold.platforms import servicenow_changes
from support.incident_context import make_configuration, make_context
from support.platform_rigs import ServiceNowRig
from support.quick_retries import no_pauses

STANDARD = "Incident backup"


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ServiceNowRig]:
    no_pauses(monkeypatch)
    monkeypatch.setattr(servicenow_changes, "_WORKER_SECONDS", 0.0)
    made = ServiceNowRig(tmp_path)
    for name in ("files-01", "shop"):
        made.simulator.add_item(name)
    yield made
    made.close()


def context_of(rig: ServiceNowRig, *records: CoveringChange, standard: str = STANDARD) -> Context:
    rule = {"change": {"integration": rig.integration.name, "standard": standard}}
    configuration = make_configuration(integrations=[rig.integration.model_dump()], authority=rule)
    return make_context(*records, configuration=configuration, justification="Ransomware spreads", key="INC-1/change/-/1")


def covered(context: Context) -> BackupCovered:
    return cover(CoverBackup(), context)


def staged(context: Context) -> list[CoveringChange]:
    return [record for record in context.staged if isinstance(record, CoveringChange)]


def changes(rig: ServiceNowRig) -> list[str]:
    return [row["number"] for row in rig.simulator.tables.query("change_request", "")]


def test_a_standard_change_that_may_be_used_covers_and_nothing_is_opened(rig: ServiceNowRig) -> None:
    rig.simulator.tables.insert("std_change_template", {"name": STANDARD, "active": "true"})
    context = context_of(rig)
    result = covered(context)
    assert (result.outcome, result.covered_by, result.change, result.reason) == (Outcome.SUCCEEDED, "standard", STANDARD, "")
    assert changes(rig) == []
    (record,) = staged(context)
    assert (record.kind, record.state, record.used_by) == ("standard", "approved", "ana")


@pytest.mark.parametrize(("active", "why"), [("false", "it is retired"), (None, "no standard change")])
def test_one_that_may_not_be_used_is_told_and_an_emergency_change_is_opened(
    rig: ServiceNowRig, active: str | None, why: str
) -> None:
    if active:
        rig.simulator.tables.insert("std_change_template", {"name": STANDARD, "active": active})
    context = context_of(rig)
    result = covered(context)
    assert (result.outcome, result.covered_by, [result.change]) == (Outcome.SUCCEEDED, "emergency", changes(rig))
    assert why in result.reason
    assert why in result.findings[0]
    (record,) = staged(context)
    assert (record.kind, record.number, record.state, record.closed_at) == ("emergency", result.change, "open", None)


def test_a_repeat_after_a_lost_answer_opens_no_second_change(rig: ServiceNowRig) -> None:
    first, again = covered(context_of(rig, standard="")), covered(context_of(rig, standard=""))
    assert first.change == again.change
    assert changes(rig) == [first.change]


def test_an_incident_has_one_change_until_it_is_closed(rig: ServiceNowRig) -> None:
    context = context_of(rig, standard="")
    number = covered(context).change
    later = replace(context_of(rig, *staged(context), standard=""), key="INC-1/change/-/2")
    assert (covered(later).change, covered(later).findings) == (number, [f"{number} was opened for INC-1 before"])
    ended = [record.model_copy(update={"closed_at": context.clock.now()}) for record in staged(context)]
    anew = replace(context_of(rig, *ended, standard=""), key="INC-1/change/-/3")
    assert covered(anew).change != number


def test_without_a_rule_nothing_is_opened_and_the_reader_is_told(rig: ServiceNowRig) -> None:
    context = make_context(configuration=rig.configuration)
    result = covered(context)
    assert (result.outcome, result.covered_by, result.change) == (Outcome.SUCCEEDED, "nothing", "")
    assert "authority.change" in result.findings[0]
    assert (changes(rig), context.staged) == ([], [])


def test_a_rule_that_names_no_integration_covers_nothing(rig: ServiceNowRig) -> None:
    configuration = make_configuration(authority={"change": {"integration": "itsm"}})
    with pytest.raises(InputError, match="there is no integration 'itsm'"):
        covered(make_context(configuration=configuration))


def test_what_was_opened_is_closed_with_the_incident(rig: ServiceNowRig) -> None:
    context = context_of(rig, standard="")
    number = covered(context).change
    rig.simulator.approve(number)
    later = context_of(rig, *staged(context), standard="")
    result = close_opened(CloseOpened(successful=False, notes="The second wave failed."), later)
    assert (result.outcome, result.closed, result.open, result.findings) == (Outcome.SUCCEEDED, [number], [], [])
    row = rig.simulator.tables.find("change_request", "number", number)
    assert (row["close_code"], row["close_notes"]) == ("unsuccessful", "The second wave failed.")
    (record,) = staged(later)
    assert (record.state, record.closed_by) == ("closed", "ana")
    assert close_opened(CloseOpened(), context_of(rig, record)).closed == []


def test_one_that_waits_for_its_approval_is_left_to_people(rig: ServiceNowRig) -> None:
    context = context_of(rig, standard="")
    number = covered(context).change
    later = context_of(rig, *staged(context), standard="")
    result = close_opened(CloseOpened(), later)
    assert (result.outcome, result.closed, result.open) == (Outcome.PARTIAL, [], [number])
    assert result.findings[0].startswith(f"{number} cannot be closed now: ")
    assert later.staged == []


def test_a_standard_change_is_nobodys_to_close(rig: ServiceNowRig) -> None:
    rig.simulator.tables.insert("std_change_template", {"name": STANDARD, "active": "true"})
    context = context_of(rig)
    covered(context)
    result = close_opened(CloseOpened(), context_of(rig, *staged(context)))
    assert (result.outcome, result.closed, result.open) == (Outcome.SUCCEEDED, [], [])


def test_a_change_that_was_opened_or_closed_by_its_own_action_stands_in_the_register_too(rig: ServiceNowRig) -> None:
    context = context_of(rig)
    opened = open_emergency(OpenEmergencyChange(), context)
    assert covered(context_of(rig, *staged(context))).change == opened.change
    rig.simulator.approve(opened.change)
    later = context_of(rig, *staged(context))
    close(CloseChange(change=opened.change), later)
    (record,) = staged(later)
    assert (record.state, record.closed_at) == ("closed", later.clock.now())


def test_an_answer_that_never_came_is_not_taken_for_an_end(rig: ServiceNowRig, monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of(rig, standard="")
    covered(context)

    def lost(*_arguments: object, **_named: object) -> None:
        raise UnknownOutcomeError("no answer came", "the connection broke", "look at it")

    monkeypatch.setattr(servicenow_changes, "close_change", lost)
    with pytest.raises(UnknownOutcomeError):
        close_opened(CloseOpened(), context_of(rig, *staged(context)))
