"""Who may do what: the roles of the configuration, and signed grants that are bound to incident, role, actions and time.

`authorise` is asked before every action. The checks are pure functions that return the reason of a refusal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from snaphold.action import AnyAction, Effect
from snaphold.clock import format_duration, format_time
from snaphold.config import Configuration
from snaphold.domain.authority import Grant
from snaphold.domain.people import Actor, Role
from snaphold.errors import EvidenceError, InputError, NotAuthorisedError, UnverifiedEvidenceError
from snaphold.ledger.entry import Event, NewEntry, canonical
from snaphold.secrets import redact
from snaphold.trust import verify_own_signature

if TYPE_CHECKING:
    from snaphold.context import Context

NAMESPACE = "grant@snaphold"
_LATER = {"revoked_at", "revoked_by", "signature"}
"""Fields that are not signed: they change after the grant was issued, and the ledger protects them."""


def authorise(entry: AnyAction, context: Context) -> str:
    """Return the id of the grant under which the action may run; empty when the actor's roles are enough.

    Raises NotAuthorisedError that names every condition that failed.
    """
    configuration, actor = context.configuration, context.actor
    allowed = covers(_patterns(_roles(configuration, actor.roles)), entry.name)
    why_grant = reason_for_grant(entry, configuration)
    if allowed and not why_grant:
        return ""
    grant, refusals = find_covering_grant(entry.name, context)
    if grant is not None:
        return grant.id
    missing = why_grant if allowed else _why_not_allowed(configuration, actor)
    raise NotAuthorisedError(
        f"{actor.id} may not run {entry.name} in {context.incident.id}",
        "\n       ".join([missing, *(refusals or [_why_no_grant(actor)])]),
        "have an emergency grant approved by another person, or run it as a person whose role allows it",
    )


def find_covering_grant(action: str, context: Context) -> tuple[Grant | None, list[str]]:
    """Return the newest grant under which the actor may run the action now, and why each of the others does not do."""
    configuration, actor = context.configuration, context.actor
    refusals: list[str] = []
    grants = context.ledger.records(Grant, context.incident.id) if actor.uses_grants else []
    for grant in reversed(grants):
        refusal = refuse_grant(grant, action, context.incident.id, actor, configuration, context.clock.now())
        refusal = refusal or refuse_signature(grant, configuration)
        if not refusal:
            return grant, refusals
        refusals.append(f"grant {grant.id}: {refusal}")
    return None, refusals


def require_second_person(action: str, context: Context) -> Grant:
    """Return the grant by which another person allowed the actor the action. Raises NotAuthorisedError when there is none.

    A role alone is never enough here, whoever holds it.
    """
    grant, refusals = find_covering_grant(action, context)
    if grant is not None:
        return grant
    raise NotAuthorisedError(
        f"{action} needs a second person",
        "\n       ".join(refusals or [_why_no_grant(context.actor)]),
        f"have another person approve a grant for {action} in a playbook",
    )


def require_role(action: str, context: Context) -> None:
    """Return when the actor has a role for the action, by membership or by a grant. Raises NotAuthorisedError otherwise."""
    configuration, actor = context.configuration, context.actor
    granted = context.ledger.records(Grant, context.incident.id) if actor.uses_grants else []
    names = {*actor.roles, *(grant.role for grant in granted if grant.issued_to == actor.id)}
    if covers(_patterns(_roles(configuration, names)), action):
        return
    able = [role.name for role in configuration.roles if covers(role.may, action)]
    raise NotAuthorisedError(
        f"{actor.id} has no role for {action}",
        f"roles that may: {', '.join(able) or 'none is configured'}",
        "ask for a grant of such a role",
    )


def reason_for_grant(entry: AnyAction, configuration: Configuration) -> str:
    """Return why the action needs a grant, whoever runs it; empty when it does not."""
    if entry.effect is Effect.DESTROYS:
        return f"{entry.name} destroys, which always needs a grant"
    if entry.effect is Effect.WRITES and covers(configuration.authority.grant_required, entry.name):
        return f"{entry.name} needs a grant (authority.grant_required in the configuration)"
    return ""


def covers(patterns: Iterable[str], action: str) -> bool:
    """Return whether one of the patterns (`backup.*`) covers the action."""
    return any(fnmatchcase(action, pattern) for pattern in patterns)


def refuse_grant(grant: Grant, action: str, incident: str, actor: Actor, configuration: Configuration, now: datetime) -> str:
    """Return why the grant does not allow the actor the action now, apart from its signature; empty when it does."""
    roles = _roles(configuration, [grant.role])
    if grant.incident != incident:
        return f"it is for incident {grant.incident}"
    if grant.issued_to != actor.id:
        return f"it was issued to {grant.issued_to}"
    if not set(grant.issued_by) - {grant.issued_to}:
        return "nobody but the requester approved it"
    if grant.revoked_at is not None:
        return f"it was revoked at {format_time(grant.revoked_at)} by {grant.revoked_by or 'somebody'}"
    if now >= grant.expires_at:
        return f"it expired at {format_time(grant.expires_at)}"
    if now < grant.issued_at:
        return f"it is not valid before {format_time(grant.issued_at)}"
    if not roles:
        return f"its role {grant.role} is no longer in the configuration"
    if not covers(grant.actions, action):
        return f"it covers only {', '.join(grant.actions) or 'nothing'}"
    if not covers(_patterns(roles), action):
        return f"its role {grant.role} may only {', '.join(_patterns(roles)) or 'nothing'}"
    return ""


def refuse_signature(grant: Grant, configuration: Configuration) -> str:
    """Return why the grant's signature is not accepted; empty when it is good. What cannot be checked is refused."""
    try:
        verify_own_signature(configuration, signed_body(grant), grant.signature, namespace=NAMESPACE, at=grant.issued_at)
    except (EvidenceError, UnverifiedEvidenceError) as error:
        return f"its signature is not accepted: {error.what}" + (f" ({error.why})" if error.why else "")
    return ""


