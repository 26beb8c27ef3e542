"""Emergency authority: whether an approval is needed before an action, and the beginning and early end of a grant."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from snaphold.action import Effect, Name, Names, Needs, Recovery, Request, Result, action, find_action
from snaphold.authority import authorise, find_grant, issue_grant, revoke
from snaphold.clock import format_time
from snaphold.context import Context
from snaphold.domain.authority import Approval, ApprovalState, Grant, PromotionException
from snaphold.domain.classification import classify
from snaphold.domain.outcome import Outcome
from snaphold.domain.tier import Tier
from snaphold.errors import InputError, NotAuthorisedError


class CheckEmergency(Request):
    """Input of authority.check_emergency."""

    assets: Names = Field(
        default=[], description="Ids of the assets in scope; empty: the incident's.", examples=[["orders-db", "files-01"]]
    )
    action: str = Field(default="backup.start", min_length=1, description="The action that is to run.", examples=["backup.start"])


class EmergencyAuthority(Result):
    """Whether somebody must approve first."""

    approval_needed: bool = Field(description="Whether the action needs an approval that is not there yet.", examples=[True])
    approvals: int = Field(description="How many people must approve, by the most critical tier in scope.", examples=[2])
    grant: str = Field(
        description="Id of the grant that covers the action now; empty when there is none.", examples=["GRANT-1a2b3c4d"]
    )
    change_wanted: bool = Field(
        description="Whether the rules want a change of the change system to cover the action.", examples=[False]
    )


@action(
    "authority.check_emergency",
    title="Check the emergency authority",
    effect=Effect.READS,
    needs=Needs.LEDGER,
    recovery=Recovery.IDEMPOTENT,
)
def check_emergency(request: CheckEmergency, context: Context) -> EmergencyAuthority:
    """Say whether the person who runs this may start the backups now, or how many people must approve first.

    A change of the change system is never waited for: `change_wanted` says whether one is to cover what is done.
    """
    change_wanted = context.configuration.authority.change is not None
    tier = _top_tier(request.assets or list(context.incident.assets), context)
    try:
        grant = authorise(find_action(request.action), context)
    except NotAuthorisedError as refusal:
        return EmergencyAuthority(
            outcome=Outcome.SUCCEEDED,
            findings=[" ".join(f"{refusal.what}: {refusal.why}".split())],
            approval_needed=True,
            approvals=tier.approvals,
            grant="",
            change_wanted=change_wanted,
        )
    return EmergencyAuthority(
        outcome=Outcome.SUCCEEDED, approval_needed=False, approvals=tier.approvals, grant=grant, change_wanted=change_wanted
    )


def _top_tier(names: list[str], context: Context) -> Tier:
    """Return the most critical tier among the assets, with the incident's exceptions."""
    configuration = context.configuration
    known = configuration.assets_by_id
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise InputError(
            "there are assets that the configuration does not know",
            ", ".join(unknown),
            "add them under assets in snaphold.yaml, or correct the incident",
        )
    classified = classify(
        [known[name] for name in dict.fromkeys(names)],
        configuration.tiers,
        configuration.classification,
        exceptions=context.ledger.records(PromotionException, context.incident.id),
        now=context.clock.now(),
    )
    return next(tier for tier in configuration.tiers if tier.id == classified[0].tier)


class IssueGrant(Request):
    """Input of authority.issue_grant."""

    approval: Name = Field(description="Id of the approved request; it says which role, and for how long.",
                           examples=["APR-1a2b3c4d"])  # fmt: skip


class IssuedGrant(Result):
    """The grant that now counts."""

    grant: str = Field(description="Id of the grant.", examples=["GRANT-1a2b3c4d"])
    role: str = Field(description="The role.", examples=["backup-emergency"])
    expires_at: str = Field(description="When it ends.", examples=["2026-11-22T20:30:00.000Z"])


@action(
    "authority.issue_grant",
    title="Issue the grant of an approval",
    effect=Effect.WRITES,
    needs=Needs.LEDGER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("approval",),
)
def issue(request: IssueGrant, context: Context) -> IssuedGrant:
    """Give the one who asked the role that others have approved, for the time that they approved, signed."""
    from snaphold.engine.approvals import approvers

    asked = context.ledger.record(Approval, request.approval)
    if asked is None or asked.incident != context.incident.id:
        raise InputError(f"there is no approval {request.approval!r} in {context.incident.id}", do="snaphold approvals list")
    if asked.state is not ApprovalState.APPROVED:
        raise NotAuthorisedError(f"{asked.id} gives no grant", f"it is {asked.state.value}", "wait until others have approved")
    if not asked.role:
        raise InputError(f"{asked.id} gives no role", "none was asked for", "ask again with role and role_lasts")
    if asked.requested_by != context.actor.id:
        raise NotAuthorisedError(
            f"{context.actor.id} cannot have the grant of {asked.id}",
            f"{asked.requested_by} asked for it",
            "ask in your own name",
        )
    by = [name for name in approvers(asked) if name not in (asked.requested_by, asked.requested_for)]
    grant = issue_grant(context, role=asked.role, lasts=timedelta(seconds=asked.role_seconds), approvers=by, approval_id=asked.id)
    findings = [] if context.actor.uses_grants else ["this token may not use grants: make one with --may-use-grants"]
    return IssuedGrant(
        outcome=Outcome.SUCCEEDED, findings=findings, grant=grant.id, role=grant.role, expires_at=format_time(grant.expires_at)
    )


class RevokeGrant(Request):
    """Input of authority.revoke_grant."""

    grant: Name = Field(description="Id of the grant.", examples=["GRANT-1a2b3c4d"])
    reason: str = Field(min_length=1, max_length=2000, description="Why it ends now.", examples=["The backups are done."])


class RevokedGrant(Result):
    """The grant that no longer counts."""

    grant: str = Field(description="Id of the grant.", examples=["GRANT-1a2b3c4d"])


@action(
    "authority.revoke_grant",
    title="Revoke a grant",
    effect=Effect.WRITES,
    needs=Needs.LEDGER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("grant",),
)
def revoke_grant(request: RevokeGrant, context: Context) -> RevokedGrant:
    """End a grant before its time. The next action that relies on it is refused."""
    grant: Grant = find_grant(context, request.grant)
    if grant.revoked_at is not None:
        finding = f"it was revoked already at {format_time(grant.revoked_at)} by {grant.revoked_by}"
        return RevokedGrant(outcome=Outcome.SUCCEEDED, findings=[finding], grant=grant.id)
    revoked = revoke(grant, context.actor.id, context.clock.now())
    context.stage(revoked)
    return RevokedGrant(outcome=Outcome.SUCCEEDED, findings=[f"{grant.id} is revoked: {request.reason}"], grant=grant.id)
