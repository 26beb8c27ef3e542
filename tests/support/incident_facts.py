"""A made-up incident as the report sees it, with text that an attacker might have chosen."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from snaphold.domain.authority import Approval, ApprovalState, ApprovalVote, Decision, EvidenceRecord, Grant, Hold
from snaphold.domain.change import CoveringChange
from snaphold.domain.incident import Incident
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import QuiesceEvent, RestorePoint
from snaphold.engine.run import Run, RunStatus, StepLine
from snaphold.ledger.entry import Entry, Event
from snaphold.report.entry_facts import read_entries
from snaphold.report.facts import AssetRow, ReportFacts

NOW = datetime(2026, 11, 22, 18, 5, tzinfo=timezone.utc)
HOSTILE = "</title><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\" \u202eevil\x1b[31m"


def an_incident(title: str = "Ransomware on the file server", description: str = "Mass renames.") -> Incident:
    """Return an incident with one asset."""
    return Incident(
        id="INC-1",
        title=title,
        severity=1,
        category="ransomware",
        declared_at=NOW - timedelta(minutes=5),
        assets=("files-01",),
        reported_by="edr@example.org",
        description=description,
    )


def a_restore_point(outcome: Outcome = Outcome.SUCCEEDED, *, verified: bool = True) -> RestorePoint:
    """Return a restore point of the asset."""
    return RestorePoint(
        id="RP-files-01-0a1b2c3d",
        incident="INC-1",
        asset="files-01",
        pool="isolated-01",
        provider="restic",
        engine="restic 0.14.0",
        reference="4f5e6d7c",
        key="INC-1/snapshot.start/files-01/1",
        taken_at=NOW - timedelta(minutes=2),
        outcome=outcome,
        size=5_825_440,
        files=301,
        inventory_sha256="ab" * 32,
        encryption="restic AES-256, key 1a2b3c4d",
        consistency="crash-consistent: no application is configured",
        quiesce_log=(QuiesceEvent(at=NOW, event="copy_begin"),),
        verified_at=NOW if verified else None,
        verification="restored into scratch; 301 of 301 files have the hash of the source",
    )


def an_entry(sequence: int, event: Event, action: str, outcome: str = "", **detail: object) -> Entry:
    """Return a ledger entry of the incident."""
    return Entry(
        event=event,
        actor="ana",
        login="root",
        incident="INC-1",
        action=action,
        outcome=outcome,
        justification="ransomware",
        detail=detail,
        sequence=sequence,
        at=NOW + timedelta(seconds=sequence),
        previous="0" * 64,
        hash=f"{sequence:064x}",
    )


def whole_facts(title: str = "Ransomware on the file server", description: str = "Mass renames.") -> ReportFacts:
    """Return the facts of an incident that went through every part."""
    return ReportFacts(
        written_at=NOW,
        product="snaphold 0.1.0",
        organisation="Example Ltd",
        contact="soc@example.org",
        incident=an_incident(title, description),
        assets=[
            AssetRow("files-01", "file-share", "T1", "rule personal-data: must be reported", "team-files", ("pii",), "4h / 1h")
        ],
        waves=["orders-db,files-01", "orders-app"],
        capacity=["isolated-01 needs 5.8 MB of 69.2 GB free; 0.7 GB stay in reserve"],
        runs=[
            Run(
                id="RUN-INC-1-00000000",
                incident="INC-1",
                playbook="ransomware-response",
                version="1.0.0",
                digest="cd" * 32,
                change_record="CHG0042137",
                status=RunStatus.RUNNING,
                requested_by="ana",
                justification="ransomware",
                started_at=NOW - timedelta(minutes=4),
                steps=(StepLine(step="classify", title="Classify the assets", outcome="succeeded", seconds=0.02),),
            )
        ],
        restore_points=[a_restore_point()],
        evidence=[
            EvidenceRecord(
                id="EV-INC-1-00112233",
                incident="INC-1",
                path="evidence/EV-INC-1-00112233",
                sealed_at=NOW,
                tag_manifest_sha256="ef" * 32,
                signed_by="custodian@example",
                timestamped=True,
                payload_bytes=5_900_000,
            )
        ],
        approvals=[
            Approval(
                id="APP-1",
                incident="INC-1",
                run="RUN-INC-1-00000000",
                step="gate",
                ask="Back up now?",
                asked_of="group/ir-managers",
                requested_by="ana",
                requested_at=NOW,
                expires_at=NOW + timedelta(minutes=15),
                state=ApprovalState.APPROVED,
                votes=(ApprovalVote(by="bruno", name="Bruno Keller", decision=Decision.APPROVED, reason="Go", at=NOW),),
            )
        ],
        grants=[
            Grant(
                id="GRANT-1",
                incident="INC-1",
                role="backup-emergency",
                actions=("backup.start",),
                issued_to="ana",
                issued_by=("bruno",),
                issued_at=NOW,
                expires_at=NOW + timedelta(hours=2),
                justification="Go",
            )
        ],
        changes=[
            CoveringChange(
                id="CHANGE-00112233",
                incident="INC-1",
                kind="emergency",
                integration="itsm",
                number="CHG0030001",
                reference="b0dbda5347c12200e0ef563dbb9a718f",
                state="closed",
                used_by="ana",
                used_at=NOW,
                closed_at=NOW + timedelta(hours=1),
                closed_by="ana",
            )
        ],
        holds=[
            Hold(
                id="HOLD-00112233",
                incident="INC-1",
                subject="RP-files-01-0a1b2c3d",
                subject_kind="restore_point",
                reason="Open case",
                placed_by="ana",
                placed_at=NOW,
            )
        ],
        entries=read_entries(
            [
                an_entry(1, Event.INTENT, "backup.start"),
                an_entry(2, Event.OUTCOME, "backup.start", "succeeded", findings=["one file was skipped on purpose"]),
            ]
        ),
        checks=["cd evidence/EV-INC-1-00112233", "sha256sum --strict --quiet -c manifest-sha256.txt"],
    )
