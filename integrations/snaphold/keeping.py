"""What keeps an incident's restore points and evidence from being deleted: holds, the open case, and retention.

Actions call this; the rules are pure and stand in domain/retention.py. The register is always written. The storage
enforces what it can, and what it cannot is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from snaphold.clock import format_time
from snaphold.config import Configuration
from snaphold.context import Context
from snaphold.domain.authority import EvidenceRecord, Hold
from snaphold.domain.incident import IncidentStatus
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.retention import (
    CaseRecord,
    Deletion,
    DeletionState,
    Retention,
    Rule,
    Term,
    after_closing,
    extended,
    longest_term,
)
from snaphold.errors import InputError, SnapholdError
from snaphold.providers.base import Support, Verb
from snaphold.validation import suggest
from snaphold.vault.local import REGISTER_ONLY

Subject = RestorePoint | EvidenceRecord
_FEW = 10
NO_RULE = "no retention rule is about it: it is kept until one is"


@dataclass
class Changes:
    """The retentions that a change came to, sentences for people, and whether some storage failed to enforce one."""

    retentions: list[Retention] = field(default_factory=lambda: [])
    findings: list[str] = field(default_factory=lambda: [])
    weakened: bool = False


def find_subjects(names: Sequence[str], context: Context) -> list[Subject]:
    """Return restore points and evidence of the incident by id, all of them without names; what was deleted is left out.

    Raises InputError when a name is unknown or was deleted, with the nearest one.
    """
    incident = context.incident.id
    gone = {item.id: item for item in context.ledger.records(Deletion, incident) if item.state is not DeletionState.GIVEN_UP}
    known: dict[str, Subject] = {
        record.id: record
        for record in (*context.ledger.records(RestorePoint, incident), *context.ledger.records(EvidenceRecord, incident))
    }
    lost = [name for name in names if name in gone]
    if lost:
        deletion = gone[lost[0]]
        words = "is being deleted" if deletion.state is DeletionState.DELETING else "was deleted for ever"
        raise InputError(f"{lost[0]} {words}", f"by {deletion.requested_by}: {deletion.reason}", "leave it out")
    unknown = [f"{name!r} {suggest(name, list(known))}".rstrip() for name in names if name not in known]
    if unknown:
        raise InputError(
            f"incident {incident} has no such restore point or evidence", "; ".join(unknown), "check the ids in the report"
        )
    standing = {id: record for id, record in known.items() if id not in gone}
    return [standing[name] for name in dict.fromkeys(names)] if names else list(standing.values())


def standing_holds(subject: str, context: Context) -> list[Hold]:
    """Return the holds on a subject that nobody has released."""
    return holds_by_subject(context).get(subject, [])


def holds_by_subject(context: Context) -> dict[str, list[Hold]]:
    """Return the holds of the incident that nobody has released, by what they are on."""
    found: dict[str, list[Hold]] = {}
    for hold in context.ledger.records(Hold, context.incident.id):
        if hold.released_at is None:
            found.setdefault(hold.subject, []).append(hold)
    return found


def known_case(context: Context) -> CaseRecord:
    """Return where the case stands: what its platform last showed; without one, what the incident itself says.

    An incident that says `closed` does not close a case of a platform that is open, and the other way round.
    """
    incident, now = context.incident, context.clock.now()
    record = context.ledger.record(CaseRecord, incident.id)
    if record is not None and (record.integration or record.status is incident.status):
        return record
    seen = CaseRecord(id=incident.id, incident=incident.id, status=incident.status, declared=incident, seen_at=now)
    return next_case(record, seen)


def next_case(before: CaseRecord | None, seen: CaseRecord) -> CaseRecord:
    """Return the record of a case after it was seen once more; the first moment it was seen closed starts the clock."""
    closed = seen.status is IncidentStatus.CLOSED
    was_closed = before is not None and before.status is IncidentStatus.CLOSED
    reopened = (before.reopened if before else 0) + (was_closed and not closed)
    began = (before.closed_at or before.seen_at) if before is not None and was_closed else seen.seen_at
    return seen.model_copy(update={"closed_at": began if closed else None, "reopened": reopened})


def extend(subjects: Sequence[Subject], at_least: timedelta, context: Context) -> Changes:
    """Keep the subjects of an open case so long beyond now; stage what changed. A storage that fails is a finding."""
    changes, now = Changes(), context.clock.now()
    why = f"case {context.incident.id} is open"
    known = _retentions(subjects, context)
    for subject in subjects:
        before = known.get(subject.id)
        if before is not None and before.until is None:
            changes.retentions.append(_with(before, {"running": False}, context))
            continue
        until = extended(before.until if before else None, now, at_least)
        _keep(subject, before, until, reason=why, running=False, changes=changes, context=context)
    return changes


def release(subjects: Sequence[Subject], closed_at: datetime, context: Context) -> Changes:
    """Start the clock of a closed case: the longest rule for the data wins, from the closing on. Never shortens."""
    changes = Changes()
    known = _retentions(subjects, context)
    for subject in subjects:
        before = known.get(subject.id)
        term = term_of(subject, context)
        if term is None:
            changes.findings.append(f"{subject.id}: {NO_RULE}")
            _keep(subject, before, None, reason=NO_RULE, running=True, changes=changes, context=context)
            continue
        # One that was kept for good, because no rule was about it, gets an end as soon as there is a rule.
        until = after_closing(before.until if before else None, closed_at, term)
        counted = after_closing(None, closed_at, term)
        longer = "; longer because it was kept so long already while the case was open" if until > counted else ""
        _keep(subject, before, until, reason=f"{term.why}{longer}", running=True, changes=changes, context=context)
    return changes


def _retentions(subjects: Sequence[Subject], context: Context) -> dict[str, Retention]:
    """Return what is recorded of subjects, by id: all of the incident in one look, or a few one by one."""
    if len(subjects) > _FEW:
        return {item.id: item for item in context.ledger.records(Retention, context.incident.id)}
    found = (context.ledger.record(Retention, subject.id) for subject in subjects)
    return {item.id: item for item in found if item is not None}


def term_of(subject: Subject, context: Context) -> Term | None:
    """Return how long the rules keep a subject after closing. An asset that nobody knows any more gets the longest rule."""
    configuration = context.configuration
    rules = [Rule(rule.data_class, rule.keep, rule.basis) for rule in configuration.retention]
    classes = _data_classes(_assets_of(subject, context), configuration)
    if classes is None:
        terms = [longest_term([rule], [rule.data_class] if rule.data_class else []) for rule in rules]
        return max((term for term in terms if term is not None), key=lambda term: term.keep, default=None)
    return longest_term(rules, classes)


def _assets_of(subject: Subject, context: Context) -> set[str]:
    if isinstance(subject, RestorePoint):
        return {subject.asset}
    points = {point.id: point for point in context.ledger.records(RestorePoint, context.incident.id)}
    return {points[name].asset if name in points else f"?{name}" for name in subject.restore_points}


def _data_classes(assets: set[str], configuration: Configuration) -> set[str] | None:
    known = configuration.assets_by_id
    if any(asset not in known for asset in assets):
        return None
    return {name for asset in assets for name in known[asset].data_classes}


def _keep(
    subject: Subject,
    before: Retention | None,
    until: datetime | None,
    *,
    reason: str,
    running: bool,
    changes: Changes,
    context: Context,
) -> None:
    """Write down until when a subject is kept, and have the storage refuse to delete it as long, when it does not yet."""
    enforced_by = before.enforced_by if before else f"{REGISTER_ONLY}: nothing was asked of the storage"
    enforced_until = before.enforced_until if before else None
    if until is not None and (enforced_until is None or enforced_until < until):
        enforced_by, enforces, fault = _enforce(subject, until, context)
        enforced_until = until if enforces else enforced_until
        changes.weakened |= bool(fault)
        if not enforces:
            why = fault or enforced_by.removeprefix(f"{REGISTER_ONLY}: ")
            changes.findings.append(f"{subject.id} is kept until {format_time(until)} by the register only: {why}")
    fresh = Retention(
        id=subject.id,
        incident=context.incident.id,
        subject_kind="restore_point" if isinstance(subject, RestorePoint) else "evidence",
        until=until,
        reason=reason,
        running=running,
        set_by=context.actor.id,
        set_at=context.clock.now(),
        enforced_by=enforced_by,
        enforced_until=enforced_until,
    )
    same = before is not None and fresh == before.model_copy(update={"set_by": fresh.set_by, "set_at": fresh.set_at})
    if not same:
        context.stage(fresh)
    changes.retentions.append(before if before is not None and same else fresh)


def _with(before: Retention, update: dict[str, object], context: Context) -> Retention:
    changed = before.model_copy(update=update)
    if changed != before:
        context.stage(changed)
    return changed


def _enforce(subject: Subject, until: datetime, context: Context) -> tuple[str, bool, str]:
    """Return how the storage keeps the subject, whether it does, and what went wrong with it."""
    try:
        if isinstance(subject, EvidenceRecord):
            return _enforce_on_evidence(subject, until, context)
        provider = context.provider(subject.pool)
        description = provider.describe()
        capability = description.capabilities[Verb.SET_RETENTION]
        if capability.support is Support.UNSUPPORTED:
            return f"{REGISTER_ONLY}: {capability.detail}", False, ""
        kept = provider.set_retention(subject, until)
    except SnapholdError as error:
        fault = f"{error.what}: {error.why}" if error.why else error.what
        return f"{REGISTER_ONLY}: {fault}", False, fault
    if kept != subject:
        context.stage(kept)
    return f"{description.engine}: {capability.detail or 'enforced by the storage'}", True, ""


def _enforce_on_evidence(subject: EvidenceRecord, until: datetime, context: Context) -> tuple[str, bool, str]:
    from snaphold.vault.registry import open_vault

    if subject.vault is None:
        return f"{REGISTER_ONLY}: the package's folder is read-only", False, ""
    vault = open_vault(context.configuration, context.clock, holding=subject.vault)
    enforced = vault.extend_retention(subject.id, until)
    return enforced, not enforced.startswith(REGISTER_ONLY), ""
