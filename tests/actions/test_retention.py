"""Retention through the one path of every action: while a case is open, after it was closed, and what it shows."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from snaphold.domain.incident import IncidentStatus
from snaphold.domain.outcome import Outcome
from snaphold.domain.retention import CaseRecord, Retention
from snaphold.errors import InputError, ProviderError
from snaphold.providers.base import Verb
from support.kept_estate import EVIDENCE, FILES, ORDERS, KeptEstate, make_kept_estate
from support.ledgers import NOW, note

DAY = timedelta(days=1)
MIDNIGHT = NOW.replace(hour=0)


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptEstate:
    return make_kept_estate(tmp_path, monkeypatch)


def until_of(estate: KeptEstate, name: str) -> datetime | None:
    found = estate.ledger.record(Retention, name)
    assert found is not None
    return found.until


def test_an_open_case_keeps_everything_as_long_as_asked_and_the_storage_enforces_what_it_can(estate: KeptEstate) -> None:
    result = estate.use("retention.extend", {"at_least": "30d"})
    assert {name: until_of(estate, name) for name in (FILES, ORDERS, EVIDENCE)} == dict.fromkeys(
        (FILES, ORDERS, EVIDENCE), MIDNIGHT + 31 * DAY
    )
    assert estate.engine.kept == dict.fromkeys((FILES, ORDERS), MIDNIGHT + 31 * DAY)
    assert result.outcome is Outcome.SUCCEEDED
    assert result.findings == [
        f"{EVIDENCE} is kept until 2026-12-23T00:00:00.000Z by the register only: the package's folder is read-only"
    ]
    assert result.earliest == "2026-12-23T00:00:00.000Z"


def test_extending_again_on_the_same_day_asks_nothing_of_the_storage_and_less_changes_nothing(estate: KeptEstate) -> None:
    estate.use("retention.extend", {"at_least": "30d"})
    estate.engine.calls.clear()
    estate.use("retention.extend", {"at_least": "30d"})
    estate.use("retention.extend", {"at_least": "2d"})
    assert estate.engine.calls == []
    assert until_of(estate, FILES) == MIDNIGHT + 31 * DAY
    estate.clock.advance(10 * 86400)
    estate.use("retention.extend", {"at_least": "30d"})
    assert until_of(estate, FILES) == MIDNIGHT + 41 * DAY


def test_a_storage_that_fails_leaves_the_register_and_is_asked_again_the_next_time(estate: KeptEstate) -> None:
    estate.engine.faults["set_retention"] = ProviderError("the storage is offline")
    result = estate.use("retention.extend")
    assert result.outcome is Outcome.PARTIAL
    assert f"{FILES} is kept until" in result.findings[0]
    assert "the storage is offline" in result.findings[0]
    assert FILES not in estate.engine.kept
    assert estate.use("retention.extend").outcome is Outcome.SUCCEEDED
    assert estate.engine.kept[FILES] == until_of(estate, FILES)


def test_an_engine_without_retention_is_said_so_and_is_no_failure(estate: KeptEstate) -> None:
    estate.engine.unsupported = {Verb.SET_RETENTION}
    result = estate.use("retention.extend", {"subjects": [FILES]})
    assert result.outcome is Outcome.SUCCEEDED
    assert result.findings[0].endswith("by the register only: it knows no such thing")


def test_the_clock_of_a_closed_case_starts_at_the_closing_and_the_longest_rule_wins(estate: KeptEstate) -> None:
    estate.say(IncidentStatus.CLOSED)
    estate.use("retention.release")
    assert until_of(estate, FILES) == NOW + 90 * DAY
    assert until_of(estate, ORDERS) == NOW + 365 * DAY
    assert until_of(estate, EVIDENCE) == NOW + 365 * DAY, "the evidence holds personal data too"
    estate.clock.advance(5 * 86400)
    estate.use("retention.release")
    assert until_of(estate, FILES) == NOW + 90 * DAY, "it counts from the closing, not from the second look"
    assert estate.engine.kept[ORDERS] == NOW + 365 * DAY


def test_closing_never_shortens_what_the_open_case_had_promised(estate: KeptEstate) -> None:
    estate.use("retention.extend", {"at_least": "200d"})
    estate.say(IncidentStatus.CLOSED)
    estate.use("retention.release")
    assert until_of(estate, FILES) == MIDNIGHT + 201 * DAY
    found = estate.ledger.record(Retention, FILES)
    assert found is not None
    assert found.reason.startswith("the policy (all data); longer because")


def test_without_a_rule_it_is_kept_for_good_until_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"data_class": "personal-data", "keep": "365d", "basis": "a law"}
    estate = make_kept_estate(tmp_path, monkeypatch, retention=[rule])
    estate.say(IncidentStatus.CLOSED)
    result = estate.use("retention.release")
    assert until_of(estate, FILES) is None
    assert f"{FILES} until a rule is about it" in result.kept
    assert any("no retention rule is about it" in finding for finding in result.findings)
    estate.clock.advance(5000 * 86400)
    assert any(FILES in line and "no retention rule" in line for line in estate.use("retention.show").kept)
    wider = make_kept_estate(tmp_path / "wider", monkeypatch).configuration
    estate.configuration = wider
    estate.use("retention.release")
    assert until_of(estate, FILES) == NOW + 90 * DAY


def test_data_of_an_asset_that_nobody_knows_gets_the_longest_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = {"id": "orders-db", "kind": "database", "tier": "T0", "owner": "orders"}
    estate = make_kept_estate(tmp_path, monkeypatch, assets=[orders])
    estate.say(IncidentStatus.CLOSED)
    estate.use("retention.release", {"subjects": [FILES]})
    assert until_of(estate, FILES) == NOW + 365 * DAY


def test_an_open_case_is_not_released_and_a_closed_one_is_not_extended(estate: KeptEstate) -> None:
    with pytest.raises(InputError, match="is open"):
        estate.use("retention.release")
    estate.say(IncidentStatus.CLOSED)
    with pytest.raises(InputError, match="is closed"):
        estate.use("retention.extend")
    assert estate.ledger.records(Retention) == []


def test_what_a_platform_shows_goes_before_what_the_incident_says(estate: KeptEstate) -> None:
    shown = CaseRecord(
        id="INC-1", incident="INC-1", status=IncidentStatus.OPEN, integration="itsm", vendor_status="In Progress", seen_at=NOW
    )
    estate.ledger.append(note(incident="INC-1"), [shown])
    estate.say(IncidentStatus.CLOSED)
    with pytest.raises(InputError) as refused:
        estate.use("retention.release")
    assert "itsm shows it as In Progress" in (refused.value.why or "")


def test_a_case_that_opens_again_is_extended_and_counts_anew_from_its_second_closing(estate: KeptEstate) -> None:
    estate.say(IncidentStatus.CLOSED)
    estate.use("retention.release")
    estate.clock.advance(80 * 86400)
    estate.say(IncidentStatus.OPEN)
    estate.use("retention.extend", {"at_least": "30d"})
    found = estate.ledger.record(Retention, FILES)
    assert found is not None
    assert not found.running
    assert found.until == MIDNIGHT + 111 * DAY


def test_it_is_shown_what_is_kept_and_why(estate: KeptEstate) -> None:
    shown = estate.use("retention.show")
    assert f"{FILES}: its case is open; its retention has not begun to run" in shown.kept
    estate.use("hold.place", {"subjects": [ORDERS], "reason": "a court"})
    estate.close_and_wait()
    shown = estate.use("retention.show")
    assert shown.free == [FILES]
    assert any(line.startswith(f"{ORDERS}: it is held by HOLD-") for line in shown.kept)
    assert f"{EVIDENCE}: evidence packages are not deleted by Snaphold" in shown.kept
    assert f"{FILES}: memory 1.0: enforced by the storage" in shown.enforced


def test_nothing_to_keep_and_unknown_names_are_refused(estate: KeptEstate) -> None:
    with pytest.raises(InputError, match="no such restore point"):
        estate.use("retention.extend", {"subjects": ["RP-files-01-00000009"]})
    estate.incident = estate.incident.model_copy(update={"id": "INC-9"})
    assert estate.use("retention.extend").findings == ["there is no restore point and no evidence yet"]
    estate.say(IncidentStatus.CLOSED)
    with pytest.raises(InputError, match="nothing to keep"):
        estate.use("retention.release")
