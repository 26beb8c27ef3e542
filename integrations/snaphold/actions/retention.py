"""Retention: kept while the case is open, counted from its end, and shown with the reasons."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from snaphold.action import Effect, Names, Needs, Recovery, Request, Result, action
from snaphold.clock import Positive, format_time
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord
from snaphold.domain.incident import IncidentStatus
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.retention import Deletion, DeletionState, Retention, why_kept
from snaphold.errors import InputError
from snaphold.keeping import Changes, extend, find_subjects, holds_by_subject, known_case, release

AT_LEAST = timedelta(days=30)
"""How far beyond now an open case keeps what it has, unless told otherwise: longer than any look at it may fail."""
NOTHING = "there is no restore point and no evidence yet"
_SUBJECTS = "Ids of restore points and evidence packages; left out, all of the incident."
_OCCASION = "What tells this use from the one before, e.g. the day; the same occasion is never done twice."


class ExtendRetention(Request):
    """Input of retention.extend."""

    subjects: Names = Field(default=[], description=_SUBJECTS, examples=[["RP-orders-db-1a2b3c4d"]])
    at_least: Positive = Field(default=AT_LEAST, description="Kept at least so long beyond now (s, m, h, d).", examples=["30d"])
    occasion: str = Field(default="", max_length=100, description=_OCCASION, examples=["2026-11-23"])


class RetentionChanged(Result):
    """Until when everything is kept now."""

    kept: list[str] = Field(
        description="What is kept until when, one `ID until TIME` each.",
        examples=[["RP-orders-db-1a2b3c4d until 2026-12-23T00:00:00.000Z"]],
    )
    earliest: str = Field(
        description="The first of those times (RFC 3339); empty when nothing has an end.", examples=["2026-12-23T00:00:00.000Z"]
    )


@action(
    "retention.extend",
    title="Keep what an open case has for longer",
    effect=Effect.WRITES,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("subjects", "at_least", "occasion"),
)
def extend_retention(request: ExtendRetention, context: Context) -> RetentionChanged:
    """Keep restore points and evidence at least so long beyond now, while the case is open. It never gets shorter.

    The storage enforces it where it can; where it cannot, the register does, and a finding says so.
    """
    case = known_case(context)
    if case.status is IncidentStatus.CLOSED:
        raise InputError(
            f"the case {context.incident.id} is closed", "only an open case extends retention",
            "run case.synchronise when it was reopened; to keep something for longer, place a hold",
        )  # fmt: skip
    subjects = find_subjects(request.subjects, context)
    result = changed(extend(subjects, request.at_least, context))
    # A response in which no backup came about ends here too: there is nothing that could expire.
    return result if subjects else result.model_copy(update={"findings": [NOTHING]})


class ReleaseRetention(Request):
    """Input of retention.release."""

    subjects: Names = Field(default=[], description=_SUBJECTS, examples=[["RP-orders-db-1a2b3c4d"]])
    occasion: str = Field(default="", max_length=100, description=_OCCASION, examples=["2026-11-23"])


@action(
    "retention.release",
    title="Start the retention clock of a closed case",
    effect=Effect.WRITES,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("subjects", "occasion"),
)
def release_retention(request: ReleaseRetention, context: Context) -> RetentionChanged:
    """Count the retention of restore points and evidence from the closing of the case; the longest rule for the data wins.

    Nothing is deleted, nothing gets shorter, and holds stay. What no rule is about is kept for good.
    """
    case = known_case(context)
    if case.status is not IncidentStatus.CLOSED or case.closed_at is None:
        shown = f"{case.integration} shows it as {case.vendor_status}" if case.integration else "the incident says open"
        raise InputError(
            f"the case {context.incident.id} is open", shown, "close it first; then run case.synchronise, or say status: closed"
        )
    context.stage(case)
    return changed(release(_some(request.subjects, context), case.closed_at, context))


class ShowRetention(Request):
    """Input of retention.show."""

    subjects: Names = Field(default=[], description=_SUBJECTS, examples=[["RP-orders-db-1a2b3c4d"]])


class RetentionShown(Result):
    """What is kept until when, and why."""

    status: str = Field(description="open or closed: where the case stands.", examples=["closed"])
    kept: list[str] = Field(
        description="What must be kept, with every reason.", examples=[["RP-orders-db-1a2b3c4d: it is held by HOLD-1a2b3c4d"]]
    )
    free: list[str] = Field(description="Ids of restore points that nothing keeps any more.", examples=[["RP-files-01-0a1b2c3d"]])
    deleted: list[str] = Field(
        description="What was deleted for ever, when, by whom and why.",
        examples=[["RP-a-0a1b2c3d: 2028-01-01 by ana: retention over"]],
    )
    enforced: list[str] = Field(
        description="How the storage enforces each retention.", examples=[["RP-orders-db-1a2b3c4d: restic 0.14.0: a tag"]]
    )


@action("retention.show", title="Show what is kept until when, and why", effect=Effect.READS, recovery=Recovery.IDEMPOTENT)
def show_retention(request: ShowRetention, context: Context) -> RetentionShown:
    """Say of each restore point and evidence package until when it is kept and why, and what nothing keeps any more."""
    case, now = known_case(context), context.clock.now()
    kept: list[str] = []
    free: list[str] = []
    enforced: list[str] = []
    findings: list[str] = []
    retentions = {item.id: item for item in context.ledger.records(Retention, context.incident.id)}
    standing = holds_by_subject(context)
    for subject in find_subjects(request.subjects, context):
        retention = retentions.get(subject.id)
        holds = [hold.id for hold in standing.get(subject.id, ())]
        reasons = why_kept(holds=holds, status=case.status, retention=retention, now=now)
        if reasons:
            kept.append(f"{subject.id}: {'; '.join(text for _, text in reasons)}")
        elif isinstance(subject, RestorePoint):
            free.append(subject.id)
        else:
            kept.append(f"{subject.id}: evidence packages are not deleted by Snaphold")
        if retention is not None:
            enforced.append(f"{subject.id}: {retention.enforced_by}")
            if retention.until and (retention.enforced_until or retention.set_at) < retention.until:
                findings.append(f"{subject.id}: only the register keeps it until {format_time(retention.until)}")
    return RetentionShown(
        outcome=Outcome.SUCCEEDED,
        findings=findings,
        status=case.status.value,
        kept=kept,
        free=free,
        deleted=[_told(item) for item in context.ledger.records(Deletion, context.incident.id) if _is_done(item)],
        enforced=enforced,
    )


def changed(changes: Changes) -> RetentionChanged:
    """Return what an extension or a release came to; partial when a storage failed to enforce it."""
    ends = [item.until for item in changes.retentions if item.until is not None]
    return RetentionChanged(
        outcome=Outcome.PARTIAL if changes.weakened else Outcome.SUCCEEDED,
        findings=changes.findings,
        kept=[
            f"{item.id} until {format_time(item.until) if item.until else 'a rule is about it'}" for item in changes.retentions
        ],
        earliest=format_time(min(ends)) if ends else "",
    )


def _some(names: list[str], context: Context) -> list[RestorePoint | EvidenceRecord]:
    subjects = find_subjects(names, context)
    if not subjects:
        raise InputError(f"incident {context.incident.id} has nothing to keep", "no restore point and no evidence is registered")
    return subjects


def _is_done(deletion: Deletion) -> bool:
    return deletion.state is DeletionState.DELETED


def _told(deletion: Deletion) -> str:
    at = format_time(deletion.ended_at or deletion.began_at)
    return f"{deletion.id}: {at} by {deletion.requested_by}, allowed by {', '.join(deletion.approved_by)}: {deletion.reason}"
