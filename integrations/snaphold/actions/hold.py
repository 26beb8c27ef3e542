"""Legal holds: what is held is not deleted until the last hold on it is released."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from pydantic import Field

from snaphold.action import Effect, Names, Needs, Recovery, Request, Result, action
from snaphold.authority import require_second_person
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord, Hold
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, SnapholdError
from snaphold.keeping import find_subjects
from snaphold.providers.base import Support, Verb
from snaphold.validation import suggest
from snaphold.vault.local import REGISTER_ONLY


class PlaceHold(Request):
    """Input of hold.place."""

    subjects: Names = Field(
        default=[],
        description="Ids of restore points and evidence packages; left out, all of the incident.",
        examples=[["RP-orders-db-1a2b3c4d", "EV-INC-2026-0042-5e6f7a8b"]],
    )
    reason: str = Field(min_length=1, max_length=2000, description="Why it is held.", examples=["Ransomware: evidence preserved"])
    legal_basis: str = Field(default="", max_length=500, description="The law or order.", examples=["Court order 12/345"])


class HoldsPlaced(Result):
    """The holds that now stand."""

    holds: list[str] = Field(description="Ids of the holds, in order of subject.", examples=[["HOLD-1a2b3c4d"]])


@action(
    "hold.place",
    title="Place a legal hold",
    effect=Effect.WRITES,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("subjects", "reason"),
)
def place(request: PlaceHold, context: Context) -> HoldsPlaced:
    """Hold restore points and evidence: in the register always, and in the storage where its engine can.

    The same subject may have several holds for different reasons; the same reason places no second one. Findings name what
    no storage enforces; the outcome is `partial` where a storage that could hold has failed to.
    """
    from snaphold.evidence.custody_record import CustodyEvent
    from snaphold.evidence.later_custody import record_custody

    known: dict[str, list[Hold]] = {}
    for hold in context.ledger.records(Hold, context.incident.id):
        known.setdefault(hold.subject, []).append(hold)
    placed: list[str] = []
    findings: list[str] = []
    weakened = False
    custody: list[tuple[EvidenceRecord, str]] = []
    subjects = find_subjects(request.subjects, context)
    if not subjects:
        raise InputError(f"incident {context.incident.id} has nothing to hold", "no restore point and no evidence is registered")
    for subject in subjects:
        on_subject = known.get(subject.id, [])
        mine = [hold for hold in on_subject if hold.reason == request.reason]
        unreleased = next((hold for hold in mine if hold.released_at is None), None)
        if unreleased:
            placed.append(unreleased.id)
            continue
        hold_id = _hold_id(context.incident.id, subject.id, request.reason, len(mine))
        others = {hold.id for hold in on_subject if hold.released_at is None}
        enforced_by, fault = _enforce(subject, hold_id, others, context)
        weakened = weakened or bool(fault)
        if enforced_by.startswith(REGISTER_ONLY):
            findings.append(f"{subject.id} is held in the {enforced_by}")
        context.stage(
            Hold(
                id=hold_id,
                incident=context.incident.id,
                subject=subject.id,
                subject_kind="restore_point" if isinstance(subject, RestorePoint) else "evidence",
                reason=request.reason,
                legal_basis=request.legal_basis,
                placed_by=context.actor.id,
                placed_at=context.clock.now(),
                enforced_by=enforced_by,
            )
        )
        placed.append(hold_id)
        if isinstance(subject, EvidenceRecord):
            custody.append((subject, hold_id))
    for record, hold_id in custody:
        findings += record_custody(
            record, CustodyEvent.HOLD_PLACED, context, reason=request.reason, legal_basis=request.legal_basis, holds=(hold_id,)
        )
    return HoldsPlaced(outcome=Outcome.PARTIAL if weakened else Outcome.SUCCEEDED, findings=findings, holds=placed)


class ReleaseHold(Request):
    """Input of hold.release."""

    holds: Names = Field(min_length=1, description="Ids of the holds to release.", examples=[["HOLD-1a2b3c4d"]])
    reason: str = Field(min_length=1, max_length=2000, description="Why it ends.", examples=["Case 12/345 is closed"])


class HoldsReleased(Result):
    """What was released, and what is still held."""

    released: list[str] = Field(description="Ids of the holds that no longer stand.", examples=[["HOLD-1a2b3c4d"]])
    free: list[str] = Field(
        description="Ids of restore points and evidence without any hold left.", examples=[["RP-orders-db-1a2b3c4d"]]
    )
    still_held: list[str] = Field(
        description="What other holds still stand, one `ID by HOLD, ...` each.", examples=[["EV-INC-1-0a1b2c3d by HOLD-5e6f7a8b"]]
    )
    approved_by: list[str] = Field(description="Ids of the second persons who allowed it.", examples=[["ben"]])


@action(
    "hold.release",
    title="Release a legal hold",
    effect=Effect.WRITES,
    needs=Needs.PROVIDER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("holds",),
)
def release(request: ReleaseHold, context: Context) -> HoldsReleased:
    """Release holds. It needs a role or grant for it, and always a grant that a second person approved.

    The storage goes on holding until the last hold on the same subject is released. Nothing is deleted. Released again, a
    hold stays as it is, and a storage that had failed to let go is asked once more.
    """
    grant = require_second_person("hold.release", context)
    others = tuple(sorted(set(grant.issued_by) - {context.actor.id}))
    known = {hold.id: hold for hold in context.ledger.records(Hold, context.incident.id)}
    unknown = [f"{name!r} {suggest(name, list(known))}".rstrip() for name in request.holds if name not in known]
    if unknown:
        raise InputError(f"incident {context.incident.id} has no such hold", "; ".join(unknown), "retention.show names them")
    chosen = [known[name] for name in dict.fromkeys(request.holds)]
    now, findings, weakened = context.clock.now(), list[str](), False
    for hold in chosen:
        if hold.released_at is not None:
            findings.append(f"{hold.id} was released already by {hold.released_by}")
            continue
        known[hold.id] = hold.model_copy(update={"released_at": now, "released_by": context.actor.id})
        context.stage(known[hold.id])
    free: list[str] = []
    still_held: list[str] = []
    on_subject: dict[str, list[Hold]] = {}
    for hold in known.values():
        on_subject.setdefault(hold.subject, []).append(hold)
    subjects = {item.id: item for item in find_subjects([], context)}
    for subject in dict.fromkeys(hold.subject for hold in chosen):
        all_holds = on_subject[subject]
        standing = [hold.id for hold in all_holds if hold.released_at is None]
        if standing:
            still_held.append(f"{subject} by {', '.join(standing)}")
            continue
        free.append(subject)
        fault = _let_go(subjects.get(subject), [hold.id for hold in all_holds], context)
        if fault:
            weakened = True
            findings.append(f"{subject} is released in the register, and its storage still holds it: {fault}")
    findings += _record_releases(request, chosen, others, context)
    return HoldsReleased(
        outcome=Outcome.PARTIAL if weakened else Outcome.SUCCEEDED,
        findings=findings,
        released=[hold.id for hold in chosen],
        free=free,
        still_held=still_held,
        approved_by=list(others),
    )


def _let_go(subject: RestorePoint | EvidenceRecord | None, holds: Sequence[str], context: Context) -> str:
    """Have the storage let go of a subject whose last hold is released; return what went wrong."""
    try:
        if isinstance(subject, EvidenceRecord):
            return _enforce_on_evidence(subject, (), context)[1]
        if subject is None:
            return ""  # deleted since, which only a subject without holds can be
        provider = context.provider(subject.pool)
        if provider.describe().capabilities[Verb.HOLD].support is Support.UNSUPPORTED:
            return ""
        freed = subject
        for hold in holds:
            freed = provider.hold(freed, hold, on=False)
    except SnapholdError as error:
        return f"{error.what}: {error.why}" if error.why else error.what
    if freed != subject:
        context.stage(freed)
    return ""


def _record_releases(request: ReleaseHold, chosen: Sequence[Hold], others: tuple[str, ...], context: Context) -> list[str]:
    """Write the releases into the custody logs of the packages that they are about; return findings."""
    from snaphold.evidence.custody_record import CustodyEvent
    from snaphold.evidence.later_custody import record_custody

    findings: list[str] = []
    for record in context.ledger.records(EvidenceRecord, context.incident.id):
        mine = tuple(hold.id for hold in chosen if hold.subject == record.id and hold.released_at is None)
        if mine:
            findings += record_custody(
                record, CustodyEvent.HOLD_RELEASED, context, reason=request.reason, holds=mine, approvers=others
            )
    return findings


def _enforce(subject: RestorePoint | EvidenceRecord, hold: str, others: Collection[str], context: Context) -> tuple[str, str]:
    """Return how the storage enforces the hold, and what went wrong. A storage that fails never prevents the hold."""
    if isinstance(subject, EvidenceRecord):
        return _enforce_on_evidence(subject, {hold, *others}, context)
    try:
        provider = context.provider(subject.pool)
        description = provider.describe()
        capability = description.capabilities[Verb.HOLD]
        if capability.support is Support.UNSUPPORTED:
            return f"{REGISTER_ONLY}: {capability.detail}", ""
        held = provider.hold(subject, hold, on=True)
    except SnapholdError as error:
        fault = f"{error.what}: {error.why}" if error.why else error.what
        return f"{REGISTER_ONLY}: {fault}", fault
    if held != subject:
        context.stage(held)
    return f"{description.engine}: {capability.detail or 'enforced by the storage'}", ""


def _enforce_on_evidence(subject: EvidenceRecord, holds: Collection[str], context: Context) -> tuple[str, str]:
    """Have the vault hold a package while the register knows holds on it; same answer as `_enforce`."""
    from snaphold.vault.registry import open_vault

    if subject.vault is None:
        return f"{REGISTER_ONLY}: the package's folder is read-only", ""
    try:
        enforced = open_vault(context.configuration, context.clock, holding=subject.vault).set_legal_hold(subject.id, holds)
    except SnapholdError as error:
        fault = f"{error.what}: {error.why}" if error.why else error.what
        return f"{REGISTER_ONLY}: {fault}", fault
    return enforced, enforced.removeprefix(f"{REGISTER_ONLY}: ") if enforced.startswith(REGISTER_ONLY) else ""


def _hold_id(incident: str, subject: str, reason: str, released: int) -> str:
    """Return the same id for the same hold; one placed again after its release is another hold."""
    text = "\n".join((incident, subject, reason, str(released)))
    return f"HOLD-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
