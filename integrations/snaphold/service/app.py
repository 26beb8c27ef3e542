"""The application: routes, errors as problem documents, and the headers that every answer carries."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snaphold import __version__
from snaphold.action import AnyAction, catalogue
from snaphold.clock import format_time
from snaphold.errors import DocumentError, Problem, SnapholdError
from snaphold.service import actions, approvals, evidence, registers, run_control, runs, webhooks
from snaphold.service.callers import Authenticated, Service, note_refusal
from snaphold.service.description import action_operation, archive_operation, describe_api, metrics_operation, operation_of
from snaphold.service.metrics import CONTENT_TYPE, Metrics
from snaphold.service.openapi_3_0 import in_openapi_3_0
from snaphold.service.pages.routes import PAGE_POLICY, add_pages
from snaphold.service.problems import MEDIA_TYPE, RequestError, problem_of, status_of, unforeseen
from snaphold.service.readiness import Readiness

log = logging.getLogger(__name__)
NO_ADDRESS = "http://127.0.0.1:8080"
"""Stands in the description when the configuration does not say how the service is reached."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def build_app(service: Service, given: Mapping[str, AnyAction] | None = None) -> FastAPI:
    """Return the application of a service, with the actions of the catalogue unless others are given."""
    known = catalogue() if given is None else given
    address = service.runtime.configuration.service.address if service.runtime else ""
    servers = [{"url": address or NO_ADDRESS}]
    app = FastAPI(
        title="Snaphold", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False, servers=servers,
        root_path_in_servers=False,
    )  # fmt: skip
    app.state.service = service
    app.state.metrics = metrics = Metrics(service.runtime)

    async def health() -> JSONResponse:
        """Say that the service answers, its version and its time; needs no token."""
        told = {"status": "ok", "version": __version__, "time": format_time(service.runtime.clock.now())}
        return JSONResponse(told)

    readiness = Readiness(service.runtime, service.driver)

    async def ready() -> JSONResponse:
        """Say whether the service can do its work now; needs no token."""
        faults = await run_in_threadpool(readiness.faults)
        if faults:
            raise RequestError(503, "the service is not ready", "; ".join(faults), "the service's log has the details")
        return JSONResponse({"status": "ready", "version": __version__, "time": format_time(service.runtime.clock.now())})

    async def whoami(caller: Authenticated) -> JSONResponse:
        """Say whom the token stands for."""
        token = caller.token
        return JSONResponse(
            {"person": caller.actor.id, "name": caller.actor.name, "roles": list(caller.actor.roles), "token": token.id,
             "expires_at": format_time(token.expires_at), "may_approve": token.may_approve,
             "may_use_grants": token.may_use_grants}
        )  # fmt: skip

    async def show_metrics(_caller: Authenticated) -> Response:
        """Return the metrics for Prometheus, which sends a token of its own."""
        return Response(await run_in_threadpool(metrics.written), media_type=CONTENT_TYPE)

    app.add_api_route("/metrics", show_metrics, methods=["GET"], **metrics_operation())
    app.add_api_route("/healthz", health, methods=["GET"], **operation_of("health"))
    app.add_api_route("/readyz", ready, methods=["GET"], **operation_of("ready"))
    app.add_api_route("/v1/whoami", whoami, methods=["GET"], **operation_of("whoami"))
    for entry in known.values():
        path = f"/v1/actions/{entry.name}"
        app.add_api_route(path, actions.action_endpoint(entry), methods=["POST"], **action_operation(entry))
    app.add_api_route("/v1/jobs/{id}", actions.show_job, methods=["GET"], **operation_of("show_job"))
    app.add_api_route("/v1/approvals", approvals.list_approvals, methods=["GET"], **operation_of("list_approvals"))
    app.add_api_route("/v1/approvals/{id}", approvals.answer_approval, methods=["POST"], **operation_of("answer_approval"))
    app.add_api_route("/v1/runs", runs.list_runs, methods=["GET"], **operation_of("list_runs"))
    app.add_api_route("/v1/runs", runs.start_run, methods=["POST"], **operation_of("start_run"))
    app.add_api_route("/v1/runs/{id}", runs.show_run, methods=["GET"], **operation_of("show_run"))
    app.add_api_route("/v1/runs/{id}/cancel", run_control.cancel, methods=["POST"], **operation_of("cancel_run"))
    app.add_api_route("/v1/runs/{id}/resume", run_control.resume, methods=["POST"], **operation_of("resume_run"))
    app.add_api_route("/v1/registers/{kind}", registers.list_register, methods=["GET"], **operation_of("list_register"))
    app.add_api_route("/v1/evidence/{id}/archive", evidence.download_evidence, methods=["GET"], **archive_operation())
    app.add_api_route("/v1/webhooks/{name}", webhooks.receive_delivery, methods=["POST"], **operation_of("receive_delivery"))
    add_pages(app)
    app.openapi = lambda: describe_api(app, known)

    async def older_description() -> JSONResponse:
        """Return the description in OpenAPI 3.0."""
        return JSONResponse(await run_in_threadpool(lambda: in_openapi_3_0(app.openapi())))

    app.add_api_route("/openapi-3.0.json", older_description, methods=["GET"], include_in_schema=False)
    app.add_exception_handler(SnapholdError, _told)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(_Envelope)
    return app


