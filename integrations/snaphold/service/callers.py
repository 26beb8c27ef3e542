"""Who calls: the token of a request, recognised; and what every part of the service shares."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from snaphold.domain.people import Actor
from snaphold.errors import LedgerError, NotAuthorisedError, SnapholdError, StorageError
from snaphold.runtime import Runtime
from snaphold.secrets import redact
from snaphold.service.inbox import Inbox
from snaphold.service.jobs import JobBoard
from snaphold.service.limits import LIMIT, Limits
from snaphold.service.problems import RequestError, is_recorded, is_refusal
from snaphold.service.records import ApiToken
from snaphold.service.refusals import REFUSE, RefusalLog
from snaphold.service.run_driver import RunDriver
from snaphold.service.tokens import note_use, recognise
from snaphold.webhooks.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)
LONGEST_WAIT_SECONDS = 20.0
"""After this a request is answered with a job; below the 30 s that a SOAR gives a command."""
BEARER = "BearerAuth"
"""The name of the scheme in the description: by it, and only by it, Shuffle knows that a bearer token is needed."""
_bearer = HTTPBearer(
    auto_error=False, scheme_name=BEARER, bearerFormat="snh_...", description="snaphold token create --person PERSON"
)


@dataclass(frozen=True)
class Service:
    """What the service's requests share. The runtime's own actor is never used for a request."""

    runtime: Runtime
    config: Path
    jobs: JobBoard
    refusals: RefusalLog
    inbox: Inbox
    receivers: Mapping[str, Receiver] = field(default_factory=dict[str, Receiver])
    longest_wait: float = LONGEST_WAIT_SECONDS
    limits: Limits = field(default_factory=Limits)
    stopping: threading.Event = field(default_factory=threading.Event)
    driver: RunDriver | None = None
    """The process that drives runs; None when workers do."""

    def ring(self) -> None:
        """Have whoever drives runs look at once for what is new; workers look by themselves."""
        if self.driver is not None:
            self.driver.ring()


@dataclass(frozen=True)
class Caller:
    """The person behind a request, the token that was shown, and the service."""

    actor: Actor
    token: ApiToken
    service: Service

    @property
    def runtime(self) -> Runtime:
        """The service's runtime with the caller as the actor."""
        return replace(self.service.runtime, actor=self.actor)


async def authenticate(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
    """Return who calls. Raises RequestError (401); every refusal is recorded."""
    service: Service = request.app.state.service
    presented = credentials.credentials if credentials is not None else ""
    caller = await run_in_threadpool(_recognise, service, presented, source_of(request))
    request.state.token = caller.token.id
    return caller


def _recognise(service: Service, presented: str, source: str) -> Caller:
    runtime = service.runtime
    now = runtime.clock.now()
    try:
        if not presented:
            raise NotAuthorisedError(
                "a token is needed", "the request has no Authorization header with a Bearer token", "snaphold token create"
            )
        actor, token = recognise(runtime.configuration, runtime.ledger, presented, now)
    except NotAuthorisedError as error:
        service.refusals.note(source, f"{error.what}: {error.why}", now)
        too_many = service.limits.of_refused(source)
        if too_many is not None:
            raise too_many from error
        headers = {"WWW-Authenticate": 'Bearer realm="snaphold"'}
        raise RequestError(401, error.what, error.why, error.do, headers, recorded=True) from error
    check_rate(service, token, source)
    try:
        note_use(runtime.configuration, runtime.ledger, token, actor, now)
    except (LedgerError, StorageError) as error:
        # On a full disk people must still be able to look. What changes anything is recorded first, or not done; and the
        # next request notes the use of the token.
        log.warning("the use of %s could not be noted: %s", token.id, redact(str(error)))
    return Caller(actor, token, service)


def source_of(request: Request) -> str:
    """Return the address that a request comes from."""
    return request.client.host if request.client is not None else "unknown"


async def note_refusal(request: Request, status: int, error: SnapholdError) -> None:
    """Count a refused request for the audit trail, unless that is done: who, which route, and why; never what was sent."""
    if not is_refusal(status) or is_recorded(error):
        return
    service: Service = request.app.state.service
    route: Any = request.scope.get("route")
    source = f"{token} at {source_of(request)}" if (token := getattr(request.state, "token", "")) else source_of(request)
    why = f"{request.method[:20]} {getattr(route, 'path', 'no route of ours')}: {status} {error.what}"
    due = service.refusals.count(source, why, service.runtime.clock.now(), REFUSE)
    if due:
        await run_in_threadpool(service.refusals.write, due)


def check_rate(service: Service, token: ApiToken, source: str) -> None:
    """Count a request of a token. Raises RequestError (429), which is recorded, when it has made too many."""
    too_many = service.limits.of_token(token.id)
    if too_many is not None:
        service.refusals.note(f"{token.id} at {source}", f"{too_many.what}: {too_many.why}", service.runtime.clock.now(), LIMIT)
        raise too_many


Authenticated = Annotated[Caller, Depends(authenticate)]
