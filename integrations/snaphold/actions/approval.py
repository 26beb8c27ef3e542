"""Questions to people from outside of a run: a SOAR asks here, and the answers are given and recorded here."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from pydantic import Field

from snaphold.action import Effect, Name, Needs, Recovery, Request, Result, action
from snaphold.clock import format_time, parse_duration
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError

if TYPE_CHECKING:
    from snaphold.domain.authority import Approval
    from snaphold.engine.steps import Gate

_APPROVER = r"^(group|individual)/[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$"
_ROLE = r"^([A-Za-z0-9][A-Za-z0-9._@-]{0,127})?$"
LONGEST_WAIT = timedelta(days=30)


class AskApproval(Request):
    """Input of approval.ask."""

    question: str = Field(
        min_length=1, max_length=2000, description="What is asked.", examples=["Snapshot the tier-0 assets now?"]
    )
    asked_of: str = Field(pattern=_APPROVER, description="group/ROLE or individual/PERSON.", examples=["group/incident-managers"])
    within: str = Field(description="How long they have.", examples=["15m"])
    approvals: int = Field(default=1, ge=1, le=9, description="How many different people must approve.", examples=[1])
    escalate_to: str = Field(
        default="", pattern=f"{_APPROVER}|^$", description="Who is asked when they are silent; empty: nobody.",
        examples=["group/ciso-oncall"],
    )  # fmt: skip
    escalate_within: str = Field(default="", description="How long those have.", examples=["10m"])
    role: str = Field(
        default="", pattern=_ROLE, description="The role that an approval gives; empty: none.", examples=["backup-emergency"]
    )
    role_lasts: str = Field(default="", description="For how long it is given.", examples=["2h"])
    requested_for: str = Field(
        default="", max_length=200, description="Who started it in the SOAR, by id or login; cannot answer.", examples=["ana"]
    )


class AskedApproval(Result):
    """The open question."""

    approval: str = Field(description="Id of the request.", examples=["APR-1a2b3c4d"])
    may_answer: list[str] = Field(description="Ids of those who may answer now.", examples=[["ben", "cho"]])
    until: str = Field(description="When the time of those who are asked first is over.", examples=["2026-11-22T18:45:00.000Z"])


@action(
    "approval.ask",
    title="Ask people for an approval",
    effect=Effect.WRITES,
    needs=Needs.LEDGER,
    recovery=Recovery.IDEMPOTENT,
)
def ask(request: AskApproval, context: Context) -> AskedApproval:
    """Put a question to people. They answer in Snaphold, each with an own token or login; who asks never can."""
    from snaphold.engine.approvals import make_request, may_decide

    approval = make_request(_gate(request, context), context, request.requested_for)
    context.stage(approval)
    return AskedApproval(
        outcome=Outcome.SUCCEEDED,
        approval=approval.id,
        may_answer=list(may_decide(context.configuration, approval)),
        until=format_time(approval.expires_at),
    )


def _gate(request: AskApproval, context: Context) -> Gate:
    from snaphold.engine.steps import Gate
    from snaphold.playbook.step import Escalation, GrantTerms

    if bool(request.escalate_to) is not bool(request.escalate_within):
        raise InputError("an escalation needs both escalate_to and escalate_within")
    if bool(request.role) is not bool(request.role_lasts):
        raise InputError("a role is given for a time", "an approval that gives one needs both role and role_lasts")
    escalate = grants = None
    if request.escalate_to:
        escalate = Escalation.model_validate({"to": request.escalate_to, "within": request.escalate_within})
    if request.role:
        grants = GrantTerms.model_validate({"role": request.role, "for": request.role_lasts})
    place = context.key.split("/")[1] if context.key.count("/") > 1 else context.key
    return Gate(place, request.question, request.asked_of, _wait(request.within), request.approvals, escalate, grants)


def _wait(text: str) -> timedelta:
    found = parse_duration(text)
    if not timedelta(0) < found <= LONGEST_WAIT:
        raise InputError(f"nobody can be asked for {text}", "at most 30 days")
    return found


class ApprovalProgress(str, Enum):
    """Whether a question is still open."""

    RUNNING = "running"
    DONE = "done"


class ApprovalStatus(Request):
    """Input of approval.status."""

    approval: Name = Field(description="Id of the request.", examples=["APR-1a2b3c4d"])


class ApprovalStanding(Result):
    """Where a question stands. Nothing but `approved` lets anything pass."""

    approval: str = Field(description="Id of the request.", examples=["APR-1a2b3c4d"])
    state: ApprovalProgress = Field(description="running while it is open, then done.", examples=["done"])
    decision: str = Field(description="waiting, approved, denied or expired.", examples=["approved"])
    escalated: bool = Field(description="Whether it was put to the second ones.", examples=[False])
    asked_of: str = Field(description="Who is asked now.", examples=["group/incident-managers"])
    approved: int = Field(description="How many have approved.", examples=[1])
    needed: int = Field(description="How many must.", examples=[1])
    decided_by: list[str] = Field(description="Ids of those who answered, in order.", examples=[["ben"]])
    answers: list[str] = Field(description="Their answers with the reasons.", examples=[["approved by Ben: confirmed"]])
    until: str = Field(description="When the time is over.", examples=["2026-11-22T18:45:00.000Z"])


@action(
    "approval.status",
    title="Show where a question to people stands",
    effect=Effect.READS,
    needs=Needs.LEDGER,
    recovery=Recovery.IDEMPOTENT,
)
def status(request: ApprovalStatus, context: Context) -> ApprovalStanding:
    """Say whether people have approved. When their time is over, the question is escalated once, then it has expired."""
    from snaphold.engine.approvals import approvers, judge_request

    approval = judge_request(request.approval, context)
    is_open = approval.state.value == "waiting"
    return ApprovalStanding(
        outcome=Outcome.SUCCEEDED,
        approval=approval.id,
        state=ApprovalProgress.RUNNING if is_open else ApprovalProgress.DONE,
        decision=approval.state.value,
        escalated=bool(approval.escalated_to),
        asked_of=approval.escalated_to or approval.asked_of,
        approved=len(approvers(approval)),
        needed=approval.needed,
        decided_by=[vote.by for vote in approval.votes],
        answers=_answers(approval),
        until=format_time(approval.expires_at),
    )


def _answers(approval: Approval) -> list[str]:
    return [f"{vote.decision.value} by {vote.name}: {vote.reason}" for vote in approval.votes]