def signed_body(grant: Grant) -> bytes:
    """Return the canonical JSON of what a grant's signature covers."""
    return canonical(grant.model_dump(mode="json", exclude=_LATER)).encode("utf-8")


def issue_grant(
    context: Context, *, role: str, lasts: timedelta, approvers: Sequence[str], approval_id: str, actions: Sequence[str] = ()
) -> Grant:
    """Issue a signed grant to the context's actor and return it; entry and register are one transaction.

    `actions` narrows it (names or patterns); empty means all that the role may. Asked again for the same approval and
    role, the first grant is returned. Raises InputError (unknown role or approver, too long, signing key missing) and
    NotAuthorisedError when nobody but the requester approved.
    """
    from snaphold.evidence.signature import load_signer

    configuration, actor, now = context.configuration, context.actor, context.clock.now()
    chosen = _check_scope(configuration, role, tuple(actions))
    _check_length(lasts, configuration)
    others = independent_approvers(configuration, actor.id, approvers)
    id = grant_id(context.incident.id, approval_id or f"{actor.id} {format_time(now)}", role)
    before = context.ledger.record(Grant, id)
    if before is not None:
        return before
    unsigned = Grant(
        id=id,
        incident=context.incident.id,
        role=role,
        actions=chosen,
        issued_to=actor.id,
        issued_by=others,
        approval=approval_id,
        issued_at=_whole(now),
        expires_at=_whole(now) + lasts,
        justification=redact(context.justification),
    )
    signature = load_signer(configuration).sign(signed_body(unsigned), NAMESPACE)
    grant = unsigned.model_copy(update={"signature": signature.strip()})
    detail = {
        "grant": id, "role": role, "actions": list(chosen), "approvers": list(others), "approval": approval_id,
        "expires_at": format_time(grant.expires_at),
    }  # fmt: skip
    context.ledger.append(_note(context, "authority.issue_grant", detail), [grant])
    return grant


def grant_id(incident: str, approval: str, role: str) -> str:
    """Return the id of the grant that an approval gives: the same approval never gives two."""
    return "GRANT-" + hashlib.sha256(canonical([incident, approval, role]).encode()).hexdigest()[:8]


