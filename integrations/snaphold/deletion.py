"""Permanent deletion of a restore point: five conditions, the second look, and what stays in the register for ever.

Before the storage is touched the register says `deleting`. A hold that is being placed meanwhile is either seen here, or
sees that: neither order lets a deletion pass a hold.
"""

from __future__ import annotations

from snaphold.authority import require_role, require_second_person
from snaphold.context import Attempt, Context
from snaphold.domain.authority import Grant
from snaphold.domain.incident import IncidentStatus
from snaphold.domain.restore_point import RestorePoint
from snaphold.domain.retention import Deletion, DeletionState, Retention, why_kept
from snaphold.errors import BusyError, InputError, KeptError, ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.keeping import known_case, standing_holds
from snaphold.ledger.entry import Event, NewEntry
from snaphold.providers.base import Provider, Support, Verb
from snaphold.secrets import redact
from snaphold.validation import suggest

ACTION = "backup.delete"
_REMEDIES = {
    "hold": ("is under legal hold", "release every hold first (hold.release)"),
    "case": ("belongs to an open case", "close the case, then run case.synchronise or retention.release"),
    "retention": ("is still kept", "wait until its retention has passed; retention.show tells when"),
}


def delete_for_ever(name: str, reason: str, context: Context) -> tuple[Deletion, list[str]]:
    """Delete a restore point and return its tombstone, staged, with findings.

    Raises KeptError (a hold, an open case, a retention: each its own), NotAuthorisedError (no role; no second person),
    BusyError (a hold is being placed), ProviderError, InputError, and UnknownOutcomeError when it cannot be told.
    """
    point = _find(name, context)
    before = context.ledger.record(Deletion, point.id)
    if before is not None and before.state is DeletionState.DELETED:
        return before, [f"{point.id} was deleted already"]
    grant = check_conditions(point, context)
    provider = context.provider(point.pool)
    _require_support(provider)
    announced = _announce(point, reason, grant, before, context)
    try:
        _look_again(point, context)
        findings = _delete(point, provider, resumed=_began(before), context=context)
    except UnknownOutcomeError:
        # It stays announced: whether it is gone is found out by the next attempt.
        raise
    except SnapholdError as error:
        given_up = {"state": DeletionState.GIVEN_UP, "ended_at": context.clock.now()}
        _note(announced.model_copy(update=given_up), context, error.what)
        raise
    done = announced.model_copy(update={"state": DeletionState.DELETED, "ended_at": context.clock.now()})
    context.stage(done)
    return done, findings


def check_conditions(point: RestorePoint, context: Context) -> Grant:
    """Return the grant under which a restore point may be deleted now. Raises the error of the first condition that fails.

    No hold, retention passed, case closed (asked anew at its platform), the deletion role, and a second person.
    """
    _refuse_kept(point, context)
    _refuse_reopened(point, context)
    require_role(ACTION, context)
    return require_second_person(ACTION, context)


def _refuse_kept(point: RestorePoint, context: Context) -> None:
    reasons = why_kept(
        holds=[hold.id for hold in standing_holds(point.id, context)],
        status=known_case(context).status,
        retention=context.ledger.record(Retention, point.id),
        now=context.clock.now(),
    )
    if reasons:
        kind, _ = reasons[0]
        what, do = _REMEDIES[kind]
        raise KeptError(f"{point.id} cannot be deleted: it {what}", "; ".join(text for _, text in reasons), do)


def _refuse_reopened(point: RestorePoint, context: Context) -> None:
    """Ask the platform of the case once more: it may have been reopened since it was last looked at."""
    from snaphold.case_status import look_at_case

    record = known_case(context)
    if not record.integration:
        return
    seen = look_at_case(record.reference, record.integration, context)
    if seen.record.status is not IncidentStatus.CLOSED:
        raise KeptError(
            f"{point.id} cannot be deleted: its case was reopened",
            f"{record.integration} shows {record.reference} as {seen.record.vendor_status}",
            "run case.synchronise; close the case first",
        )


def _require_support(provider: Provider) -> None:
    description = provider.describe()
    capability = description.capabilities[Verb.DELETE]
    if capability.support is Support.UNSUPPORTED:
        do = "delete it in the product, by its own rules"
        raise ProviderError(f"{description.engine} does not delete", capability.detail, do)


