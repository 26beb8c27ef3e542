"""report.summary: the file is written whole, safe against hostile text, and honest about what is open."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.actions.report import SummariseIncident, summary, write_report
from snaphold.clock import FixedClock
from snaphold.context import Context
from snaphold.domain.incident import Incident
from snaphold.domain.people import Actor
from snaphold.errors import StorageError
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import Event, NewEntry
from support.incident_facts import HOSTILE, a_restore_point
from support.ledgers import INCIDENT, configure


def a_context(folder: Path, clock: FixedClock, incident: Incident = INCIDENT) -> Context:
    """Return a context on a real ledger in the folder."""
    configuration = configure(folder).placed_at(folder)
    ledger = DatabaseLedger.open(configuration, clock)
    actor = Actor(id="ana", name="Ana Ruiz", roles=())
    return Context(configuration=configuration, incident=incident, actor=actor, clock=clock, ledger=ledger)


def test_the_report_is_written_and_says_what_is_open(tmp_path: Path, clock: FixedClock) -> None:
    context = a_context(tmp_path, clock)
    result = summary(SummariseIncident(), context)
    page = Path(result.report).read_text(encoding="utf-8")
    assert result.restore_points == 0
    assert result.open_points == ["orders-db has no restore point."]
    assert "orders-db has no restore point." in page
    assert "set in the configuration" in page


def test_text_of_the_incident_is_escaped(tmp_path: Path, clock: FixedClock) -> None:
    incident = INCIDENT.model_copy(update={"title": HOSTILE, "description": HOSTILE})
    page = Path(summary(SummariseIncident(), a_context(tmp_path, clock, incident)).report).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_restore_points_and_the_head_of_the_chain_are_in_the_report(tmp_path: Path, clock: FixedClock) -> None:
    context = a_context(tmp_path, clock)
    note = NewEntry(event=Event.OUTCOME, actor="ana", incident="INC-1", action="backup.verify", outcome="succeeded")
    entry = context.ledger.append(note, [a_restore_point()])
    page = Path(summary(SummariseIncident(), context).report).read_text(encoding="utf-8")
    assert entry.hash in page
    assert "RP-files-01-0a1b2c3d" in page
    assert "its room cannot be told" in page


def test_an_asset_that_nobody_knows_is_open_and_not_an_error(tmp_path: Path, clock: FixedClock) -> None:
    incident = INCIDENT.model_copy(update={"assets": ("ghost-01",)})
    page = Path(summary(SummariseIncident(), a_context(tmp_path, clock, incident)).report).read_text(encoding="utf-8")
    assert "ghost-01 is not in the configuration." in page


def test_a_second_report_replaces_the_first_and_leaves_nothing_beside_it(tmp_path: Path, clock: FixedClock) -> None:
    context = a_context(tmp_path, clock)
    first = Path(summary(SummariseIncident(), context).report)
    second = Path(summary(SummariseIncident(), context).report)
    assert first == second
    assert [path.name for path in first.parent.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_written_is_an_error_and_the_old_one_stays(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(StorageError, match="cannot be written"):
        write_report("page", blocked / "report.html")
