"""What the incident report says, as plain values; collect.py fills it, page.py sets it as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from snaphold.domain.authority import Approval, EvidenceRecord, Grant, Hold, PromotionException
from snaphold.domain.change import CoveringChange
from snaphold.domain.incident import Incident
from snaphold.domain.restore_point import RestorePoint
from snaphold.engine.run import Run
from snaphold.report.entry_facts import EntryFacts


@dataclass(frozen=True)
class AssetRow:
    """One asset in scope: its tier and why it has it."""

    asset: str
    kind: str
    tier: str
    why: str
    owner: str
    data_classes: tuple[str, ...]
    recovery: str
    """Recovery time and recovery point objective, e.g. `1h / 15m`."""


@dataclass(frozen=True)
class ReportFacts:
    """Everything that the report shows. `entries`: what there is to say of the incident's ledger entries."""

    written_at: datetime
    product: str
    organisation: str
    contact: str
    incident: Incident
    assets: Sequence[AssetRow] = ()
    waves: Sequence[str] = ()
    order_findings: Sequence[str] = ()
    capacity: Sequence[str] = ()
    runs: Sequence[Run] = ()
    restore_points: Sequence[RestorePoint] = ()
    evidence: Sequence[EvidenceRecord] = ()
    approvals: Sequence[Approval] = ()
    grants: Sequence[Grant] = ()
    holds: Sequence[Hold] = ()
    exceptions: Sequence[PromotionException] = ()
    changes: Sequence[CoveringChange] = ()
    entries: EntryFacts = field(default_factory=EntryFacts)
    checks: Sequence[str] = ()
    """The command lines with which a stranger checks the evidence."""
