"""Publications: offer a restore point read-only to investigators, end that, and mark a restore point as infected."""

from __future__ import annotations

import hashlib

from pydantic import Field

from snaphold.action import Effect, Name, Needs, Recovery, Request, Result, action
from snaphold.clock import format_time
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.domain.publication import PublishedRestorePoint
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError
from snaphold.providers.base import Support, Verb
from snaphold.validation import suggest

_RESTORE_POINT = "Id of a restore point of the incident."


class PublishBackup(Request):
    """Input of backup.publish."""

    restore_point: Name = Field(description=_RESTORE_POINT, examples=["RP-orders-db-1a2b3c4d"])
    name: Name = Field(default="investigation", description="For whom or what for; one publication each.", examples=["forensics"])


class BackupPublished(Result):
    """Where the restore point is reached."""

    publication: str = Field(description="Id of the publication in the register.", examples=["PUB-1a2b3c4d"])
    address: str = Field(description="Where it is reached.", examples=["iscsi://192.0.2.20:3260/iqn.2006-01.example:disk-0"])
    until: str = Field(
        description="When the product ends it by itself (RFC 3339); empty: somebody must.", examples=["2026-11-23T18:00:00.000Z"]
    )


@action(
    "backup.publish",
    title="Offer a restore point read-only to investigators",
    effect=Effect.WRITES,
    needs=Needs.PROVIDER,
    recovery=Recovery.LOOKS_UP,
    key_fields=("restore_point", "name"),
)
def publish(request: PublishBackup, context: Context) -> BackupPublished:
    """Have the backup product offer a restore point read-only, once per name, and record who did it and where it is reached.

    The backup itself stays as it is. Whoever needs it no longer ends it with backup.end_publication.
    """
    point = _find_point(request.restore_point, context)
    offered = context.provider(point.pool).publish(point, request.name)
    record_id = _publication_id(point.id, request.name, offered.reference)
    known = context.ledger.record(PublishedRestorePoint, record_id)
    if known is None or known.ended_at is not None:
        known = PublishedRestorePoint(
            id=record_id,
            incident=context.incident.id,
            restore_point=point.id,
            pool=point.pool,
            name=request.name,
            reference=offered.reference,
            address=offered.address,
            published_by=context.actor.id,
            published_at=context.clock.now(),
            until=offered.until,
        )
        context.stage(known)
    context.progress(f"{point.id}: published at {offered.address}")
    return BackupPublished(
        outcome=Outcome.SUCCEEDED,
        publication=record_id,
        address=offered.address,
        until=format_time(offered.until) if offered.until else "",
    )


class EndPublication(Request):
    """Input of backup.end_publication."""

    publication: Name = Field(description="The publication that backup.publish named.", examples=["PUB-1a2b3c4d"])


class PublicationEnded(Result):
    """The publication that is no more."""

    publication: str = Field(description="Its id.", examples=["PUB-1a2b3c4d"])
    restore_point: str = Field(description="The restore point that was published.", examples=["RP-orders-db-1a2b3c4d"])


@action(
    "backup.end_publication",
    title="End the publication of a restore point",
    effect=Effect.WRITES,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("publication",),
)
def end_publication(request: EndPublication, context: Context) -> PublicationEnded:
    """End what backup.publish began, and record who did it; one that ended already is left alone.

    While the same publication of the product serves another name too, only this name's record ends.
    """
    records = context.ledger.records(PublishedRestorePoint, context.incident.id)
    found = next((record for record in records if record.id == request.publication), None)
    if found is None:
        known = [record.id for record in records]
        raise InputError(
            f"incident {context.incident.id} has no publication {request.publication!r}",
            suggest(request.publication, known) or f"known: {', '.join(known) or 'none'}",
            "take the id from backup.publish",
        )
    if found.ended_at is not None:
        findings = [f"it ended at {format_time(found.ended_at)} already"]
        return PublicationEnded(
            outcome=Outcome.SUCCEEDED, findings=findings, publication=found.id, restore_point=found.restore_point
        )
    others = [
        record.name
        for record in records
        if (record.pool, record.reference) == (found.pool, found.reference) and record.ended_at is None and record.id != found.id
    ]
    if not others:
        context.provider(found.pool).end_publication(found.reference)
    context.stage(found.model_copy(update={"ended_by": context.actor.id, "ended_at": context.clock.now()}))
    findings = [f"it goes on for {', '.join(others)}"] if others else []
    return PublicationEnded(outcome=Outcome.SUCCEEDED, findings=findings, publication=found.id, restore_point=found.restore_point)


class MarkInfected(Request):
    """Input of backup.mark_infected."""

    restore_point: Name = Field(description=_RESTORE_POINT, examples=["RP-orders-db-1a2b3c4d"])
    reason: str = Field(
        min_length=1, max_length=500, description="What was found.", examples=["Ransom note README.txt in 120 folders"]
    )


class MarkedInfected(Result):
    """Whether the product knows it, too."""

    restore_point: str = Field(description="Id of the restore point.", examples=["RP-orders-db-1a2b3c4d"])
    marked_in_product: bool = Field(
        description="Whether the backup product took the mark; false: only our register.", examples=[True]
    )


@action(
    "backup.mark_infected",
    title="Mark a restore point as infected",
    effect=Effect.WRITES,
    needs=Needs.PROVIDER,
    recovery=Recovery.LOOKS_UP,
    key_fields=("restore_point", "reason"),
)
def mark_infected(request: MarkInfected, context: Context) -> MarkedInfected:
    """Tell the backup product that a restore point may hold malware, so that nobody restores it unawares.

    Where the product has no such mark it stands in our register only, and the outcome is `partial`.
    """
    point = _find_point(request.restore_point, context)
    provider = context.provider(point.pool)
    capability = provider.describe().capabilities[Verb.MARK_INFECTED]
    if capability.support is Support.UNSUPPORTED:
        note = f"marked as infected in the register only: {request.reason}"
        if note not in point.findings:
            context.stage(point.model_copy(update={"findings": (*point.findings, note)}))
        findings = [f"{point.id} is marked in the register only: {capability.detail}"]
        return MarkedInfected(outcome=Outcome.PARTIAL, findings=findings, restore_point=point.id, marked_in_product=False)
    marked = provider.mark_infected(point, request.reason)
    if marked != point:
        context.stage(marked)
    return MarkedInfected(outcome=Outcome.SUCCEEDED, restore_point=point.id, marked_in_product=True)


def _find_point(name: str, context: Context) -> RestorePoint:
    points = {point.id: point for point in context.ledger.records(RestorePoint, context.incident.id)}
    if name not in points:
        known = list(points)
        raise InputError(
            f"there is no restore point {name!r} in incident {context.incident.id}",
            suggest(name, known) or f"known: {', '.join(known) or 'none'}",
            "take the id from backup.status or the report",
        )
    return points[name]


def _publication_id(point: str, name: str, reference: str) -> str:
    return f"PUB-{hashlib.sha256(f'{point}/{name}/{reference}'.encode()).hexdigest()[:8]}"
