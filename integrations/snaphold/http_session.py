"""Calls to one vendor: its address, its retry policy, sign-in and renewal, circuit breaker, budget; typed answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from pydantic import TypeAdapter, ValidationError

from snaphold import http
from snaphold.errors import InputError, ProviderError, UnknownOutcomeError
from snaphold.http import Answer
from snaphold.http_guard import CallBudget, breaker_of
from snaphold.http_policy import RetryPolicy
from snaphold.secrets import redact

Parsed = TypeVar("Parsed")
Query = Mapping[str, str | int | Sequence[str]]
KEPT_CHARACTERS = 1000
"""How much of an answer that is not understood is kept, redacted, for whoever looks into it."""
_UNAUTHORISED, _BAD_REQUEST, _SERVER_ERROR = 401, 400, 500


def _nobody(_renew: bool) -> Mapping[str, str]:
    return {}


class Session:
    """Speaks to one vendor at one address.

    `authorise(renew)` returns the headers that prove who we are; it is asked with True after an answer 401, as often as
    the policy has renewals, and the call (which was refused, so nothing happened) is sent again.
    """

    def __init__(
        self,
        url: str,
        policy: RetryPolicy,
        budget: CallBudget,
        *,
        headers: Mapping[str, str] | None = None,
        authorise: Callable[[bool], Mapping[str, str]] = _nobody,
        ca_file: Path | None = None,
        timeout: float = http.DEFAULT_TIMEOUT_SECONDS,
        limit: int = http.ANSWER_LIMIT_BYTES,
    ) -> None:
        self.url = check_address(url)
        self.host = urlsplit(self.url).netloc
        if ca_file is not None and not ca_file.is_file():
            raise InputError(f"the certificate file {ca_file} does not exist", do="correct ca_file in snaphold.yaml")
        self._policy = policy
        self._budget = budget
        self._headers = dict(headers or {})
        self._authorise = authorise
        self._ca_file = ca_file
        self._timeout = timeout
        self._limit = limit

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        document: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        keyed: bool = False,
        signed: bool = True,
    ) -> Answer:
        """Return the answer to a call below the address, whatever its status.

        `document` is sent as JSON, `form` as a form. `keyed` says that the vendor itself tells a repeat of this write.
        `signed=False` sends no proof of who we are (sign-in itself). Raises NoAnswerError (see `sent`) or
        ProviderError; while the breaker is open, ProviderError without anything sent.
        """
        breaker = breaker_of(self.host)
        url = self.url + path + ("?" + urlencode(query, doseq=True) if query else "")
        for renewal in range(self._policy.renewals + 1):
            proof = (self._authorise if signed else _nobody)(renewal > 0)
            body, kind = _body(document, form)
            self._budget.take()
            breaker.enter()
            try:
                answer = http.send(
                    method,
                    url,
                    body=body,
                    headers={**self._headers, **kind, **proof, **(headers or {})},
                    timeout=self._timeout,
                    ca_file=self._ca_file,
                    limit=self._limit,
                    repeatable=keyed,
                    policy=self._policy,
                )
            except ProviderError:
                breaker.failed()
                raise
            breaker.failed() if answer.status >= _SERVER_ERROR else breaker.succeeded()
            if not signed or answer.status != _UNAUTHORISED or renewal == self._policy.renewals:
                return answer
        raise AssertionError("unreachable")  # the last renewal returns


def _body(document: Any, form: Mapping[str, str] | None) -> tuple[bytes | None, dict[str, str]]:
    if form is not None:
        return urlencode(form).encode("ascii"), {"Content-Type": "application/x-www-form-urlencoded"}
    if document is None:
        return None, {}
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8"), {"Content-Type": "application/json"}


def check_address(url: str) -> str:
    """Return the address without a slash at its end. Raises InputError unless it is https, or http on this machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise InputError("the address of an integration is wrong", redact(url), "write https://host/ without credentials")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise InputError(f"{parts.hostname} would be called without TLS", "credentials would be readable", "write https://")
    return url.rstrip("/")


def read_answer(answer: Answer, shape: type[Parsed], what: str) -> Parsed:
    """Return the JSON of an answer in its typed shape.

    Raises UnknownOutcomeError, with the beginning of the redacted body, when it has another shape: what the vendor did
    is then not known.
    """
    try:
        return TypeAdapter(shape).validate_json(answer.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UnknownOutcomeError(
            f"the answer about {what} is not understood",
            f"HTTP status {answer.status}; {place + ': ' if place else ''}{first['msg']}; it begins: {kept_text(answer)}",
            "look at the vendor's own pages; if this is a new version of it, report the answer",
        ) from error


def kept_text(answer: Answer) -> str:
    """Return the beginning of an answer's body, redacted."""
    return redact(answer.body.decode("utf-8", "backslashreplace"))[:KEPT_CHARACTERS]
