"""The thin client of the Snaphold service: what the integrations of both SOARs and every other caller in Python use.

It checks inputs with the same models as the service, so that a wrong input is named before anything is sent. It never
takes a lost answer for a success: a write is repeated under its own key, and what stays open is an unknown outcome.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from snaphold import __version__, http
from snaphold.action import AnyAction, Effect, find_action
from snaphold.clock import parse_time
from snaphold.domain.incident import Incident
from snaphold.errors import InputError, ProviderError, UnknownOutcomeError
from snaphold.execute import validate
from snaphold.http import Answer
from snaphold.secrets import remember
from snaphold.soar.answers import Job, document_of, error_of, job_of, result_of

TIMEOUT_SECONDS = 25.0
"""Below the 30 s that a SOAR gives a command."""
_ANSWER_SECONDS = 5.0
"""How much earlier than the client's deadline the service is asked to answer."""
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,512}")
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_OK, _ACCEPTED = 200, 202
LONGEST_JUSTIFICATION = 2000


@dataclass(frozen=True)
class Health:
    """How the service is. `clock_difference` is its clock less ours, in seconds, to about half of `round_trip`."""

    status: str
    version: str
    time: datetime
    clock_difference: float
    round_trip: float


class ServiceClient:
    """Calls one Snaphold service with one token.

    `verify` is True, False (any certificate; not safe) or the path of the PEM file of the authority to trust. `timeout`
    is the whole time in seconds that one call may take, repeats included.
    """

    def __init__(self, url: str, token: str, verify: bool | str | Path = True, timeout: float = TIMEOUT_SECONDS) -> None:
        self.url = _check_url(url)
        if not _PRINTABLE.fullmatch(token):
            raise InputError("the token is not one", "it is empty or holds spaces", "paste what snaphold token create printed")
        remember(token)
        self._token = token
        self._ca_file = None if isinstance(verify, bool) else Path(verify)
        self._verify = verify if isinstance(verify, bool) else True
        if self._ca_file is not None and not self._ca_file.is_file():
            raise InputError(f"the certificate file {self._ca_file} does not exist", do="check the path")
        self._timeout = timeout

    def call(
        self,
        action: str,
        given: Mapping[str, Any],
        *,
        key: str = "",
        justification: str = "",
        incident: Incident | Mapping[str, Any] | str = "",
        wait: bool = True,
    ) -> dict[str, Any] | Job:
        """Carry out an action; return its result, or the job that goes on in the service.

        `key` (idempotency) and `justification` are needed for what writes; a repeat with the same key never does it
        twice. `incident` is the incident, or the id of one that the service has seen. Without `wait`, what can take
        long is answered with a job at once.

        Raises InputError, NotAuthorisedError, BusyError, ProviderError (nothing happened, or only reading failed) or
        UnknownOutcomeError (the answer was lost: repeat with the same key).
        """
        entry = find_action(action)
        body: dict[str, Any] = validate(entry, given).model_dump(mode="json", exclude_unset=True)
        if incident:
            body["incident"] = incident.model_dump(mode="json") if isinstance(incident, Incident) else incident
        headers = _headers(entry, key, justification)
        headers["Prefer"] = f"wait={max(1, round(self._timeout - _ANSWER_SECONDS))}" if wait else "respond-async"
        writes = entry.effect is not Effect.READS
        try:
            answer = self._send("POST", f"/v1/actions/{quote(action)}", body, headers, repeatable=True)
            document = document_of(answer)
            if answer.status == _OK:
                return result_of(document)
            if answer.status == _ACCEPTED:
                return job_of(document)
        except ProviderError as error:
            if not writes:
                raise
            raise UnknownOutcomeError(
                f"it is not known whether {action} happened",
                f"{error.what}: {error.why}",
                "repeat it with the same idempotency key; it is never done twice",
            ) from error
        raise error_of(document, answer.status)

    def job(self, id: str) -> Job:
        """Return where a job stands. Raises InputError when there is none of that id, ProviderError without an answer."""
        answer = self._send("GET", f"/v1/jobs/{quote(id, safe='')}")
        document = document_of(answer)
        if answer.status != _OK:
            raise error_of(document, answer.status)
        return job_of(document)

    def whoami(self) -> dict[str, Any]:
        """Return whom the token stands for: `person`, `roles`, `token`, `expires_at`. Raises NotAuthorisedError."""
        answer = self._send("GET", "/v1/whoami")
        document = document_of(answer)
        if answer.status != _OK:
            raise error_of(document, answer.status)
        return document

    def health(self) -> Health:
        """Return how the service is; needs no valid token. Raises ProviderError when it cannot be reached."""
        sent, began = datetime.now(timezone.utc), time.monotonic()
        answer = self._send("GET", "/healthz")
        took = time.monotonic() - began
        document = document_of(answer)
        try:
            there = parse_time(str(document["time"]))
            status, version = str(document["status"]), str(document["version"])
        except (KeyError, ValueError) as error:
            raise ProviderError("the health answer is not understood", f"{error}", "check the service's URL") from error
        difference = (there - sent).total_seconds() - took / 2
        return Health(status, version, there, round(difference, 3), round(took, 3))

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        repeatable: bool | None = None,
    ) -> Answer:
        told = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/json",
            "User-Agent": f"snaphold-client/{__version__}",
            **(headers or {}),
        }
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")
            told["Content-Type"] = "application/json"
        return http.send(
            method,
            self.url + path,
            body=data,
            headers=told,
            timeout=self._timeout,
            within=self._timeout,
            ca_file=self._ca_file,
            verify=self._verify,
            repeatable=repeatable,
        )


def _headers(entry: AnyAction, key: str, justification: str) -> dict[str, str]:
    if entry.effect is Effect.READS:
        return {}
    if not _KEY.fullmatch(key):
        raise InputError(f"{entry.name} needs an idempotency key", "at most 200 printable ASCII characters without spaces")
    text = " ".join(justification.split())
    if not text or len(text) > LONGEST_JUSTIFICATION:
        raise InputError(
            f"{entry.name} needs a justification",
            f"it changes something, and the audit trail says why (at most {LONGEST_JUSTIFICATION} characters)",
        )
    # Header values are ASCII; the service decodes percent-encoded UTF-8.
    return {"Idempotency-Key": key, "X-Snaphold-Justification": quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~")}


def _check_url(url: str) -> str:
    text = url.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InputError(f"{url!r} is not an address", str(error)) from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
        raise InputError(f"{url!r} is not the address of a service", do="write https://HOST:PORT")
    if parts.scheme == "http" and not _is_this_machine(host):
        raise InputError(f"{url} is not encrypted", "the token would be sent in the clear", "use https")
    return text


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