def independent_approvers(configuration: Configuration, requester: str, approvers: Sequence[str]) -> tuple[str, ...]:
    """Return the approvers without the requester. Raises InputError for unknown people, NotAuthorisedError for none."""
    known = {person.id for person in configuration.people}
    unknown = [name for name in approvers if name not in known]
    if unknown:
        raise InputError(
            f"the approver {unknown[0]!r} is unknown",
            "approvers are people of the configuration",
            "check people in snaphold.yaml",
        )
    others = tuple(sorted(set(approvers) - {requester}))
    if not others:
        raise NotAuthorisedError(
            f"{requester} cannot get this grant",
            "the requester cannot approve, and nobody else did",
            "have another person approve it",
        )
    return others


def revoke(grant: Grant, by: str, at: datetime) -> Grant:
    """Return the grant as revoked; one that is revoked already is returned as it is."""
    return grant if grant.revoked_at else grant.model_copy(update={"revoked_at": _whole(at), "revoked_by": by})


def find_grant(context: Context, id: str) -> Grant:
    """Return a grant of the context's incident. Raises InputError when there is none of that id."""
    grant = context.ledger.record(Grant, id)
    if grant is None or grant.incident != context.incident.id:
        raise InputError(
            f"there is no grant {id!r} in {context.incident.id}", do=f"snaphold audit list --incident {context.incident.id}"
        )
    return grant


def revoke_grant(context: Context, id: str, reason: str) -> Grant:
    """Revoke a grant at once and return it; entry and register are one transaction. Repeating it changes nothing."""
    grant = find_grant(context, id)
    if grant.revoked_at is not None:
        return grant
    revoked = revoke(grant, context.actor.id, context.clock.now())
    detail = {"grant": id, "reason": redact(reason)}
    context.ledger.append(_note(context, "authority.revoke_grant", detail), [revoked])
    return revoked


def _note(context: Context, action: str, detail: Mapping[str, object]) -> NewEntry:
    return NewEntry(
        event=Event.GRANT,
        actor=context.actor.id,
        login=context.actor.login,
        incident=context.incident.id,
        run=context.run,
        action=action,
        justification=redact(context.justification),
        outcome="succeeded",
        detail=detail,
    )


def _check_scope(configuration: Configuration, role: str, actions: tuple[str, ...]) -> tuple[str, ...]:
    roles = _roles(configuration, [role])
    if not roles:
        known = ", ".join(found.name for found in configuration.roles) or "none"
        raise InputError(f"there is no role {role!r}", f"configured: {known}", "add it under roles in snaphold.yaml")
    may = _patterns(roles)
    beyond = [name for name in actions if not covers(may, name)]
    if beyond or not may:
        raise InputError(
            f"a grant of the role {role} cannot cover {', '.join(beyond) or 'anything'}",
            f"the role may: {', '.join(may) or 'nothing'}",
            "grant another role, or extend `may` of the role in snaphold.yaml",
        )
    return actions or may


def _check_length(lasts: timedelta, configuration: Configuration) -> None:
    longest = configuration.authority.longest_grant
    if not timedelta(0) < lasts <= longest:
        raise InputError(
            f"a grant cannot last {format_duration(lasts)}",
            f"it must be longer than nothing and at most {format_duration(longest)}",
            "ask for less, or change authority.longest_grant in snaphold.yaml",
        )


def _roles(configuration: Configuration, names: Iterable[str]) -> list[Role]:
    wanted = set(names)
    return [role for role in configuration.roles if role.name in wanted]


def _patterns(roles: Iterable[Role]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(pattern for role in roles for pattern in role.may))


def _why_not_allowed(configuration: Configuration, actor: Actor) -> str:
    roles = _roles(configuration, actor.roles)
    if not roles:
        return f"{actor.id} has no role"
    return f"the roles of {actor.id} ({', '.join(role.name for role in roles)}) may: {', '.join(_patterns(roles)) or 'nothing'}"


def _why_no_grant(actor: Actor) -> str:
    return "there is no grant in this incident" if actor.uses_grants else "this token may not use grants"


def _whole(moment: datetime) -> datetime:
    """Times are written with milliseconds; what is signed must be what is read back."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
