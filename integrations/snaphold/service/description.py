"""The description of the API (OpenAPI 3.1): every action from the catalogue, with the examples of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode

from snaphold.action import AnyAction, Effect
from snaphold.domain.authority import Approval
from snaphold.domain.incident import Incident
from snaphold.domain.value import IDENTIFIER_PATTERN, Moment
from snaphold.engine.run import Run
from snaphold.fields import schema_of
from snaphold.service.approvals import DecisionGiven
from snaphold.service.callers import BEARER
from snaphold.service.evidence import MEDIA_TYPE as ARCHIVE
from snaphold.service.problems import MEDIA_TYPE, title_of
from snaphold.service.records import JobState
from snaphold.service.registers import RegisterPage
from snaphold.service.runs import RunWanted

SCHEMAS = "#/components/schemas/"
TOO_MANY = 429
SIGNATURE = "WebhookSignature"


class FieldFault(BaseModel):
    """One fault of an input."""

    field: str
    message: str


class ProblemDocument(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="What kind of error, as a URN; about:blank when the status says it all.")
    title: str
    status: int
    detail: str = Field(description="What happened.")
    why: str = ""
    do: str = Field(default="", description="What the reader can do.")
    outcome: str = Field(default="", description="failed or unknown, when an action was tried.")
    errors: list[FieldFault] = Field(default=[], description="Every faulty field.")
    id: str = Field(default="", description="Where the service's log has more.")


class JobShown(BaseModel):
    """Work that goes on after its request was answered."""

    id: str = Field(examples=["CALL-0123456789abcdef"])
    incident: str
    action: str
    key: str
    requested_by: str
    requested_at: Moment
    state: JobState = Field(description="done: there is a result, whatever its outcome. unknown: look it up.")
    ended_at: Moment | None
    result: dict[str, Any] | None
    problem: ProblemDocument | None


class ApprovalShown(Approval):
    """An approval request, with who may answer it."""

    may_answer: tuple[str, ...]


class RunShown(Run):
    """A run. `steps` is left out in lists."""

    driven: bool = Field(description="Whether a process drives it now.")


class ApprovalList(BaseModel):
    """A page of approval requests."""

    approvals: list[ApprovalShown] = Field(description="The newest first.")
    next: str = Field(description="The cursor of the next page; empty after the last one.")


class RunList(BaseModel):
    """A page of runs."""

    runs: list[RunShown] = Field(description="The newest first.")
    next: str = Field(description="The cursor of the next page; empty after the last one.")


class DeliveryShown(BaseModel):
    """What became of a delivery at the door."""

    state: str = Field(description="accepted, known (told before) or ignored.", examples=["accepted"])
    why: str = Field(default="", description="Why it was left alone.")
    delivery: str = Field(default="", examples=["HOOK-0123456789ab"])
    incident: str = Field(default="", examples=["INC-2026-0042"])


class HealthShown(BaseModel):
    """How the service is."""

    status: str = Field(examples=["ok"])
    version: str
    time: Moment


class CallerShown(BaseModel):
    """Whom a token stands for."""

    person: str
    name: str
    roles: list[str]
    token: str
    expires_at: Moment
    may_approve: bool
    may_use_grants: bool


def _header(name: str, description: str, example: str, *, required: bool = True, longest: int = 2000) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": longest}
    if name == "Idempotency-Key":
        schema["pattern"] = "^[!#-~]{1,200}$"
    elif name == "X-Snaphold-Justification":
        schema["pattern"] = "^[!-$&-~]([ -$&-~]*[!-$&-~])?$"
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema,
            "example": example}  # fmt: skip


_KEY = _header("Idempotency-Key", "The same for a repeat of this deed, new for a new one.",
               "INC-2026-0042/snapshot/orders-db/1", longest=200)  # fmt: skip
_WHY = _header("X-Snaphold-Justification", "Why; kept in the audit trail. Beyond ASCII: percent-encoded UTF-8.",
               "Ransomware, INC-2026-0042")  # fmt: skip
_INCIDENT = _header("X-Snaphold-Incident", "The id of an incident that was sent before, instead of `incident` in the body.",
                    "INC-2026-0042", required=False, longest=128)  # fmt: skip
_PREFER = _header("Prefer", "`wait=SECONDS` or `respond-async` (RFC 7240).", "wait=20", required=False, longest=100)
_ERRORS_OF_ACTION = (400, 401, 403, 408, 409, 413, 415, 422, 424, 500, 503, 507)
_ERRORS_OF_READ = (401, 403, 404, 422, 500, 503, 507)
_ERRORS_OF_CONTROL = (400, 401, 403, 404, 409, 422, 424, 500, 503, 507)
_SHOWN: dict[str, tuple[str, str, type[BaseModel], tuple[int, ...]]] = {
    "health": ("service", "How the service is", HealthShown, (500,)),
    "ready": ("service", "Whether the service can work: database and disk", HealthShown, (500, 503)),
    "whoami": ("service", "Whom the token stands for", CallerShown, (401, 500, 503, 507)),
    "show_job": ("jobs", "Where a job stands", JobShown, _ERRORS_OF_READ),
    "list_approvals": ("approvals", "Approval requests", ApprovalList, (401, 422, 500, 503, 507)),
    "answer_approval": ("approvals", "Approve or deny", ApprovalShown, (*_ERRORS_OF_ACTION, 404)),
    "list_runs": ("runs", "Runs", RunList, (401, 422, 500, 503, 507)),
    "start_run": ("runs", "Start a playbook", RunShown, _ERRORS_OF_ACTION),
    "receive_delivery": (
        "webhooks",
        "Take a delivery of a webhook",
        DeliveryShown,
        (400, 401, 404, 408, 413, 415, 422, 500, 503, 507),
    ),
    "show_run": ("runs", "A run with its steps", RunShown, _ERRORS_OF_READ),
    "cancel_run": ("runs", "Cancel a run", RunShown, _ERRORS_OF_CONTROL),
    "resume_run": ("runs", "Take up a run again", RunShown, _ERRORS_OF_CONTROL),
    "list_register": ("registers", "A page of a register", RegisterPage, (401, 422, 500, 503, 507)),
}
_BODIES: dict[str, type[BaseModel]] = {"answer_approval": DecisionGiven, "start_run": RunWanted}


def metrics_operation() -> dict[str, Any]:
    """Return what describes `/metrics`, as arguments of `add_api_route`: text, not JSON."""
    shown = {"description": "Metrics for Prometheus", "content": {"text/plain": {"schema": {"type": "string"}}}}
    responses: dict[int, dict[str, Any]] = {200: shown, **_problems((401, 500, 503, 507))}
    told: dict[str, Any] = {"operation_id": "metrics", "summary": "Metrics for Prometheus", "tags": ["service"]}
    return {**told, "responses": responses, "response_class": PlainTextResponse}


def archive_operation() -> dict[str, Any]:
    """Return what describes the download of evidence, as arguments of `add_api_route`: a tar file, not JSON."""
    shown = {"description": "The package", "content": {ARCHIVE: {"schema": {"type": "string", "format": "binary"}}}}
    responses: dict[int, dict[str, Any]] = {200: shown, **_problems((400, 401, 403, 404, 422, 424, 500, 503, 507))}
    told: dict[str, Any] = {"operation_id": "download_evidence", "summary": "A sealed package as a tar file"}
    extra = {"parameters": [_WHY]}
    return {**told, "tags": ["evidence"], "responses": responses, "response_class": Response, "openapi_extra": extra}


def operation_of(name: str) -> dict[str, Any]:
    """Return what describes one of the fixed routes, as arguments of `add_api_route`."""
    tag, summary, model, errors = _SHOWN[name]
    responses: dict[int, dict[str, Any]] = {200: _json_response(summary, _ref(model)), **_problems(errors)}
    told: dict[str, Any] = {"operation_id": name, "summary": summary, "tags": [tag], "responses": responses}
    if name == "start_run":
        responses[202] = _json_response("It was started", _ref(model), location=True)
        told["status_code"] = 202
    if name == "receive_delivery":
        responses[202] = _json_response("It is recorded, and is being worked on", _ref(model))
        told["openapi_extra"] = {
            "requestBody": _json_body({"type": "object"}, {}), "security": [{BEARER: []}, {SIGNATURE: []}],
        }  # fmt: skip
    if name in ("cancel_run", "resume_run"):
        responses[202] = _json_response("It is on its way", _ref(model), location=True)
        told["openapi_extra"] = {"parameters": [_WHY]}
    if name in _BODIES:
        body = _json_body({"$ref": _ref(_BODIES[name])}, _example(_BODIES[name]))
        told["openapi_extra"] = {"requestBody": body, **({"parameters": [_WHY]} if name == "start_run" else {})}
    return told


def action_operation(entry: AnyAction) -> dict[str, Any]:
    """Return what describes the route of an action, as arguments of `add_api_route`."""
    writes = entry.effect is not Effect.READS
    example = {**_example(entry.request), "incident": _example(Incident)}
    result = _ref(entry.result)
    done = _json_response("The result", result)
    done["content"]["application/json"]["example"] = entry.example_result().model_dump(mode="json")
    responses = {200: done, 202: _json_response("It goes on as a job", _ref(JobShown), location=True),
                 **_problems(_ERRORS_OF_ACTION)}  # fmt: skip
    extra = {
        "requestBody": _json_body({"$ref": f"{SCHEMAS}{entry.request.__name__}"}, example),
        "parameters": [*([_KEY, _WHY] if writes else []), _INCIDENT, _PREFER],
        "x-snaphold-effect": entry.effect.value,
    }
    return {
        "operation_id": entry.name,
        "summary": entry.title,
        "tags": [entry.name.partition(".")[0]],
        "responses": responses,
        "openapi_extra": extra,
    }


def describe_api(app: FastAPI, actions: Mapping[str, AnyAction]) -> dict[str, Any]:
    """Return the OpenAPI document of the application; made once."""
    if app.openapi_schema is None:
        about = (
            "Incident backups: every action of Snaphold, with tokens, jobs, approvals and runs. "
            "Errors are problem documents (RFC 9457)."
        )
        document = get_openapi(
            title=app.title, version=app.version, openapi_version="3.1.0", routes=app.routes, servers=app.servers,
            description=about,
        )  # fmt: skip
        document["components"].setdefault("schemas", {}).update(_schemas(actions))
        document["components"].setdefault("securitySchemes", {})[SIGNATURE] = {
            "type": "apiKey", "in": "header", "name": "X-Snaphold-Signature",
            "description": "v1=HEX: HMAC-SHA256 of the body; PagerDuty sends X-PagerDuty-Signature.",
        }  # fmt: skip
        document["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
        app.openapi_schema = document
    return app.openapi_schema


def _schemas(actions: Mapping[str, AnyAction]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for model in (
        DeliveryShown,
        HealthShown,
        CallerShown,
        JobShown,
        ApprovalList,
        ApprovalShown,
        RunList,
        RunShown,
        ProblemDocument,
    ):
        _add(found, model, "serialization")
    for model in (Incident, DecisionGiven, RunWanted):
        _add(found, model, "validation")
    _add(found, RegisterPage, "serialization")
    for entry in actions.values():
        _add(found, entry.result, "serialization")
        body = _add(found, entry.request, "validation")
        for shape in body.get("properties", {}).values():
            if shape.get("type") == "array":  # a list may come as text with commas, because both SOARs pass text
                shape["anyOf"] = [{"type": "array", "items": shape.pop("items")}, {"type": "string"}]
                shape.pop("type")
        body.setdefault("properties", {})["incident"] = {
            "description": "The incident, or the id of one that was sent before.",
            "anyOf": [{"$ref": f"{SCHEMAS}Incident"}, {"type": "string", "pattern": IDENTIFIER_PATTERN}],
        }
    return found


def _add(found: dict[str, Any], model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
    """Add a model's schema and those that it refers to, and return it.

    A part whose name already stands for something else gets the model's name in front. Raises ValueError when two
    different models have one name.
    """
    schema = schema_of(model, mode)
    parts: dict[str, Any] = schema.pop("$defs", {})
    same = {name: name for name in parts}
    names = {
        name: name if found.get(name, _moved(part, same)) == _moved(part, same) else f"{model.__name__}.{name}"
        for name, part in parts.items()
    }
    for name, part in [(model.__name__, schema), *((names[name], part) for name, part in parts.items())]:
        moved = _moved(part, names)
        if found.setdefault(name, moved) != moved:
            raise ValueError(f"two schemas are called {name}")
    return found[model.__name__]


def _moved(schema: Any, names: Mapping[str, str]) -> Any:
    """Return a schema whose references lead to the components of the API."""
    if isinstance(schema, dict):
        fields = cast("dict[str, Any]", schema)
        return {
            name: SCHEMAS + names[str(value).removeprefix("#/$defs/")] if name == "$ref" else _moved(value, names)
            for name, value in fields.items()
        }
    return [_moved(part, names) for part in cast("list[Any]", schema)] if isinstance(schema, list) else schema


def _ref(model: type[BaseModel]) -> str:
    return f"{SCHEMAS}{model.__name__}"


def _example(model: type[BaseModel]) -> dict[str, Any]:
    found = {name: info.examples[0] for name, info in model.model_fields.items() if info.examples}
    return {name: value for name, value in found.items() if value not in ("", [])}


def _json_body(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _json_response(description: str, ref: str, *, location: bool = False) -> dict[str, Any]:
    told: dict[str, Any] = {"description": description, "content": {"application/json": {"schema": {"$ref": ref}}}}
    if location:
        told["headers"] = {"Location": {"schema": {"type": "string"}, "description": "Where to ask how it stands."}}
    return told


def _problems(statuses: tuple[int, ...]) -> dict[int, dict[str, Any]]:
    """Return the answers of these statuses; who can be refused as unknown can also be told to slow down."""
    content = {MEDIA_TYPE: {"schema": {"$ref": _ref(ProblemDocument)}}}
    limited = (*statuses, TOO_MANY) if 401 in statuses else statuses  # noqa: PLR2004
    return {status: {"description": title_of(status), "content": content} for status in sorted(limited)}
