"""Legal holds: what is held is not deleted until the last hold on it is released."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from pydantic import Field

from snaphold.action import Effect, Names, Needs, Recovery, Request, Result, action
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord, Hold
from snaphold.domain.outcome import Outcome
from snaphold.domain.restore_point import RestorePoint
from snaphold.errors import InputError, SnapholdError
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

    The same subject may have several holds for different reasons; the same reason places no second one.
    """
    standing = context.ledger.records(Hold, context.incident.id)
    placed: list[str] = []
    findings: list[str] = []
    weakened = False
    for subject in _find_subjects(request.subjects, context):
        mine = [hold for hold in standing if (hold.subject, hold.reason) == (subject.id, request.reason)]
        unreleased = next((hold for hold in mine if hold.released_at is None), None)
        if unreleased:
            placed.append(unreleased.id)
            continue
        hold_id = _hold_id(context.incident.id, subject.id, request.reason, len(mine))
        others = {hold.id for hold in standing if hold.subject == subject.id and hold.released_at is None}
        enforced_by, fault = _enforce(subject, hold_id, others, context)
        if fault:
            weakened = True
            findings.append(f"{subject.id} is held in the register only: {fault}")
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
    return HoldsPlaced(outcome=Outcome.PARTIAL if weakened else Outcome.SUCCEEDED, findings=findings, holds=placed)


def _find_subjects(names: Sequence[str], context: Context) -> list[RestorePoint | EvidenceRecord]:
    incident = context.incident.id
    known: dict[str, RestorePoint | EvidenceRecord] = {
        record.id: record
        for record in (*context.ledger.records(RestorePoint, incident), *context.ledger.records(EvidenceRecord, incident))
    }
    unknown = [f"{name!r} {suggest(name, list(known))}".rstrip() for name in names if name not in known]
    if unknown:
        raise InputError(
            f"incident {incident} has no such restore point or evidence", "; ".join(unknown), "check the ids in the report"
        )
    if not known:
        raise InputError(f"incident {incident} has nothing to hold", "no restore point and no evidence is registered")
    return [known[name] for name in dict.fromkeys(names)] if names else list(known.values())


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