async def _told(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SnapholdError)  # noqa: S101  the handler is registered for it
    headers = error.headers if isinstance(error, RequestError) else None
    status = status_of(error)
    if status >= 500:  # noqa: PLR2004
        log.error("%s: %s", error.what, error.why)
    await note_refusal(request, status, error)
    return JSONResponse(problem_of(error), status, headers, MEDIA_TYPE)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    """Answer what no route takes: 404, 405."""
    assert isinstance(error, HTTPException)  # noqa: S101  the handler is registered for it
    do = "GET /openapi.json lists what there is"
    told = RequestError(error.status_code, str(error.detail), do=do, headers=dict(error.headers or {}))
    await note_refusal(request, told.status, told)
    return JSONResponse(problem_of(told), told.status, told.headers, MEDIA_TYPE)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Answer a query parameter that is wrong."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  the handler is registered for it
    faults = [Problem(str(item["msg"]), ".".join(str(part) for part in item["loc"])) for item in error.errors()]
    told = DocumentError("the request is wrong", faults)
    await note_refusal(request, 422, told)
    return JSONResponse(problem_of(told), 422, None, MEDIA_TYPE)


class _Envelope:
    """Around every request: its id, the headers of every answer, one line in the log, and the last catch of all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        id, began, status = f"R-{uuid.uuid4().hex[:12]}", time.monotonic(), [0]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                headers = MutableHeaders(scope=message)
                policy = {"Content-Security-Policy": PAGE_POLICY} if str(scope.get("path", "")).startswith("/ui") else {}
                for name, value in {**_HEADERS, **policy, "X-Request-Id": id}.items():
                    headers[name] = value
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            log.info("%s: the client went away before its request was whole", id)
        except Exception:
            log.exception("%s: unforeseen fault", id)
            if status[0]:
                raise  # half an answer is out; the connection is closed, so that nobody takes it for a whole one
            answer = JSONResponse(unforeseen(id), 500, media_type=MEDIA_TYPE)
            await answer(scope, receive, send_with_headers)
        milliseconds = (time.monotonic() - began) * 1000
        route: Any = scope.get("route")
        scope["app"].state.metrics.note_request(scope["method"], route.path if route else "none", status[0], milliseconds / 1000)
        log.info("%s %s %s %d %.0f ms", id, scope["method"], _plain(scope), status[0], milliseconds)


def _plain(scope: Scope) -> str:
    """Return the path as it can stand in one line of a log; the query may hold anything and is left out."""
    path: Any = scope.get("path", "")
    return str(path)[:200].encode("unicode_escape").decode("ascii")
