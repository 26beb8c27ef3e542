"""Who looks at the pages: signed in with an API token, known afterwards by a cookie that only this service can read.

The cookie holds 32 random bytes; the register holds their SHA-256. A session acts as its token does, and ends with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, quote, urlsplit

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from snaphold.errors import InputError, NotAuthorisedError
from snaphold.ledger.entry import Event, NewEntry
from snaphold.service.callers import Caller, Service, check_rate, source_of
from snaphold.service.problems import RecordedRefusalError, RequestError
from snaphold.service.records import ApiToken, WebSession
from snaphold.service.requests import read_form
from snaphold.service.tokens import actor_of_token, recognise

COOKIE = "snaphold_session"
LASTS = timedelta(hours=8)
SIGN_IN = "/ui/sign-in"
MOST_FIELDS = 20
_ID_DIGITS = 16


@dataclass(frozen=True)
class Visitor:
    """A person at the pages, and the session of their browser."""

    caller: Caller
    session: WebSession


class SignInNeededError(Exception):
    """Nobody is signed in; the pages answer with the way to the sign-in."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted

    def answer(self) -> RedirectResponse:
        """Return the way to the sign-in, and from there back to what was wanted."""
        return RedirectResponse(f"{SIGN_IN}?next={quote(self.wanted, safe='')}", 303)


async def find_visitor(request: Request) -> Visitor:
    """Return who looks. Raises SignInNeededError."""
    service: Service = request.app.state.service
    found = await run_in_threadpool(_find, service, request.cookies.get(COOKIE, ""))
    if found is None:
        raise SignInNeededError(request.url.path if request.method == "GET" else "/ui")
    request.state.token = found.caller.token.id
    await run_in_threadpool(check_rate, service, found.caller.token, source_of(request))
    return found


def _find(service: Service, presented: str) -> Visitor | None:
    runtime = service.runtime
    now = runtime.clock.now()
    session = runtime.ledger.record(WebSession, _id(presented)) if presented else None
    if session is None or not hmac.compare_digest(session.sha256, _digest(presented)):
        return None
    token = runtime.ledger.record(ApiToken, session.token)
    if session.ended_at is not None or session.expires_at <= now or token is None:
        return None
    try:
        actor = actor_of_token(runtime.configuration, runtime.ledger, session.token, now)
    except NotAuthorisedError:
        return None  # revoked, expired, or the person is gone: signing in again tells which
    return Visitor(Caller(actor, token, service), session)


def begin_session(service: Service, presented: str, source: str) -> tuple[str, WebSession]:
    """Return the cookie's value and the session of whoever holds a token. Raises NotAuthorisedError; it is recorded."""
    runtime = service.runtime
    now = runtime.clock.now()
    try:
        actor, token = recognise(runtime.configuration, runtime.ledger, presented, now)
    except NotAuthorisedError as error:
        service.refusals.note(source, f"{error.what}: {error.why}", now)
        too_many = service.limits.of_refused(source)
        if too_many is not None:
            raise too_many from error
        raise RecordedRefusalError(error.what, error.why, error.do) from error
    value = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii").rstrip("=")
    session = WebSession(
        id=_id(value),
        incident="",
        person=actor.id,
        token=token.id,
        sha256=_digest(value),
        form_key=secrets.token_hex(16),
        begun_at=now,
        expires_at=min(now + LASTS, token.expires_at),
    )
    entry = NewEntry(event=Event.SERVICE, actor=actor.id, login=actor.login, incident="", action="session.begin")
    runtime.ledger.append(entry, [session])
    return value, session


def end_session(visitor: Visitor) -> None:
    """End a session at once."""
    runtime, actor = visitor.caller.runtime, visitor.caller.actor
    ended = visitor.session.model_copy(update={"ended_at": runtime.clock.now()})
    entry = NewEntry(event=Event.SERVICE, actor=actor.id, login=actor.login, incident="", action="session.end")
    runtime.ledger.append(entry, [ended])


async def read_fields(request: Request) -> dict[str, str]:
    """Return the fields of a form that a page of ours sent. Raises RequestError (400, 403, 408, 413, 415).

    A request that another site had the browser send is refused by what the browser says of its origin.
    """
    site = request.headers.get("sec-fetch-site", "")
    origin = request.headers.get("origin", "")
    own = urlsplit(origin).netloc == request.headers.get("host", "") if origin else site in ("same-origin", "none", "")
    if not own or site not in ("same-origin", "none", ""):
        raise RequestError(403, "the form came from another site", f"its origin is {(origin or site)[:100]}")
    data = await read_form(request)
    try:
        return dict(
            parse_qsl(data.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(data), max_num_fields=MOST_FIELDS)
        )
    except ValueError as error:
        raise RequestError(400, "the form cannot be read", str(error)[:200]) from error


def check_form_key(visitor: Visitor, fields: dict[str, str]) -> None:
    """Raise RequestError (403) when a form was not made for this session."""
    if not hmac.compare_digest(fields.get("form_key", "").encode(), visitor.session.form_key.encode()):
        raise RequestError(403, "the form is not of this session", "it was opened before you signed in", "open the page again")


def safe_target(wanted: str) -> str:
    """Return where to go after the sign-in: a page of ours, whatever was asked for."""
    parts = urlsplit(wanted)
    inside = not parts.scheme and not parts.netloc and (parts.path == "/ui" or parts.path.startswith("/ui/"))
    return parts.path if inside and "\\" not in wanted and ".." not in parts.path else "/ui"


def reason_given(fields: dict[str, str]) -> str:
    """Return the reason in a form. Raises InputError when there is none."""
    reason = " ".join(fields.get("reason", "").split())
    if not reason:
        raise InputError("the reason is missing", "it stands in the audit trail for ever", "say in a sentence why")
    return reason


def _id(presented: str) -> str:
    return f"WEB-{_digest(presented)[:_ID_DIGITS]}"


def _digest(presented: str) -> str:
    return hashlib.sha256(presented.encode("utf-8", "surrogatepass")).hexdigest()
