"""`POST /v1/actions/{name}` for every action of the catalogue, and the jobs that outlast a request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from snaphold.action import AnyAction, Effect
from snaphold.authority import authorise, covers
from snaphold.domain.incident import Incident
from snaphold.errors import InputError, NotAuthorisedError
from snaphold.execute import validate
from snaphold.incident_register import remember_incident
from snaphold.service.callers import Authenticated, Caller, note_refusal
from snaphold.service.incidents import read_incident
from snaphold.service.jobs import Ended, Going, Order, carry_out
from snaphold.service.problems import MEDIA_TYPE, RequestError
from snaphold.service.records import ServiceJob
from snaphold.service.requests import read_document, read_justification, read_key, read_patience

INCIDENT = "incident"
INCIDENT_HEADER = "X-Snaphold-Incident"
POLL_SECONDS = 5
NOT_AUTHORISED = 403


def action_endpoint(entry: AnyAction) -> Callable[..., Awaitable[JSONResponse]]:
    """Return the function that answers requests for one action."""

    async def call(request: Request, caller: Authenticated) -> JSONResponse:
        document = await read_document(request)
        writes = entry.effect is not Effect.READS
        key = read_key(request, needed=writes)
        justification = read_justification(request, needed=writes)
        given = document.pop(INCIDENT, None) or request.headers.get(INCIDENT_HEADER, "")
        patience = read_patience(request, caller.service.longest_wait)
        order = await run_in_threadpool(_prepare, caller, entry, document, given, key, justification)
        return await _told(request, await _carry_out(caller, order, patience))

    call.__name__ = entry.name.replace(".", "_")
    call.__doc__ = entry.description
    return call


def _prepare(caller: Caller, entry: AnyAction, given: dict[str, Any], incident_given: Any, key: str, justification: str) -> Order:
    runtime = caller.runtime
    incident = read_incident(incident_given, runtime.ledger)
    validate(entry, given)
    context = runtime.context(incident, justification=justification, key=_key(key, incident))
    order = Order(entry, given, context, caller.token.id)
    # A SOAR asks about a backup thousands of times; the trail keeps the answers that say something new.
    order = replace(order, context=replace(context, repeat=caller.service.jobs.repeats.before(order)))
    # Who may not do this is refused, and the refusal recorded, by execute(); the incident is not taken from them.
    if isinstance(incident_given, dict) and _is_allowed(order):
        remember_incident(incident, runtime.ledger, caller.actor, runtime.clock)
    return order


def _key(key: str, incident: Incident) -> str:
    """Keys of one incident never meet those of another; a key that names its incident stays as the playbooks have it."""
    return key if not key or key.startswith(f"{incident.id}/") else f"{incident.id}/api/{key}"


async def _told(request: Request, answer: Ended | ServiceJob) -> JSONResponse:
    """Return the answer. What the action refused for its input or its key is counted for the audit trail.

    Who may not do it was refused by execute(), which wrote that down itself.
    """
    if isinstance(answer, ServiceJob):
        headers = {"Location": f"/v1/jobs/{answer.id}", "Retry-After": str(POLL_SECONDS)}
        return JSONResponse(job_view(answer), 202, headers)
    if answer.problem is None:
        return JSONResponse(answer.result)
    status: int = answer.problem["status"]
    if status != NOT_AUTHORISED:
        await note_refusal(request, status, RequestError(status, str(answer.problem.get("detail", ""))))
    return JSONResponse(answer.problem, status, media_type=MEDIA_TYPE)


async def _carry_out(caller: Caller, order: Order, patience: float) -> Ended | ServiceJob:
    """Return how it ended, or the job that goes on."""
    end = asyncio.get_running_loop().time() + patience
    going, new = await run_in_threadpool(caller.service.jobs.begin, order)
    if not new:
        if not await run_in_threadpool(_is_allowed, order):
            return await run_in_threadpool(carry_out, order)  # refused there, and recorded
        # Another request does the work. Afterwards this one asks the ledger by itself.
        if await _wait(going, end) is not None:
            going, _ = await run_in_threadpool(caller.service.jobs.begin, order)
    ended = await _wait(going, end)
    return ended if ended is not None else await run_in_threadpool(caller.service.jobs.keep, going)


def _is_allowed(order: Order) -> bool:
    try:
        authorise(order.entry, order.context)
    except NotAuthorisedError:
        return False
    return True


async def _wait(going: Going, end: float) -> Ended | None:
    """Return how it ended, or None when the time is up first."""
    left = end - asyncio.get_running_loop().time()
    if going.ended.done():
        return going.ended.result()
    if left <= 0:
        return None
    done, _ = await asyncio.wait([asyncio.wrap_future(going.ended)], timeout=left)
    return going.ended.result() if done else None


def job_view(job: ServiceJob) -> dict[str, Any]:
    """Return a job as the API shows it."""
    return job.model_dump(mode="json", exclude={"owner"})


async def show_job(id: str, caller: Authenticated) -> JSONResponse:
    """Show where a job stands; `result` or `problem` is there when it has ended."""
    job = await run_in_threadpool(_find, caller, id)
    running = job.state.value == "running"
    return JSONResponse(job_view(job), headers={"Retry-After": str(POLL_SECONDS)} if running else None)


def _find(caller: Caller, id: str) -> ServiceJob:
    try:
        job = caller.service.jobs.find(id)
    except InputError as error:
        raise RequestError(404, error.what, error.why, error.do) from error
    may = [pattern for role in caller.runtime.configuration.roles if role.name in caller.actor.roles for pattern in role.may]
    if job.requested_by != caller.actor.id and not covers(may, job.action):
        raise NotAuthorisedError(
            f"{caller.actor.id} may not see {job.id}",
            f"it is another person's, and no role of this token may {job.action}",
            "ask with a token that may run the action",
        )
    return job
