"""Runs of playbooks over the API. They are registered here and driven elsewhere: in a file's case by one process beside the
service, else by the workers. Each goes on after a restart, and many can wait for approvals at the same time.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import Field, ValidationError

from snaphold.domain.incident import Incident
from snaphold.domain.value import Identifier, Value
from snaphold.engine.plan import Plan, make_plan
from snaphold.engine.run import Run, find_run, is_driven
from snaphold.errors import BusyError, DocumentError, InputError
from snaphold.incident_register import remember_incident
from snaphold.ledger.entry import digest
from snaphold.playbook.lint import load_checked
from snaphold.playbook.load import SUFFIXES
from snaphold.service.callers import Authenticated, Caller
from snaphold.service.incidents import read_incident
from snaphold.service.paging import DEFAULT_RECORDS, Cursor, Limit, OfIncident, read_cursor, write_cursor
from snaphold.service.problems import RequestError
from snaphold.service.requests import read_document, read_justification
from snaphold.service.run_process import start_driver
from snaphold.validation import problems_of

InputValue = str | int | bool | list[str]


class RunWanted(Value):
    """What is to be run, and for which incident."""

    playbook: Identifier = Field(
        description="A playbook's name, or auto: severity and category decide.", examples=["ransomware-response"]
    )
    incident: Incident | Identifier = Field(
        description="The incident, or the id of one that was sent before.", examples=["INC-2026-0042"]
    )
    inputs: dict[str, InputValue] = Field(default={}, description="Inputs of the playbook by name.", examples=[{}])
    generation: int = Field(
        default=1, ge=1, le=1000, description="2 or more: a deliberate second run of what was run before.", examples=[1]
    )


async def start_run(request: Request, caller: Authenticated) -> JSONResponse:
    """Start a playbook. The same incident, playbook and generation are the same run: asking again starts nothing."""
    document = await read_document(request)
    justification = read_justification(request, needed=True)
    try:
        wanted = RunWanted.model_validate(document)
    except ValidationError as error:
        raise DocumentError("the request for a run is wrong", problems_of(error, None, RunWanted)) from error
    run, status = await run_in_threadpool(_start, caller, wanted, justification)
    return JSONResponse(run_view(caller, run), status, {"Location": f"/v1/runs/{run.id}"})


def _start(caller: Caller, wanted: RunWanted, justification: str) -> tuple[Run, int]:
    from snaphold.config import select_playbook

    runtime = caller.runtime
    given = wanted.incident
    incident = given if isinstance(given, Incident) else read_incident(given, runtime.ledger)
    name = wanted.playbook if wanted.playbook != "auto" else select_playbook(runtime.configuration, incident).playbook
    if name.endswith(SUFFIXES):
        raise InputError(f"there is no playbook {name!r}", "a playbook is given by its name, not as a file")
    loaded, parts = load_checked(name, runtime.configuration)
    plan = make_plan(
        loaded, parts, wanted.inputs, incident, generation=wanted.generation, justification=justification
    )  # fmt: skip
    existing = runtime.ledger.record(Run, plan.run)
    if existing is not None:
        return _same(existing, plan), 200
    if isinstance(given, Incident):
        remember_incident(incident, runtime.ledger, caller.actor, runtime.clock)
    started = start_driver(runtime, caller.token.id, plan)
    caller.service.ring()
    return started, 202


def _same(existing: Run, plan: Plan) -> Run:
    """Return the run that exists already, when it is the one that is asked for. Raises BusyError when it is not."""
    if existing.plan_sha256 != digest(plan.to_document()):
        raise BusyError(
            f"the run {existing.id} exists already and is another one",
            "its inputs, its justification, its incident or its playbooks differ",
            f"ask for generation {existing.generation + 1} for a deliberate second run",
        )
    return existing


async def list_runs(
    caller: Authenticated, incident: OfIncident = None, limit: Limit = DEFAULT_RECORDS, cursor: Cursor = ""
) -> JSONResponse:
    """List runs, the newest first, without their steps. `next` is the cursor of the next page, and empty after the last."""
    return JSONResponse(await run_in_threadpool(_page, caller, incident, limit, cursor))


def _page(caller: Caller, incident: str | None, limit: int, cursor: str) -> dict[str, Any]:
    found, more = caller.runtime.ledger.page(Run, incident, limit, read_cursor(cursor))
    return {"runs": [run_view(caller, run, steps=False) for run in found], "next": write_cursor(more)}


async def show_run(id: str, caller: Authenticated) -> JSONResponse:
    """Show a run with its steps and whether a process drives it now."""
    return JSONResponse(await run_in_threadpool(_show, caller, id))


def _show(caller: Caller, id: str) -> dict[str, Any]:
    try:
        return run_view(caller, find_run(caller.runtime.ledger, id))
    except InputError as error:
        raise RequestError(404, error.what, error.why, "GET /v1/runs") from error


def run_view(caller: Caller, run: Run, *, steps: bool = True) -> dict[str, Any]:
    """Return a run as the API shows it."""
    driven = not run.has_ended and is_driven(caller.runtime.configuration, caller.runtime.ledger, run.id)
    return {**run.model_dump(mode="json", exclude=set() if steps else {"steps"}), "driven": driven}
