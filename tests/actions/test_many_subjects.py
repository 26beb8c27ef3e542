"""Holds and retention of thousands of restore points: what they ask of the ledger does not grow with their number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snaphold.domain.authority import EvidenceRecord, Hold
from snaphold.domain.retention import Retention
from snaphold.domain.value import Value
from support.kept_estate import EVIDENCE, KeptEstate, make_kept_estate
from support.ledger_traffic import watched
from support.ledgers import note

USES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("hold.place", {"reason": "Ransomware"}),
    ("hold.place", {"reason": "Court order"}),
    ("retention.extend", {}),
    ("retention.extend", {"at_least": "40d", "occasion": "later"}),
    ("retention.show", {}),
)


def statements(folder: Path, monkeypatch: pytest.MonkeyPatch, subjects: int) -> list[int]:
    """Return how many statements each use needs with so many subjects."""
    folder.mkdir()
    estate = make_kept_estate(folder, monkeypatch)
    known = estate.ledger.record(EvidenceRecord, EVIDENCE)
    assert known is not None
    more: list[Value] = [known.model_copy(update={"id": f"EV-INC-1-{number:08}"}) for number in range(subjects)]
    estate.ledger.append(note(), more)
    found = [_used(estate, action, given) for action, given in USES]
    assert len(estate.ledger.records(Hold)) == 2 * len(estate.ledger.records(Retention)) >= 2 * subjects
    return found


def _used(estate: KeptEstate, action: str, given: dict[str, Any]) -> int:
    with watched() as traffic:
        estate.use(action, given)
    return traffic.statements


def test_many_subjects_need_as_many_statements_as_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert statements(tmp_path / "some", monkeypatch, 20) == statements(tmp_path / "many", monkeypatch, 60)
