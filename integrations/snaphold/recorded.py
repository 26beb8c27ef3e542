"""What the ledger keeps of an outcome: results and errors as JSON without secrets, and errors raised again from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from snaphold import errors
from snaphold.domain.outcome import Outcome
from snaphold.domain.value import Value
from snaphold.errors import BusyError, DocumentError, ProviderError, SnapholdError, TimedOutError, UnknownOutcomeError
from snaphold.secrets import redact

ERROR = "$error"
"""Marks a recorded error; no result can have a field of this name."""
Record = TypeVar("Record", bound=Value)


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome that an error of an action stands for.

    A refusal that says so is `failed`. A lost answer, a passed deadline and every unforeseen fault are `unknown`.
    """
    if not isinstance(error, SnapholdError) or isinstance(error, (UnknownOutcomeError, TimedOutError)):
        return Outcome.UNKNOWN
    return Outcome.FAILED


def record_error(error: SnapholdError, outcome: Outcome) -> dict[str, Any]:
    """Return an error as the ledger keeps it, without secrets."""
    told: dict[str, Any] = {"type": _kind(error), "what": error.what, "why": error.why, "do": error.do}
    if isinstance(error, ProviderError):
        told["retryable"] = error.retryable
    return {"outcome": outcome.value, ERROR: redact_document(told)}


def is_error(result: Mapping[str, Any]) -> bool:
    """Return whether a recorded result is an error."""
    return ERROR in result


def is_busy(result: Mapping[str, Any]) -> bool:
    """Return whether a recorded result is a BusyError: nothing happened because something else was in the way."""
    return bool(result.get(ERROR, {}).get("type") == BusyError.__name__)


def restore_error(result: Mapping[str, Any], action: str) -> SnapholdError:
    """Return the recorded error to raise again: a failure as it was, everything else as UnknownOutcomeError."""
    told = result[ERROR]
    what, why, do = told.get("what", ""), told.get("why"), told.get("do")
    if result.get("outcome") != Outcome.FAILED.value:
        return UnknownOutcomeError(
            f"it is not known whether {action} happened",
            "; ".join(part for part in (f"an earlier attempt ended so: {what}", why) if part),
            "check by hand, then ask for a new generation",
        )
    kind = getattr(errors, str(told.get("type")), SnapholdError)
    if kind is ProviderError:
        return ProviderError(what, why, do, retryable=bool(told.get("retryable")))
    known = isinstance(kind, type) and issubclass(kind, SnapholdError) and not issubclass(kind, DocumentError)
    return cast("type[SnapholdError]", kind)(what, why, do) if known else SnapholdError(what, why, do)


def _kind(error: SnapholdError) -> str:
    """Return the nearest class of the one tree that is made from what, why and do alone."""
    for kind in type(error).__mro__:
        if kind.__module__ == errors.__name__ and not issubclass(kind, DocumentError):
            return kind.__name__
    return SnapholdError.__name__


def redact_document(document: Any) -> Any:
    """Return JSON data with every secret in its text hidden."""
    if isinstance(document, str):
        return redact(document)
    if isinstance(document, dict):
        return {name: redact_document(value) for name, value in cast("dict[str, Any]", document).items()}
    if isinstance(document, list):
        return [redact_document(value) for value in cast("list[Any]", document)]
    return document


def redact_record(record: Record) -> Record:
    """Return a register record with every secret in its text hidden."""
    fields = record.model_dump(mode="json")
    for clean in (redact_document(fields), _redact_sentences(fields)):
        if clean == fields:
            return record
        try:
            return type(record).model_validate(clean)
        except ValidationError:
            # A secret that equals a name of ours (a pool called like its password) cannot be hidden in that name.
            continue
    return record


def _redact_sentences(document: Any) -> Any:
    if isinstance(document, str):
        return redact(document) if " " in document else document
    if isinstance(document, dict):
        return {name: _redact_sentences(value) for name, value in cast("dict[str, Any]", document).items()}
    if isinstance(document, list):
        return [_redact_sentences(value) for value in cast("list[Any]", document)]
    return document
