"""Reads what the service answers. Whatever is not clearly a result is an error; for a write it is an unknown outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from snaphold import errors
from snaphold.domain.outcome import Outcome
from snaphold.errors import InputError, NotAuthorisedError, ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.http import Answer

PROBLEM_TYPE = "urn:snaphold:problem:"
RUNNING, DONE, FAILED, UNKNOWN = "running", "done", "failed", "unknown"
JOB_STATES = (RUNNING, DONE, FAILED, UNKNOWN)
_BY_STATUS: dict[int, type[SnapholdError]] = {400: InputError, 401: NotAuthorisedError, 403: NotAuthorisedError,
    404: InputError, 413: InputError, 415: InputError, 422: InputError}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """Work that goes on in the service. `result` is there when it is `done`, `error` when it `failed` or is `unknown`."""

    id: str
    action: str
    state: str
    result: dict[str, Any] | None = None
    error: SnapholdError | None = None

    @property
    def has_ended(self) -> bool:
        """Whether asking again would tell nothing new."""
        return self.state != RUNNING


def document_of(answer: Answer) -> dict[str, Any]:
    """Return the JSON object of an answer. Raises ProviderError when it is none."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind not in ("application/json", "application/problem+json"):
            raise ValueError(f"its content type is {kind or 'not given'}")
        document: Any = json.loads(answer.body.decode("utf-8"))
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ProviderError(
            "the answer does not come from a Snaphold service", f"status {answer.status}; {error}", "check the service's URL"
        ) from error
    return cast("dict[str, Any]", document)


def result_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action's result. Raises ProviderError when it has none of the four outcomes."""
    if document.get("outcome") not in [outcome.value for outcome in Outcome]:
        raise ProviderError("the service answers without an outcome", "a result says succeeded, partial, failed or unknown")
    return dict(document)


def job_of(document: Mapping[str, Any]) -> Job:
    """Return a job. Raises ProviderError when the document describes none."""
    id, action, state = (document.get(name) for name in ("id", "action", "state"))
    if not isinstance(id, str) or not isinstance(action, str) or state not in JOB_STATES:
        raise ProviderError("the service's answer about a job is not understood", f"id {id!r}, state {state!r}")
    if state == DONE:
        return Job(id, action, DONE, result_of(_mapping(document.get("result"))))
    if state == RUNNING:
        return Job(id, action, RUNNING)
    return Job(id, action, str(state), error=error_of(_mapping(document.get("problem")), 0, unknown=state == UNKNOWN))


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def error_of(document: Mapping[str, Any], status: int, *, unknown: bool = False) -> SnapholdError:
    """Return the error that a problem document stands for, with what, why and do."""
    what = str(document.get("detail") or document.get("title") or f"the service answers with status {status}")
    why = str(document["why"]) if document.get("why") else None
    do = str(document["do"]) if document.get("do") else None
    if unknown or document.get("outcome") == Outcome.UNKNOWN.value:
        return UnknownOutcomeError(what, why, do)
    kind: Any = getattr(errors, _class_name(str(document.get("type", ""))), None)
    if not (isinstance(kind, type) and issubclass(kind, SnapholdError)) or issubclass(kind, errors.DocumentError):
        kind = _BY_STATUS.get(status, ProviderError)
    return cast("SnapholdError", kind(what, why, do))


def _class_name(type_text: str) -> str:
    """Return the name of the error class behind a problem type: `urn:snaphold:problem:not-authorised`."""
    if not type_text.startswith(PROBLEM_TYPE):
        return ""
    return "".join(part.capitalize() for part in type_text.removeprefix(PROBLEM_TYPE).split("-")) + "Error"
