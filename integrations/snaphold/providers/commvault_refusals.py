"""Commvault's refusals, which mostly come inside HTTP 200: where its errorCode stands, and what it means."""

from __future__ import annotations

import json
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from snaphold.errors import NotAuthorisedError, ProviderError, SnapholdError
from snaphold.http import Answer
from snaphold.http_policy import COMMVAULT, asked_wait
from snaphold.http_session import kept_text, read_answer

OK = 200
ACCESS_DENIED = 5
"""The one errorCode whose meaning is known; all others are told with their text."""
_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 429, 500
Shape = TypeVar("Shape", bound=BaseModel)


def read(answer: Answer, shape: type[Shape], what: str) -> Shape:
    """Return a successful answer in its shape. Raises what `check` raises, UnknownOutcomeError for another shape."""
    check(answer, what)
    return read_answer(answer, shape, what)


def check(answer: Answer, what: str) -> None:
    """Raises the error for an answer that is no success, also when its status says 200."""
    if answer.status != OK:
        raise _refusal(answer, what)
    code, text = inner_error(answer)
    if code:
        raise _told(code, text, what)


def inner_error(answer: Answer) -> tuple[int, str]:
    """Return the errorCode inside an answer and its text, wherever Commvault put them; 0 when there is none."""
    try:
        told: Any = json.loads(answer.body)
    except ValueError:
        return 0, ""
    for box in _boxes(told):
        code = box.get("errorCode", 0)
        number = int(code) if str(code).lstrip("-").isdigit() else -1
        if number:
            return number, str(box.get("errorMessage") or box.get("errLogMessage") or box.get("errorString") or "").strip()
    return 0, ""


def _boxes(told: Any) -> list[dict[str, Any]]:
    """Return every object of an answer in which an errorCode may stand."""
    if not isinstance(told, dict):
        return []
    top = cast("dict[str, Any]", told)
    found = [top]
    for name in ("error", "response", "resp", "errList", "errors"):
        inner = top.get(name)
        for item in cast("list[Any]", inner if isinstance(inner, list) else [inner]):
            found += _boxes(item)
    return found


def _told(code: int, text: str, what: str) -> SnapholdError:
    why = f"errorCode {code}: {text or 'no text'}"
    if code == ACCESS_DENIED:
        return NotAuthorisedError(f"Commvault does not allow {what}", why, "give the integration's user the right for it")
    return ProviderError(f"Commvault refuses {what}", why, "look at the job controller and the event viewer")


def _refusal(answer: Answer, what: str) -> SnapholdError:
    _, text = inner_error(answer)
    why = f"HTTP status {answer.status}: {text or kept_text(answer)[:200]}"
    if answer.status == _UNAUTHORISED:
        return NotAuthorisedError(f"Commvault does not accept the sign-in ({what})", why, "check user and password")
    if answer.status == _FORBIDDEN:
        return NotAuthorisedError(f"Commvault does not allow {what}", why, "give the integration's user the right for it")
    if answer.status == _NOT_FOUND and not text:
        return ProviderError(
            f"this Commvault does not have the call for {what}",
            why,
            "check that url ends with /webconsole/api; V4 calls need a release of Commvault that has the V4 API",
        )
    if answer.status == _TOO_MANY:
        wait = asked_wait(answer.headers, COMMVAULT.resets)
        when = f"in {wait:.0f} s" if wait is not None else "later"
        return ProviderError(f"Commvault takes no more calls now ({what})", why, f"try again {when}", retryable=True)
    failed = answer.status >= _SERVER_ERROR
    return ProviderError(f"Commvault refuses {what}", why, "look at its event viewer", retryable=failed)
