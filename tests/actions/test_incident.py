"""The actions on incidents, through the ledger: once per key, and the integration chosen without doubt."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from snaphold.actions.incident import AddNote, ReadIncident, SetStatus, WantedStatus, add_note, read, set_status
from snaphold.errors import InputError
from support.incident_context import make_configuration, make_context
from support.platform_rigs import PagerDutyRig
from support.quick_retries import no_pauses


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[PagerDutyRig]:
    no_pauses(monkeypatch)
    made = PagerDutyRig(tmp_path)
    yield made
    made.close()


def test_an_incident_is_read_noted_once_and_resolved(rig: PagerDutyRig) -> None:
    reference = rig.open_incident()
    context = make_context(configuration=rig.configuration)
    assert read(ReadIncident(reference=reference), context).status == "open"
    note = AddNote(reference=reference, text="Backup done")
    assert not add_note(note, context).found
    assert add_note(note, context).found
    done = SetStatus(reference=reference, status=WantedStatus.RESOLVED, note="Evidence is sealed")
    assert set_status(done, replace(context, key="INC-1/close/-/1")).status == "resolved"
    assert [text.split("\n")[0] for text in rig.notes(reference)] == ["Backup done", "Evidence is sealed"]


def test_the_incident_itself_is_meant_when_no_reference_is_given(rig: PagerDutyRig) -> None:
    with pytest.raises(InputError, match="INC-1"):
        read(ReadIncident(), make_context(configuration=rig.configuration))


def test_without_or_with_two_integrations_the_choice_is_a_persons(rig: PagerDutyRig) -> None:
    with pytest.raises(InputError, match="no integration can"):
        read(ReadIncident(), make_context())
    one = rig.integration.model_dump()
    two = make_configuration(integrations=[one, {**one, "name": "other"}])
    with pytest.raises(InputError, match="more than one"):
        read(ReadIncident(reference=rig.open_incident()), make_context(configuration=two))
    with pytest.raises(InputError, match="there is no integration"):
        read(ReadIncident(integration="my-pagerdute"), make_context(configuration=two))
    chosen = ReadIncident(reference=rig.open_incident(), integration="other")
    assert read(chosen, make_context(configuration=two)).status == "open"
