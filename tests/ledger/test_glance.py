"""Looks that cost the same however long a run is: its first and last entries, its newest, and how many records there are."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.authority import Hold
from snaphold.ledger.connection import SqliteStore
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.glance import count_records, edges_of_run, newest_of_run, records_about
from support.ledger_traffic import watched
from support.ledgers import NOW, note, open_test_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Generator[DatabaseLedger]:
    found = open_test_ledger(tmp_path, FixedClock(NOW))
    for number in range(30):
        found.append(note(run="RUN-1" if number % 3 else "RUN-2"))
    yield found
    found.close()


def test_a_long_run_is_told_by_its_first_and_its_last_entries(ledger: DatabaseLedger) -> None:
    edges = edges_of_run(ledger, "RUN-1", 2, 3)
    assert [entry["sequence"] for entry in edges.entries] == [2, 3, 27, 29, 30]
    assert (edges.total, edges.are_all) == (20, False)


@pytest.mark.parametrize(("first", "last"), [(20, 0), (10, 10), (1, 100)])
def test_a_short_run_is_told_whole(ledger: DatabaseLedger, first: int, last: int) -> None:
    edges = edges_of_run(ledger, "RUN-1", first, last)
    assert [entry["sequence"] for entry in edges.entries] == [number + 1 for number in range(30) if number % 3]
    assert edges.are_all


def test_the_newest_entry_is_found_without_reading_the_others(ledger: DatabaseLedger) -> None:
    store = ledger.store
    assert isinstance(store, SqliteStore)
    with watched(store.engine) as traffic:
        assert (newest_of_run(ledger, "RUN-1"), newest_of_run(ledger, "RUN-2"), newest_of_run(ledger, "none")) == (30, 28, 0)
    assert traffic.statements == 3


def test_records_of_an_incident_are_counted_also_those_that_say_something(ledger: DatabaseLedger) -> None:
    hold = Hold(
        id="A", incident="INC-1", subject="RP-1", subject_kind="restore_point", reason="r", placed_by="ana", placed_at=NOW
    )
    released = hold.model_copy(update={"id": "B", "released_at": NOW})
    other = hold.model_copy(update={"id": "C", "incident": "INC-2"})
    ledger.append(note(), [hold, released, other])
    assert count_records(ledger, Hold, "INC-1") == 2
    assert count_records(ledger, Hold, "INC-1", ("released_at", None)) == 1


def test_records_about_some_subjects_are_found_also_when_others_speak_of_them(ledger: DatabaseLedger) -> None:
    tricky = '"subject":"RP-1"'
    holds = [
        Hold(
            id=f"HOLD-{number}", incident="INC-1", subject=subject, subject_kind="restore_point", reason=reason, placed_by="ana",
            placed_at=NOW, released_at=released,
        )
        for number, (subject, reason, released) in enumerate(
            [("RP-1", "r", None), ("RP-2", tricky, None), ("RP-3", "r", None), ("RP-1", "r", NOW), ("RP-1", tricky, None)]
        )
    ]  # fmt: skip
    ledger.append(note(), list(holds))
    found = records_about(ledger, Hold, "subject", ["RP-1", "RP-3"], ("released_at", None))
    assert [hold.id for hold in found] == ["HOLD-0", "HOLD-2", "HOLD-4"]
    assert records_about(ledger, Hold, "subject", ["RP-9"], ("released_at", None)) == []
