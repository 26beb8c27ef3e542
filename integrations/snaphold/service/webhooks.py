"""`POST /v1/webhooks/{name}`: a delivery is checked, understood, recorded, and answered; the work goes on in the background."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from snaphold.errors import DocumentError, InputError, NotAuthorisedError
from snaphold.service.callers import Service, source_of
from snaphold.service.intake import Taken, take_in
from snaphold.service.problems import MEDIA_TYPE, RequestError, is_refusal, problem_of, title_of
from snaphold.service.requests import read_body
from snaphold.service.strict_json import parse_object
from snaphold.webhooks.receiver import Receiver

ANSWER_WITHIN_SECONDS = 0.9
"""Sources give up early and repeat: then they are told to, and the repeat finds what was recorded meanwhile."""
REFUSE = "webhook.refuse"
_BUSY = {"Retry-After": "5"}


async def receive_delivery(name: str, request: Request) -> JSONResponse:
    """Take a delivery of a webhook. 202: it is recorded and is being worked on. 200: it was known, or asks for nothing."""
    service: Service = request.app.state.service
    receiver = service.receivers.get(name)
    try:
        if receiver is None:
            raise RequestError(404, "there is no such webhook", do="add it under webhooks in snaphold.yaml")
        receiver.check_bearer(request.headers)
        body = await read_body(request)
        receiver.check_signature(body, request.headers, service.runtime.clock.now())
        if service.inbox.is_full:
            raise RequestError(503, "the service is busy", "too many deliveries wait", "send it again later", _BUSY)
        message = _read(receiver, body)
        work = asyncio.ensure_future(run_in_threadpool(_take_in, service, receiver, message, body))
        try:
            taken = await asyncio.wait_for(asyncio.shield(work), ANSWER_WITHIN_SECONDS)
        except asyncio.TimeoutError as error:
            work.add_done_callback(_seen)
            raise RequestError(503, "the delivery could not be recorded in time", None, "send it again later", _BUSY) from error
    except (NotAuthorisedError, InputError, RequestError) as error:
        return await _refuse(service, request, name if receiver else "", error)
    return _answer(taken)


def _read(receiver: Receiver, body: bytes) -> Any:
    try:
        document = parse_object(body)
    except InputError as error:
        raise RequestError(400, error.what, error.why, error.do) from error
    return receiver.read(document)


def _take_in(service: Service, receiver: Receiver, message: Any, body: bytes) -> Taken:
    taken = take_in(receiver, message, body, service.runtime)
    if taken.delivery is not None and not taken.duplicate:
        service.inbox.add(taken.delivery)
    return taken


def _seen(work: asyncio.Future[Taken]) -> None:
    """What went wrong after the answer is told to whoever repeats the delivery."""
    if not work.cancelled():
        work.exception()


def _answer(taken: Taken) -> JSONResponse:
    delivery = taken.delivery
    if delivery is None:
        return JSONResponse({"state": "ignored", "why": taken.why})
    told = {"state": "known" if taken.duplicate else "accepted", "delivery": delivery.id, "incident": delivery.incident}
    return JSONResponse(told, 200 if taken.duplicate else 202)


async def _refuse(service: Service, request: Request, name: str, error: Exception) -> JSONResponse:
    """Answer a refusal, and record it; a flood of them is counted, so that it cannot fill the ledger."""
    assert isinstance(error, (NotAuthorisedError, InputError, RequestError))  # noqa: S101  nothing else is caught
    told = problem_of(error)
    headers: dict[str, str] = {}
    if isinstance(error, RequestError):
        status, headers = error.status, error.headers
    elif isinstance(error, NotAuthorisedError):
        status, headers = 401, {"WWW-Authenticate": 'Bearer realm="snaphold"'}
    else:
        status = 400 if isinstance(error, DocumentError) else 422
    if is_refusal(status):
        webhook, source = name or "unknown", source_of(request)
        why = f"webhook {webhook}: {error.what}" + (f": {error.why}" if error.why else "")
        due = service.refusals.count(f"{source} at {webhook}", why, service.runtime.clock.now(), REFUSE)
        if due:
            await run_in_threadpool(service.refusals.write, due)
        too_many = service.limits.of_delivery(webhook, source)
        if too_many is not None:
            told, status, headers = problem_of(too_many), too_many.status, too_many.headers
    told |= {"status": status, "title": title_of(status)}
    return JSONResponse(told, status, headers, MEDIA_TYPE)
