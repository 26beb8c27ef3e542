"""Approval requests: who is asked, who has answered, and when it counts. Nothing but a quorum of approvals lets a run pass.

The register is the truth. A message that reaches a waiting run only wakes it up; the run then judges by the register.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from snaphold.clock import format_duration, format_time
from snaphold.config import Configuration
from snaphold.context import Context
from snaphold.domain.authority import Approval, ApprovalState, ApprovalVote, Decision
from snaphold.domain.people import Actor
from snaphold.engine.steps import Gate
from snaphold.errors import InputError, NotAuthorisedError
from snaphold.ledger.entry import Event, NewEntry, canonical
from snaphold.ledger.ledger import Ledger
from snaphold.secrets import redact


def name_approval(run: str, path: str) -> str:
    """Return the id of the request of one gate of one run: asked again, it is the same request."""
    return "APR-" + hashlib.sha256(canonical([run, path]).encode()).hexdigest()[:8]


def find_approval(ledger: Ledger, id: str) -> Approval:
    """Return a request. Raises InputError when there is none of that id."""
    found = ledger.record(Approval, id)
    if found is None:
        raise InputError(f"there is no approval request {id!r}", do="snaphold approvals list")
    return found


def may_decide(configuration: Configuration, approval: Approval) -> tuple[str, ...]:
    """Return the ids of the people who may answer now: the asked group or person, without the requester."""
    barred = {approval.requested_by, approval.requested_for}
    return tuple(sorted(_people(configuration, approval.escalated_to or approval.asked_of) - barred))


def _people(configuration: Configuration, asked_of: str) -> set[str]:
    kind, _, name = asked_of.partition("/")
    if kind == "individual":
        return {person.id for person in configuration.people if person.id == name}
    return {member for role in configuration.roles if role.name == name for member in role.members}


def open_request(gate: Gate, context: Context, requested_by: str) -> Approval:
    """Return the request of a gate, made when it is not there yet.

    Raises InputError when fewer people than the quorum could ever answer, at the first asking or after escalation.
    """
    id = name_approval(context.run, gate.path)
    with context.ledger.turn(_lock(context.configuration, id)):
        found = context.ledger.record(Approval, id)
        if found is not None:
            return found
        approval = _request(id, gate, context, requested_by)
        _write(context.ledger, approval, context.actor, "approval.ask", {"ask": approval.ask, "asked_of": gate.asked_of})
        return approval


def make_request(gate: Gate, context: Context, requested_for: str = "") -> Approval:
    """Return the request that a SOAR makes under the context's key: the one that is there, or a new one to be staged.

    `requested_for` is the login or id of the person who started it there. Raises InputError as `open_request` does.
    """
    id = name_approval("", context.key)
    found = context.ledger.record(Approval, id)
    return found or _request(id, gate, context, context.actor.id, _person(context.configuration, requested_for))


def _request(id: str, gate: Gate, context: Context, requested_by: str, requested_for: str = "") -> Approval:
    check_people(context.configuration, gate, requested_by, requested_for)
    now, escalate, grants = context.clock.now(), gate.escalate, gate.grants
    return Approval(
        id=id, incident=context.incident.id, run=context.run, step=gate.path, ask=redact(gate.ask),
        asked_of=gate.asked_of, requested_by=requested_by, requested_at=now, expires_at=now + gate.within,
        needed=gate.needed, requested_for=requested_for,
        escalates_to=escalate.to if escalate else "",
        escalation_seconds=int(escalate.within.total_seconds()) if escalate else 0,
        role=grants.role if grants else "", role_seconds=int(grants.lasts.total_seconds()) if grants else 0,
    )  # fmt: skip


def _person(configuration: Configuration, told: str) -> str:
    """Return the id of a person by id or login; what a SOAR calls a person may be unknown here."""
    wanted = told.strip().casefold()
    known = (one.id for one in configuration.people if wanted in {one.id.casefold(), *(name.casefold() for name in one.logins)})
    return next(known, "") if wanted else ""


def check_people(configuration: Configuration, gate: Gate, requested_by: str, requested_for: str = "") -> tuple[str, ...]:
    """Return the ids of those who could answer first. Raises InputError when they, or the second line, are too few."""
    groups = [gate.asked_of, *([gate.escalate.to] if gate.escalate else [])]
    able = {asked_of: _people(configuration, asked_of) - {requested_by, requested_for} for asked_of in groups}
    for asked_of, people in able.items():
        if len(people) < gate.needed:
            raise InputError(
                f"too few people could approve {gate.path}" if people else f"nobody could approve {gate.path}",
                f"{gate.needed} must approve; {asked_of} has {len(people)} besides the requester {requested_by}",
                "add people to the role in snaphold.yaml",
            )
    return tuple(sorted(able[gate.asked_of]))


def judge(gate: Gate, context: Context) -> Approval:
    """Return the request as it stands now. When its time is over it is escalated once, then it has expired.

    Expired is denied by nobody: it never counts as approved, also when votes came close to the quorum.
    """
    escalate = gate.escalate
    return _judge(
        name_approval(context.run, gate.path), context, escalate.to if escalate else "",
        escalate.within if escalate else timedelta(0),
    )  # fmt: skip


def judge_request(id: str, context: Context) -> Approval:
    """Return a request of a SOAR as it stands now, by the terms that it was made with; see `judge`.

    Raises InputError when there is none of that id in the incident.
    """
    found = find_approval(context.ledger, id)
    if found.incident != context.incident.id:
        raise InputError(f"{id} belongs to another incident", do="snaphold approvals list")
    if found.run:
        return found  # the run itself judges it
    return _judge(id, context, found.escalates_to, timedelta(seconds=found.escalation_seconds))


def _judge(id: str, context: Context, escalate_to: str, escalate_within: timedelta) -> Approval:
    with context.ledger.turn(_lock(context.configuration, id)):
        approval = find_approval(context.ledger, id)
        now = context.clock.now()
        if approval.state is not ApprovalState.WAITING or now < approval.expires_at:
            return approval
        if escalate_to and not approval.escalated_to:
            asked = approval.model_copy(update={"escalated_to": escalate_to, "expires_at": now + escalate_within})
            _write(context.ledger, asked, context.actor, "approval.escalate", {"asked_of": escalate_to})
            return asked
        expired = approval.model_copy(update={"state": ApprovalState.EXPIRED})
        _write(context.ledger, expired, context.actor, "approval.expire", {"votes": len(approval.votes)})
        return expired


def decide(
    configuration: Configuration, ledger: Ledger, id: str, actor: Actor, decision: Decision, reason: str, now: datetime
) -> Approval:
    """Record one person's answer and return the request. One denial ends it; a quorum of approvals grants it.

    Raises InputError (no such request, no reason, answered or expired already, voted before) and NotAuthorisedError
    (not asked, or the requester). A refused answer is recorded too.
    """
    if decision is Decision.EXPIRED or not reason.strip():
        raise InputError("an answer needs a reason", do="--reason TEXT says why, and stands in the audit trail for good")
    find_approval(ledger, id)
    with ledger.turn(_lock(configuration, id)):
        approval = find_approval(ledger, id)
        _check_open(approval, now)
        refusal = _refusal(configuration, approval, actor)
        if refusal:
            detail = {"approval": id, "decision": decision.value, "why": refusal}
            ledger.append(_entry(approval, actor, "approval.decide", detail, Event.REFUSED))
            raise NotAuthorisedError(f"{actor.id} cannot answer {id}", refusal, f"snaphold approvals show {id} says who can")
        if any(vote.by == actor.id for vote in approval.votes):
            raise InputError(f"{actor.id} has answered {id} already", "each person has one vote")
        vote = ApprovalVote(
            by=actor.id, name=actor.name, login=actor.login, decision=decision, reason=redact(reason.strip()), at=now
        )
        answered = approval.model_copy(update={"votes": (*approval.votes, vote)})
        answered = answered.model_copy(update={"state": _state(answered)})
        _write(ledger, answered, actor, "approval.decide", {"decision": decision.value}, vote.reason)
        return answered


def _check_open(approval: Approval, now: datetime) -> None:
    if approval.state is not ApprovalState.WAITING:
        raise InputError(f"{approval.id} is {approval.state.value} already", "an answer cannot be changed")
    if now >= approval.expires_at:
        raise InputError(f"{approval.id} has expired", f"answers were taken until {format_time(approval.expires_at)}")


def _refusal(configuration: Configuration, approval: Approval, actor: Actor) -> str:
    if actor.id == approval.requested_by:
        return "the requester of a run never approves it"
    if actor.id == approval.requested_for:
        return "who started it in the SOAR never approves it"
    if actor.id not in may_decide(configuration, approval):
        return f"the question is put to {approval.escalated_to or approval.asked_of}, and {actor.id} is not one of them"
    return ""


def _state(approval: Approval) -> ApprovalState:
    if any(vote.decision is Decision.DENIED for vote in approval.votes):
        return ApprovalState.DENIED
    approving = {vote.by for vote in approval.votes if vote.decision is Decision.APPROVED}
    return ApprovalState.APPROVED if len(approving) >= approval.needed else ApprovalState.WAITING


def approvers(approval: Approval) -> tuple[str, ...]:
    """Return the people who approved, in the order of their answers."""
    return tuple(vote.by for vote in approval.votes if vote.decision is Decision.APPROVED)


def describe_end(approval: Approval) -> str:
    """Return who decided and why, in one line."""
    if approval.state is ApprovalState.EXPIRED:
        waited = approval.expires_at - approval.requested_at
        return f"nobody decided within {_length(waited)} ({len(approval.votes)} of {approval.needed} approved)"
    wanted = Decision.DENIED if approval.state is ApprovalState.DENIED else Decision.APPROVED
    told = [f"{vote.name}: {vote.reason}" for vote in approval.votes if vote.decision is wanted]
    return f"{approval.state.value} by {'; '.join(told)}"


def _length(waited: timedelta) -> str:
    return format_duration(timedelta(seconds=round(waited.total_seconds())))


def _lock(configuration: Configuration, id: str) -> Path:
    return configuration.state_folder / "approvals" / f"{id}.lock"


def _write(
    ledger: Ledger, approval: Approval, actor: Actor, action: str, detail: dict[str, Any], justification: str = ""
) -> None:
    told = {"approval": approval.id, "state": approval.state.value, **detail}
    ledger.append(_entry(approval, actor, action, told, Event.APPROVAL, justification), [approval])


def _entry(
    approval: Approval, actor: Actor, action: str, detail: dict[str, Any], event: Event, justification: str = ""
) -> NewEntry:
    return NewEntry(
        event=event, actor=actor.id, login=actor.login, incident=approval.incident, run=approval.run, action=action,
        justification=justification, detail=detail,
    )  # fmt: skip
