"""Approval requests over the API: the same questions, the same register and the same rules as on the command line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import Field, ValidationError

from snaphold.domain.authority import Approval, ApprovalState, Decision
from snaphold.domain.value import Value
from snaphold.engine.approvals import decide, find_approval, may_decide
from snaphold.engine.driver import wake_run
from snaphold.errors import DocumentError, InputError, NotAuthorisedError
from snaphold.ledger.entry import Event, NewEntry
from snaphold.service.callers import Authenticated, Caller
from snaphold.service.paging import DEFAULT_RECORDS, Cursor, Limit, OfIncident, read_cursor, write_cursor
from snaphold.service.problems import RecordedRefusalError, RequestError
from snaphold.service.requests import read_document
from snaphold.validation import problems_of


class DecisionGiven(Value):
    """An answer to an approval request."""

    decision: Literal["approved", "denied"] = Field(description="The answer.", examples=["approved"])
    reason: str = Field(min_length=1, max_length=2000, description="Why; stands in the audit trail.", examples=["Confirmed."])


async def list_approvals(
    caller: Authenticated,
    incident: OfIncident = None,
    state: Annotated[ApprovalState | None, Query(description="Only those that stand so.")] = None,
    limit: Limit = DEFAULT_RECORDS,
    cursor: Cursor = "",
) -> JSONResponse:
    """List approval requests, the newest first, with who may answer them. `next` is the cursor of the next page."""
    return JSONResponse(await run_in_threadpool(_page, caller, incident, state, limit, cursor))


def _page(caller: Caller, incident: str | None, state: ApprovalState | None, limit: int, cursor: str) -> dict[str, Any]:
    saying = ("state", state.value) if state is not None else None
    found, more = caller.runtime.ledger.page(Approval, incident, limit, read_cursor(cursor), saying)
    return {"approvals": [approval_view(caller, one) for one in found], "next": write_cursor(more)}


async def answer_approval(id: str, request: Request, caller: Authenticated) -> JSONResponse:
    """Approve or deny. The requester never can; the token needs the right to approve and the role that is asked."""
    document = await read_document(request)
    try:
        given = DecisionGiven.model_validate(document)
    except ValidationError as error:
        raise DocumentError("the answer is wrong", problems_of(error, None, DecisionGiven)) from error
    return JSONResponse(await run_in_threadpool(decide_approval, caller, id, given))


def decide_approval(caller: Caller, id: str, given: DecisionGiven) -> dict[str, Any]:
    """Record an answer and return the request as the API shows it. A token that may not answer is refused, and recorded.

    Raises RequestError (404), NotAuthorisedError, InputError.
    """
    runtime = caller.runtime
    try:
        approval = find_approval(runtime.ledger, id)
    except InputError as error:
        raise RequestError(404, error.what, error.why, "GET /v1/approvals") from error
    refusal = refusal_of(caller, approval)
    if refusal:
        detail = {"approval": id, "decision": given.decision, "why": refusal}
        runtime.ledger.append(
            NewEntry(
                event=Event.REFUSED,
                actor=caller.actor.id,
                login=caller.actor.login,
                incident=approval.incident,
                run=approval.run,
                action="approval.decide",
                detail=detail,
            )
        )
        raise RecordedRefusalError(f"the token {caller.token.id} cannot answer {id}", refusal, "answer with another token")
    now = runtime.clock.now()
    try:
        answered = decide(runtime.configuration, runtime.ledger, id, caller.actor, Decision(given.decision), given.reason, now)
    except NotAuthorisedError as error:
        raise RecordedRefusalError(error.what, error.why, error.do) from error
    wake_run(runtime, answered.run)
    return approval_view(caller, answered)


def refusal_of(caller: Caller, approval: Approval) -> str:
    """Return what the caller's token lacks; whether the person may answer is judged by the engine."""
    if not caller.token.may_approve:
        return "it was not made for approvals (snaphold token create --may-approve)"
    kind, _, name = (approval.escalated_to or approval.asked_of).partition("/")
    if kind == "group" and name not in caller.actor.roles:
        return f"{name} is asked, and the token does not have that role"
    return ""


def approval_view(caller: Caller, approval: Approval) -> dict[str, Any]:
    """Return an approval request as the API shows it."""
    people = may_decide(caller.runtime.configuration, approval)
    return {**approval.model_dump(mode="json"), "may_answer": list(people)}
