"""Escalation: who must be told, until when they must answer, and whether they did.

A notice is a record with a deadline. A paging integration that can call the contact is told at once; as long as none has
taken the notice, the result says whom to call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from pydantic import Field

from snaphold.action import Effect, Name, Names, Needs, Recovery, Request, Result, action
from snaphold.clock import format_time
from snaphold.context import Context
from snaphold.domain.escalation import Notice, NoticeState
from snaphold.domain.outcome import Outcome
from snaphold.domain.tier import Tier
from snaphold.errors import InputError
from snaphold.providers.choice import tiers_of_assets
from snaphold.validation import suggest


class NotifyContact(Request):
    """Input of escalation.notify."""

    contact: Name = Field(description="The role under contacts in the configuration.", examples=["backup-team"])
    text: str = Field(
        min_length=1, max_length=2000, description="What they must know and do.", examples=["A backup failed: take over."]
    )
    assets: Names = Field(
        default=[], description="Ids of the assets that set the deadline; left out, the incident's.", examples=[["orders-db"]]
    )


class ContactNotified(Result):
    """The notice, and who must be called."""

    outcome: Outcome = Field(description="partial as long as a person must deliver it.", examples=["partial"])
    notice: str = Field(description="Id of the notice in the register.", examples=["NOTICE-1a2b3c4d"])
    call: list[str] = Field(description="Whom to call, and how.", examples=[["Backup on-call: +44 20 5550 0100"]])
    acknowledge_by: str = Field(description="Until when they must answer (RFC 3339).", examples=["2026-11-22T18:15:00.000Z"])
    delivered: bool = Field(description="Whether a platform took it; false: somebody must call.", examples=[False])


@action(
    "escalation.notify",
    title="Have a contact called, and record until when they must answer",
    effect=Effect.WRITES,
    needs=Needs.LEDGER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("contact",),
)
def notify(request: NotifyContact, context: Context) -> ContactNotified:
    """Record a notice to a contact, with the deadline of the most critical tier in scope, and have them paged.

    The outcome is `partial` when no paging platform took it: it is recorded, and somebody must call.
    """
    from snaphold.platforms.paging import deliver

    findings: list[str] = []
    notice_id = f"NOTICE-{hashlib.sha256(context.key.encode()).hexdigest()[:8]}"
    notice = context.ledger.record(Notice, notice_id)
    if notice is None:
        tier = _tier_in_scope(request.assets, context)
        now = context.clock.now()
        notice = Notice(
            id=notice_id,
            incident=context.incident.id,
            contact=request.contact,
            call=_people_to_call(request.contact, context),
            text=request.text,
            tier=tier.id,
            raised_by=context.actor.id,
            raised_at=now,
            acknowledge_by=now + tier.acknowledge_within,
        )
        delivery = deliver(notice, critical=tier.level == 0, context=context)
        notice = notice.model_copy(update={"delivered_by": delivery.delivered_by})
        findings += delivery.findings
        context.stage(notice)
    until = format_time(notice.acknowledge_by)
    return ContactNotified(
        outcome=Outcome.SUCCEEDED if notice.delivered_by else Outcome.PARTIAL,
        findings=findings if notice.delivered_by else [*findings, _call_finding(notice, until)],
        notice=notice.id,
        call=list(notice.call),
        acknowledge_by=until,
        delivered=bool(notice.delivered_by),
    )


class NoticeStatus(Request):
    """Input of escalation.status."""

    notice: Name = Field(description="Id of the notice.", examples=["NOTICE-1a2b3c4d"])


class NoticeStanding(Result):
    """Where a notice stands."""

    state: NoticeState = Field(description="waiting, acknowledged or overdue.", examples=["acknowledged"])
    acknowledged_by: str = Field(description="Who answered; empty while nobody has.", examples=["Backup on-call"])


@action(
    "escalation.status",
    title="Show whether a notice was answered",
    effect=Effect.READS,
    needs=Needs.LEDGER,
    recovery=Recovery.IDEMPOTENT,
)
def status(request: NoticeStatus, context: Context) -> NoticeStanding:
    """Say whether somebody answered a notice, or whether its deadline has passed without an answer.

    A notice that a paging platform took is looked up there; an answer found is written down.
    """
    from snaphold.platforms.paging import read_response

    notice = _find_notice(request.notice, context)
    findings: list[str] = []
    if notice.acknowledged_at is None and notice.delivered_by:
        response = read_response(notice, context)
        findings += response.findings
        if response.by:
            answer = {"acknowledged_at": response.at or context.clock.now(), "acknowledged_by": response.by}
            notice = notice.model_copy(update={**answer, "recorded_by": notice.delivered_by})
            context.stage(notice)
    state = notice.state_at(context.clock.now())
    late = [f"nobody answered {notice.id} by {format_time(notice.acknowledge_by)}"] if state is NoticeState.OVERDUE else []
    return NoticeStanding(
        outcome=Outcome.SUCCEEDED, findings=[*findings, *late], state=state, acknowledged_by=notice.acknowledged_by
    )


class AcknowledgeNotice(Request):
    """Input of escalation.acknowledge."""

    notice: Name = Field(description="Id of the notice.", examples=["NOTICE-1a2b3c4d"])
    answered_by: str = Field(min_length=1, max_length=200, description="Who answered.", examples=["Backup on-call"])


class NoticeAcknowledged(Result):
    """The notice that was answered."""

    notice: str = Field(description="Id of the notice.", examples=["NOTICE-1a2b3c4d"])
    in_time: bool = Field(description="Whether the answer came before the deadline.", examples=[True])


@action(
    "escalation.acknowledge",
    title="Record that a notice was answered",
    effect=Effect.WRITES,
    needs=Needs.LEDGER,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("notice",),
)
def acknowledge(request: AcknowledgeNotice, context: Context) -> NoticeAcknowledged:
    """Write down who answered a notice and when, and have the paging platform stop calling. The first answer stands."""
    from snaphold.platforms.paging import tell_answered

    notice = _find_notice(request.notice, context)
    findings: list[str] = []
    if notice.acknowledged_at is not None:
        findings.append(f"{notice.acknowledged_by} had answered already at {format_time(notice.acknowledged_at)}")
    else:
        answer = {"acknowledged_at": context.clock.now(), "acknowledged_by": request.answered_by}
        notice = notice.model_copy(update={**answer, "recorded_by": context.actor.id})
        findings += tell_answered(notice, context)
        context.stage(notice)
    in_time = notice.acknowledged_at is not None and notice.acknowledged_at <= notice.acknowledge_by
    if not in_time:
        findings.append(f"the answer came after the deadline {format_time(notice.acknowledge_by)}")
    return NoticeAcknowledged(outcome=Outcome.SUCCEEDED, findings=findings, notice=notice.id, in_time=in_time)


class EndPage(Request):
    """Input of escalation.end_page."""

    notice: Name = Field(description="Id of the notice.", examples=["NOTICE-1a2b3c4d"])


class PageEnded(Result):
    """The page that was ended."""

    notice: str = Field(description="Id of the notice.", examples=["NOTICE-1a2b3c4d"])
    told: str = Field(
        description="The integration that was told; empty when no platform had taken the notice.", examples=["paging"]
    )


@action(
    "escalation.end_page",
    title="Tell the paging platform that the reason of a notice is gone",
    effect=Effect.WRITES,
    needs=Needs.PLATFORM,
    recovery=Recovery.IDEMPOTENT,
    key_fields=("notice",),
)
def end_page(request: EndPage, context: Context) -> PageEnded:
    """End the page of a notice in the platform that took it. A notice that none took has no page to end."""
    from snaphold.platforms.paging import page_key
    from snaphold.platforms.registry import open_platform

    notice = _find_notice(request.notice, context)
    for integration in context.configuration.integrations:
        if integration.name == notice.delivered_by:
            open_platform(integration, context.configuration, context.run).end_page(page_key(notice))
            return PageEnded(outcome=Outcome.SUCCEEDED, notice=notice.id, told=integration.name)
    if notice.delivered_by:
        gone = f"{notice.delivered_by}, which took the notice, is no longer configured"
        return PageEnded(outcome=Outcome.PARTIAL, findings=[gone], notice=notice.id, told="")
    return PageEnded(outcome=Outcome.SUCCEEDED, notice=notice.id, told="")


def _find_notice(name: str, context: Context) -> Notice:
    notice = context.ledger.record(Notice, name)
    if notice is None or notice.incident != context.incident.id:
        known = [notice.id for notice in context.ledger.records(Notice, context.incident.id)]
        why = suggest(name, known) or f"known: {', '.join(known) or 'none'}"
        raise InputError(f"there is no notice {name!r} in incident {context.incident.id}", why)
    return notice


def _people_to_call(contact: str, context: Context) -> tuple[str, ...]:
    """Return the contacts of a role; without any, the security team, because an escalation must reach somebody."""
    configuration = context.configuration
    found = tuple(f"{known.name}: {known.reach}" for known in configuration.contacts if known.role == contact)
    if found:
        return found
    if configuration.organisation.contact:
        return (f"{configuration.organisation.name}: {configuration.organisation.contact}",)
    roles = sorted({known.role for known in configuration.contacts})
    raise InputError(
        f"nobody is listed for {contact!r}, so nobody can be called",
        suggest(contact, roles) or f"contacts: {', '.join(roles) or 'none'}",
        "add it under contacts in snaphold.yaml",
    )


def _tier_in_scope(assets: Sequence[str], context: Context) -> Tier:
    """Return the most critical tier in scope. What nobody knows counts as the most critical: a call too early is no harm."""
    tiers = sorted(context.configuration.tiers, key=lambda tier: (tier.level, tier.acknowledge_within))
    by_asset = tiers_of_assets(context)
    names = assets or context.incident.assets
    if any(name not in by_asset for name in names):
        return min(tiers, key=_deadline)
    scope = {by_asset[name] for name in names}
    return next((tier for tier in tiers if tier.id in scope), tiers[0])


def _deadline(tier: Tier) -> timedelta:
    return tier.acknowledge_within


def _call_finding(notice: Notice, until: str) -> str:
    who = "; ".join(notice.call)
    return f"recorded, not delivered (no paging platform took it): call {who}; an answer is due by {until}"