def _find(name: str, context: Context) -> RestorePoint:
    known = {point.id: point for point in context.ledger.records(RestorePoint, context.incident.id)}
    if name not in known:
        hint = suggest(name, list(known)) or f"known: {', '.join(known) or 'none'}"
        raise InputError(f"there is no restore point {name!r} of incident {context.incident.id}", hint, "check the id")
    return known[name]


def _announce(point: RestorePoint, reason: str, grant: Grant, before: Deletion | None, context: Context) -> Deletion:
    retention = context.ledger.record(Retention, point.id)
    announced = Deletion(
        id=point.id,
        incident=point.incident,
        asset=point.asset,
        pool=point.pool,
        reference=point.reference,
        state=DeletionState.DELETING,
        reason=redact(reason),
        requested_by=context.actor.id,
        approved_by=tuple(sorted(set(grant.issued_by) - {context.actor.id})),
        grant=grant.id,
        key=context.key,
        kept_until=retention.until if retention else None,
        began_at=before.began_at if before is not None and _began(before) else context.clock.now(),
    )
    _note(announced, context, reason)
    return announced


def _began(deletion: Deletion | None) -> bool:
    """Return whether an earlier attempt had begun and was lost: the storage may have deleted it."""
    return deletion is not None and deletion.state is DeletionState.DELETING


def _note(deletion: Deletion, context: Context, reason: str) -> None:
    entry = NewEntry(
        event=Event.DELETION,
        actor=context.actor.id,
        login=context.actor.login,
        incident=context.incident.id,
        run=context.run,
        action=ACTION,
        justification=redact(context.justification),
        detail={"restore_point": deletion.id, "state": deletion.state.value, "reason": redact(reason), "grant": deletion.grant},
    )
    context.ledger.append(entry, [deletion])


def _look_again(point: RestorePoint, context: Context) -> None:
    """Look for holds once more, after the deletion was announced: placed ones, and ones that are being placed."""
    _refuse_kept(point, context)
    open_intents: dict[str, str] = {}
    for entry in context.ledger.entries(context.incident.id):
        if entry.action != "hold.place":
            continue
        if entry.event in (Event.INTENT, Event.TAKEN_OVER):
            open_intents[entry.key] = entry.actor
        elif entry.event in (Event.OUTCOME, Event.REFUSED):
            open_intents.pop(entry.key, None)
    if open_intents:
        who = ", ".join(sorted(set(open_intents.values())))
        raise BusyError(
            f"{point.id} cannot be deleted now: a legal hold is being placed", f"by {who}",
            "wait until it ends; a lost one is finished by placing it again",
        )  # fmt: skip


def _delete(point: RestorePoint, provider: Provider, *, resumed: bool, context: Context) -> list[str]:
    """Delete in the storage and see that it is gone. Returns findings."""
    if not _is_there(point, provider, acted=resumed):
        if resumed or context.attempt is Attempt.TAKEN_OVER:
            return ["an earlier attempt had deleted it"]
        return [f"the storage did not have it any more: somebody removed {point.reference} before"]
    fault = ""
    try:
        provider.delete(point)
    except UnknownOutcomeError as error:
        fault = f"{error.what}: {error.why}"
    except SnapholdError:
        if _is_there(point, provider, acted=True):
            raise
        fault = "the storage reported a fault, and it is gone"
    if _is_there(point, provider, acted=True):
        raise UnknownOutcomeError(
            f"it is not known whether {point.id} is deleted", fault or "the storage took the deletion and still lists it",
            "look into the storage, then delete it again as a new generation",
        )  # fmt: skip
    return [fault] if fault else []


def _is_there(point: RestorePoint, provider: Provider, *, acted: bool) -> bool:
    """Return whether the storage still lists it. Once a deletion may have acted, not being told is an unknown outcome."""
    wanted = {point.reference, *point.former_references}
    try:
        listed = provider.restore_points()
    except SnapholdError as error:
        if not acted:
            raise
        raise UnknownOutcomeError(
            f"it cannot be told whether {point.id} is in the storage", f"{error.what}: {error.why or ''}".rstrip(": "),
            "look into the storage, then delete it again as a new generation",
        ) from error  # fmt: skip
    return any(found.id == point.id or wanted & {found.reference, *found.former_references} for found in listed)
