"""Cancelling a run and taking it up again over the API, by its requester or by whom a role may do it."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from snaphold.engine.driver import cancel_run
from snaphold.engine.run import Run, find_run, is_driven
from snaphold.errors import InputError
from snaphold.ledger.entry import Event, NewEntry
from snaphold.service.callers import Authenticated, Caller
from snaphold.service.problems import RequestError
from snaphold.service.requests import read_justification
from snaphold.service.rights import CANCEL, RESUME, require_right
from snaphold.service.run_process import resume_driver
from snaphold.service.runs import run_view


async def cancel(id: str, request: Request, caller: Authenticated) -> JSONResponse:
    """Have a run stop before its next action, for good. 202: the action at work ends first. A job it started goes on."""
    why = read_justification(request, needed=True)
    run = await run_in_threadpool(_cancel, caller, id, why)
    return JSONResponse(run_view(caller, run), 200 if run.has_ended else 202, {"Location": f"/v1/runs/{run.id}"})


async def resume(id: str, request: Request, caller: Authenticated) -> JSONResponse:
    """Take up a run that was interrupted, in its requester's name. 200: it has ended, or is being driven already."""
    why = read_justification(request, needed=True)
    run, status = await run_in_threadpool(_resume, caller, id, why)
    return JSONResponse(run_view(caller, run), status, {"Location": f"/v1/runs/{run.id}"})


def _cancel(caller: Caller, id: str, why: str) -> Run:
    run = _allowed(caller, id, CANCEL)
    if run.has_ended:
        raise InputError(f"{id} has ended already", f"its status is {run.status.value}")
    _record(caller, run, "run.ask_cancel", why)
    return cancel_run(caller.runtime, id)


def _resume(caller: Caller, id: str, why: str) -> tuple[Run, int]:
    runtime = caller.runtime
    run = _allowed(caller, id, RESUME)
    if run.has_ended or is_driven(runtime.configuration, runtime.ledger, id):
        return run, 200
    _record(caller, run, "run.ask_resume", why)
    resumed = resume_driver(runtime, caller.service.config, run)
    caller.service.ring()
    return resumed, 202


def _allowed(caller: Caller, id: str, right: str) -> Run:
    """Return a run that the caller may cancel or resume. Raises RequestError (404), NotAuthorisedError."""
    try:
        run = find_run(caller.runtime.ledger, id)
    except InputError as error:
        raise RequestError(404, error.what, error.why, "GET /v1/runs") from error
    if run.requested_by != caller.actor.id:
        require_right(caller, right, id, run.incident, id)
    return run


def _record(caller: Caller, run: Run, action: str, why: str) -> None:
    actor = caller.actor
    detail: dict[str, Any] = {"status": run.status.value}
    entry = NewEntry(
        event=Event.SERVICE, actor=actor.id, login=actor.login, incident=run.incident, run=run.id, action=action,
        justification=why, detail=detail,
    )  # fmt: skip
    caller.runtime.ledger.append(entry)
