"""Errors as RFC 9457 problem documents: what happened, why, what to do, and whether anything took effect."""

from __future__ import annotations

import re
from typing import Any

from snaphold import errors
from snaphold.domain.outcome import Outcome
from snaphold.errors import DocumentError, NotAuthorisedError, SnapholdError
from snaphold.recorded import redact_document
from snaphold.secrets import redact

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:snaphold:problem:"
ACTION_DID_NOT_SUCCEED = 424
"""The request was good and the action was tried: a product, a host or the evidence let it down. `outcome` says more."""
MOST_FAULTS_SHOWN = 50
_STATUSES: tuple[tuple[type[SnapholdError], int], ...] = (
    (errors.BusyError, 409),
    (errors.NotAuthorisedError, 403),
    (errors.InputError, 422),
    (errors.LedgerError, 503),
    (errors.StorageError, 507),
)
_TITLES = {
    400: "The request is malformed", 401: "A valid token is needed", 403: "Not authorised", 404: "Not found",
    405: "Method not allowed", 408: "The request came too slowly", 409: "It is being worked on, or exists already",
    413: "The body is too large", 415: "Only JSON is understood", 422: "The input is wrong",
    424: "The action did not succeed", 429: "Too many requests", 500: "Something unforeseen went wrong",
    503: "The service cannot do it now", 507: "The storage refused",
}  # fmt: skip


class RequestError(SnapholdError):
    """A request that is refused before it means anything. `status` is the HTTP status.

    `recorded` says that whoever raises it counts it for the audit trail already.
    """

    def __init__(
        self, status: int, what: str, why: str | None = None, do: str | None = None, headers: dict[str, str] | None = None,
        *, recorded: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(what, why, do)
        self.status = status
        self.headers = headers or {}
        self.recorded = recorded


class RecordedRefusalError(NotAuthorisedError):
    """A refusal that has an entry of its own in the audit trail already."""


def is_recorded(error: SnapholdError) -> bool:
    """Return whether a refusal stands in the audit trail already, or is counted for it."""
    return isinstance(error, RecordedRefusalError) or (isinstance(error, RequestError) and error.recorded)


def is_refusal(status: int) -> bool:
    """Return whether a status tells that a request was refused: not that an action was tried, nor that we are at fault."""
    return 400 <= status < 500 and status != ACTION_DID_NOT_SUCCEED  # noqa: PLR2004


def status_of(error: SnapholdError) -> int:
    """Return the HTTP status of an error; 424 for an action that was tried and did not succeed."""
    if isinstance(error, RequestError):
        return error.status
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), ACTION_DID_NOT_SUCCEED)


def problem_of(error: SnapholdError, outcome: Outcome | None = None) -> dict[str, Any]:
    """Return the problem document of an error, without secrets. `outcome` is there when an action was tried."""
    status = status_of(error)
    told: dict[str, Any] = {
        "type": "about:blank" if isinstance(error, RequestError) else TYPE_PREFIX + _slug(error),
        "title": title_of(status),
        "status": status,
        "detail": error.what,
        "why": error.why or "",
        "do": error.do or "",
    }
    if status == ACTION_DID_NOT_SUCCEED:
        told["outcome"] = (outcome or _outcome(error)).value
    if isinstance(error, DocumentError):
        told["errors"] = [{"field": one.field, "message": one.message + (f" ({one.hint})" if one.hint else "")}
                          for one in error.problems[:MOST_FAULTS_SHOWN]]  # fmt: skip
    return redact_document(told)


def title_of(status: int) -> str:
    """Return the title that all problems of a status have."""
    return _TITLES.get(status, "The request failed")


def unforeseen(id: str) -> dict[str, Any]:
    """Return the problem document of a fault of the program; the log has the rest under `id`."""
    return {
        "type": "about:blank",
        "title": title_of(500),
        "status": 500,
        "detail": "a fault of the program",
        "why": f"the service's log has the details under {id}",
        "do": "look up what took effect before you repeat it: the same idempotency key never does it twice",
        "id": id,
    }


def _outcome(error: SnapholdError) -> Outcome:
    unknown = isinstance(error, (errors.UnknownOutcomeError, errors.TimedOutError))
    return Outcome.UNKNOWN if unknown else Outcome.FAILED


def _slug(error: SnapholdError) -> str:
    """Return the error's class as the last part of a type: NotAuthorisedError is `not-authorised`."""
    for kind in type(error).__mro__:
        if kind.__module__ == errors.__name__:
            name = kind.__name__.removesuffix("Error")
            return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", redact(name)).lower()
    return "snaphold"
