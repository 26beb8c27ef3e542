"""The case of an incident in its platform: its status drives the retention, and the backup's progress comes back as notes."""

from __future__ import annotations

from pydantic import Field

from snaphold.action import Effect, Name, Needs, Recovery, Request, Result, action
from snaphold.actions.retention import AT_LEAST, changed
from snaphold.clock import Positive
from snaphold.context import Context
from snaphold.domain.incident import IncidentStatus
from snaphold.domain.outcome import Outcome
from snaphold.domain.retention import CaseRecord
from snaphold.errors import SnapholdError
from snaphold.keeping import extend, find_subjects, next_case, release

_REFERENCE = "The incident's number or id in its system; left out, the one known from before, else the id of the incident."
_INTEGRATION = "The integration; left out, the one known from before, else the only one that can do it."


class SynchroniseCase(Request):
    """Input of case.synchronise."""

    reference: str = Field(default="", max_length=200, description=_REFERENCE, examples=["INC0010002"])
    integration: str = Field(default="", max_length=128, description=_INTEGRATION, examples=["itsm"])
    at_least: Positive = Field(
        default=AT_LEAST, description="While it is open, all is kept at least so long beyond now.", examples=["30d"]
    )
    occasion: str = Field(
        default="",
        max_length=100,
        description="What tells this look from the one before, e.g. the day; the same occasion is never done twice.",
        examples=["2026-11-23"],
    )
    write_note: bool = Field(default=True, description="Whether a closing or reopening is noted in the case.", examples=[True])


class CaseSynchronised(Result):
    """Where the case stands, and until when everything is kept now."""

    status: str = Field(description="open or closed; what is not understood counts as open.", examples=["open"])
    vendor_status: str = Field(description="The system's own word for the status.", examples=["In Progress"])
    changed: bool = Field(description="Whether the status is another one than before.", examples=[False])
    kept: list[str] = Field(
        description="What is kept until when, one `ID until TIME` each.",
        examples=[["RP-orders-db-1a2b3c4d until 2026-12-23T00:00:00.000Z"]],
    )
    earliest: str = Field(
        description="The first of those times (RFC 3339); empty when nothing has an end.", examples=["2026-12-23T00:00:00.000Z"]
    )


@action(
    "case.synchronise",
    title="Let the status of the case drive the retention",
    effect=Effect.WRITES,
    needs=Needs.PLATFORM,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("reference", "integration", "occasion"),
)
def synchronise(request: SynchroniseCase, context: Context) -> CaseSynchronised:
    """Ask the platform where the case stands. An open case extends the retention, a closed one starts its clock.

    A status that is not understood counts as open: nothing is released on a guess. Doing it again changes nothing.
    """
    from snaphold.case_status import look_at_case

    before = context.ledger.record(CaseRecord, context.incident.id)
    known = before if before is not None and request.integration in ("", before.integration) else None
    reference = request.reference or (known.reference if known else "")
    seen = look_at_case(reference, request.integration or (known.integration if known else ""), context)
    case = next_case(before, seen.record)
    context.stage(case)
    subjects = find_subjects([], context)
    closed_at = case.closed_at if case.status is IncidentStatus.CLOSED else None
    changes = release(subjects, closed_at, context) if closed_at else extend(subjects, request.at_least, context)
    result = changed(changes)
    findings = [*result.findings]
    if not seen.told:
        findings.append(f"{case.integration} shows a status that is not understood ({case.vendor_status}): it counts as open")
    if not subjects:
        findings.append("there is no restore point and no evidence yet")
    turned = before is not None and before.status is not case.status
    partial = result.outcome is Outcome.PARTIAL or not seen.told
    if request.write_note and (turned or (before is None and closed_at)):
        fault = _note_turn(case, result.earliest, context)
        findings += [fault] if fault else []
    return CaseSynchronised(
        outcome=Outcome.PARTIAL if partial else Outcome.SUCCEEDED,
        findings=findings,
        status=case.status.value,
        vendor_status=case.vendor_status,
        changed=turned,
        kept=result.kept,
        earliest=result.earliest,
    )


class ReportProgress(Request):
    """Input of case.report_progress."""

    milestone: Name = Field(description="What was reached; each milestone is noted once in a case.", examples=["evidence-sealed"])
    text: str = Field(
        default="",
        max_length=8000,
        description="The note; left out, restore points, evidence with address and digest, and retention as they are.",
        examples=["Evidence is sealed: EV-INC-2026-0042-0a1b2c3d"],
    )
    reference: str = Field(default="", max_length=200, description=_REFERENCE, examples=["INC0010002"])
    integration: str = Field(default="", max_length=128, description=_INTEGRATION, examples=["itsm"])


class ProgressReported(Result):
    """The note of the milestone."""

    note: str = Field(description="The system's id of the note; empty while it waits.", examples=["N000001"])
    found: bool = Field(description="Whether this milestone had been noted before.", examples=[False])
    waiting: bool = Field(description="Whether it goes with a later note, because the case has had enough.", examples=[False])


@action(
    "case.report_progress",
    title="Note the backup's progress and evidence in the case",
    effect=Effect.WRITES,
    needs=Needs.PLATFORM,
    recovery=Recovery.LOOKS_UP,
    key_fields=("reference", "integration", "milestone"),
)
def report_progress(request: ReportProgress, context: Context) -> ProgressReported:
    """Write what was reached into the case, once for each milestone, and few notes at a time.

    A note too many waits and goes together with the next one. It carries a mark by which our own listeners leave it alone.
    """
    from snaphold.case_notes import limit_text, write_note

    done = write_note(request.milestone, request.text, request.reference, request.integration, context)
    findings = [f"the case has had {limit_text()}; this one goes with the next"] if done.waiting else []
    return ProgressReported(
        outcome=Outcome.SUCCEEDED, findings=findings, note=done.record.note, found=done.found, waiting=done.waiting
    )


def _note_turn(case: CaseRecord, earliest: str, context: Context) -> str:
    """Note a closing or a reopening; return what went wrong. A note that fails must not undo what was kept or released."""
    from snaphold.case_notes import write_note

    closed = case.status is IncidentStatus.CLOSED
    until = f" until {earliest} at the earliest" if earliest else ""
    text = (
        f"The case is closed: the retention of its backups and evidence counts from now on; they are kept{until}. Holds stay."
        if closed
        else f"The case is open again: its backups and evidence are kept on{until}."
    )
    try:
        write_note(f"{'closed' if closed else 'reopened'}-{case.reopened}", text, case.reference, case.integration, context)
    except SnapholdError as error:
        return f"it could not be noted in the case: {error.what}: {error.why or ''}".rstrip(": ")
    return ""
