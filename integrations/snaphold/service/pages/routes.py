"""The routes of the pages. Every page is whole without JavaScript; the script only fetches it again when it changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from pydantic import ValidationError

from snaphold.errors import DocumentError, NotAuthorisedError, SnapholdError
from snaphold.service.approvals import DecisionGiven, decide_approval
from snaphold.service.callers import Caller, Service, note_refusal, source_of
from snaphold.service.metrics import Metrics
from snaphold.service.pages import views
from snaphold.service.pages.rendering import error_page, render
from snaphold.service.pages.session import (
    COOKIE,
    LASTS,
    SIGN_IN,
    SignInNeededError,
    Visitor,
    begin_session,
    check_form_key,
    end_session,
    find_visitor,
    read_fields,
    reason_given,
    safe_target,
)
from snaphold.service.problems import RequestError, status_of
from snaphold.validation import problems_of

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
STATIC = {"snaphold.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8"}
LOOK_EVERY_SECONDS = 1.0
LONGEST_STREAM_SECONDS = 600.0
"""After this the browser asks again by itself."""
MOST_STREAMS = 64
PageNumber = Annotated[int, Query(ge=1, le=1_000_000)]
_LOOKS: dict[str, tuple[str, Callable[..., dict[str, Any]]]] = {
    "": ("incidents.html", views.incidents_page),
    "/approvals": ("approvals.html", views.approvals_page),
    "/restore-points": ("restore_points.html", views.restore_points_page),
    "/evidence": ("evidence.html", views.evidence_page),
}


def add_pages(app: FastAPI) -> None:
    """Add the pages to the application; they are no part of its description for programs."""
    router = APIRouter(prefix="/ui", include_in_schema=False)
    metrics: Metrics = app.state.metrics
    app.state.streams = 0

    def show(path: str, template: str, look: Callable[..., dict[str, Any]], *, listed: bool = False) -> None:
        async def page_of_list(request: Request, page: PageNumber = 1) -> Response:
            return await _shown(request, template, lambda visitor: look(visitor.caller, page))

        async def page_of_one(request: Request) -> Response:
            given = list(request.path_params.values())
            return await _shown(request, template, lambda visitor: look(visitor.caller, *given))

        router.add_api_route(path, page_of_list if listed else page_of_one, methods=["GET"])

    for path, (template, look) in _LOOKS.items():
        show(path, template, look, listed=True)

    def incident(caller: Caller, id: str) -> dict[str, Any]:
        return views.incident_page(caller, id, metrics.board()[0].clocks)

    def board(caller: Caller) -> dict[str, Any]:
        return views.board_page(*metrics.board())

    show("/incidents/{id}", "incident.html", incident)
    show("/runs/{id}", "run.html", views.run_page)
    show("/approvals/{id}", "approval.html", views.approval_page)
    show("/integrations", "integrations.html", views.integrations_page)
    show("/board", "board.html", board)
    router.add_api_route("/runs/{id}/events", _events, methods=["GET"])
    router.add_api_route("/approvals/{id}", _answer, methods=["POST"])
    router.add_api_route("/sign-in", _sign_in_page, methods=["GET"])
    router.add_api_route("/sign-in", _sign_in, methods=["POST"])
    router.add_api_route("/sign-out", _sign_out, methods=["POST"])
    router.add_api_route("/static/{name}", _static, methods=["GET"])
    app.include_router(router)


async def _shown(request: Request, template: str, look: Callable[[Visitor], dict[str, Any]]) -> Response:
    try:
        visitor = await find_visitor(request)
        page = await run_in_threadpool(lambda: render(template, {**look(visitor), "visitor": visitor, "path": request.url.path}))
    except SignInNeededError as needed:
        return needed.answer()
    except SnapholdError as error:
        return await _told(request, error)
    return HTMLResponse(page)


async def _told(request: Request, error: SnapholdError, back: str = "/ui") -> Response:
    """Return the page of an error; a refusal is counted for the audit trail."""
    await note_refusal(request, status_of(error), error)
    return error_page(error, back)


async def _answer(id: str, request: Request) -> Response:
    """Take an answer to an approval request from its form."""
    try:
        visitor = await find_visitor(request)
        fields = await read_fields(request)
        check_form_key(visitor, fields)
        try:
            given = DecisionGiven.model_validate({"decision": fields.get("decision", ""), "reason": reason_given(fields)})
        except ValidationError as error:
            raise DocumentError("the answer is wrong", problems_of(error, None, DecisionGiven)) from error
        await run_in_threadpool(decide_approval, visitor.caller, id, given)
    except SignInNeededError as needed:
        await note_refusal(request, 401, RequestError(401, "nobody is signed in"))
        return needed.answer()
    except SnapholdError as error:
        return await _told(request, error, back=f"/ui/approvals/{id}")
    return RedirectResponse(f"/ui/approvals/{id}", 303)


async def _events(id: str, request: Request) -> Response:
    """Tell a browser whenever anything about a run changed."""
    try:
        visitor = await find_visitor(request)
    except SignInNeededError:
        await note_refusal(request, 401, RequestError(401, "nobody is signed in"))
        return Response(status_code=401)
    except SnapholdError as error:
        return await _told(request, error)
    if request.app.state.streams >= MOST_STREAMS:
        return Response(status_code=503, headers={"Retry-After": "30"})
    return StreamingResponse(_changes(request, visitor, id), media_type="text/event-stream")


async def _changes(request: Request, visitor: Visitor, id: str) -> AsyncIterator[str]:
    service, loop = visitor.caller.service, asyncio.get_running_loop()
    until, before = loop.time() + LONGEST_STREAM_SECONDS, ""
    request.app.state.streams += 1
    try:
        yield "retry: 3000\n\n"
        while loop.time() < until and not service.stopping.is_set() and not await request.is_disconnected():
            now = await run_in_threadpool(views.signature_of, visitor.caller, id)
            if now != before:
                yield f"event: change\ndata: {now}\n\n"
                before = now
            await asyncio.sleep(LOOK_EVERY_SECONDS)
    finally:
        request.app.state.streams -= 1


async def _sign_in_page(request: Request, next: Annotated[str, Query(max_length=500)] = "/ui") -> Response:
    return HTMLResponse(await run_in_threadpool(render, "sign_in.html", {"next": safe_target(next), "path": SIGN_IN}))


async def _sign_in(request: Request) -> Response:
    """Begin a session for whoever holds a token."""
    service: Service = request.app.state.service
    wanted = "/ui"
    try:
        fields = await read_fields(request)
        wanted = safe_target(fields.get("next", "/ui"))
        value, _ = await run_in_threadpool(begin_session, service, fields.get("token", "").strip(), source_of(request))
    except NotAuthorisedError as error:
        told = {"next": wanted, "path": SIGN_IN, "fault": error.what, "why": error.why or ""}
        return HTMLResponse(await run_in_threadpool(render, "sign_in.html", told), 401)
    except SnapholdError as error:
        return await _told(request, error)
    answer = RedirectResponse(wanted, 303)
    # Behind a proxy that does TLS the service itself is asked without it; its address for people tells.
    address = service.runtime.configuration.service.address
    secure = request.url.scheme == "https" or address.startswith("https://")
    seconds = int(LASTS.total_seconds())
    answer.set_cookie(COOKIE, value, max_age=seconds, path="/ui", httponly=True, samesite="strict", secure=secure)
    return answer


async def _sign_out(request: Request) -> Response:
    """End the session."""
    answer = RedirectResponse(SIGN_IN, 303)
    answer.delete_cookie(COOKIE, path="/ui")
    try:
        visitor = await find_visitor(request)
        check_form_key(visitor, await read_fields(request))
        await run_in_threadpool(end_session, visitor)
    except SignInNeededError:
        return answer
    except SnapholdError as error:
        return await _told(request, error)
    return answer


async def _static(name: str, request: Request) -> Response:
    if name not in STATIC:
        return await _told(request, RequestError(404, f"there is no file {name[:100]!r}"))
    data = files("snaphold.service.pages").joinpath("static").joinpath(name).read_bytes()
    return Response(data, media_type=STATIC[name])
