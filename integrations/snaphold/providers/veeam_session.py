"""Speaks to one Veeam server: sign-in with single-use refresh tokens, the revision, lists page by page, writes looked up."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from snaphold.config import Configuration, Integration
from snaphold.errors import NotAuthorisedError, ProviderError, SnapholdError, TimedOutError, UnknownOutcomeError
from snaphold.http import Answer, NoAnswerError
from snaphold.http_guard import PRODUCT_CALLS_PER_RUN, budget_of
from snaphold.http_policy import VEEAM
from snaphold.http_session import Query, Session, read_answer
from snaphold.platforms.credentials import credential
from snaphold.providers.veeam_answers import (
    Page,
    ServerInfo,
    ServerTime,
    Token,
    is_about_revision,
    refusal,
    told,
    wrong_revision,
)
from snaphold.providers.veeam_revision import LOWEST, Revision, revision_named, revision_of
from snaphold.secrets import redact, remember

RENEWED_EARLY_SECONDS = 60.0
PAGE_ITEMS = 200
MOST_PAGES = 100
OK, CREATED, NO_CONTENT = 200, 201, 204
_FORBIDDEN, _NOT_FOUND, _SERVER_ERROR = 403, 404, 500
_REFUSED = (400, 401)
Read = TypeVar("Read")
Found = TypeVar("Found")


@dataclass
class _SignIn:
    """One user's sign-in at one server; shared, because too many of them are refused."""

    token: str = ""
    refresh: str = ""
    good_until: float = 0.0
    revision: Revision | None = None
    build: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


_lock = threading.Lock()
_sign_ins: dict[str, _SignIn] = {}


def forget_sign_ins() -> None:
    """Forget every token, as a fresh process does; for tests and exercises."""
    with _lock:
        _sign_ins.clear()


@contextmanager
def after_effect(done: str) -> Generator[None]:
    """Follow up what was done already: an error there leaves it open how it went on, and never says that nothing happened."""
    try:
        yield
    except (UnknownOutcomeError, TimedOutError):
        raise
    except SnapholdError as error:
        why = f"{error.what}: {error.why}" if error.why else error.what
        raise UnknownOutcomeError(f"{done}, but it cannot be followed", why, "look at it in Veeam, then repeat") from error


class VeeamSession:
    """One Veeam Backup & Replication server. Credentials: `username`, `password`; setting: `api_version`."""

    def __init__(self, integration: Integration, configuration: Configuration) -> None:
        self._integration = integration
        self._user = credential(integration, "username", configuration.base)
        self._password = credential(integration, "password", configuration.base)
        named = integration.settings.get("api_version", "")
        self._pinned = revision_named(named) if named else None
        ca_file = configuration.path(integration.ca_file) if integration.ca_file else None
        timeout = integration.timeout.total_seconds()
        budget = budget_of("", integration.name, integration.calls_per_run or PRODUCT_CALLS_PER_RUN)
        self._session = Session(integration.url, VEEAM, budget, authorise=self._proof, ca_file=ca_file, timeout=timeout)
        bare = replace(VEEAM, name="veeam-sign-in", keyed=VEEAM.reads, lost_keyed=True, renewals=0)
        self._bare = Session(integration.url, bare, budget, ca_file=ca_file, timeout=timeout)
        secret = hashlib.sha256(f"{self._user}\n{self._password}".encode()).hexdigest()
        with _lock:
            self._sign_in = _sign_ins.setdefault(f"{self._session.url}\n{secret}", _SignIn())
        self._offset: timedelta | None = None

    @property
    def user(self) -> str:
        """As whom it signs in."""
        return self._user

    def revision(self) -> Revision:
        """Return the revision in which the server is spoken to, asking it once. Raises ProviderError when it is too old."""
        if self._pinned is not None:
            return self._pinned
        with self._sign_in.lock:
            known = self._sign_in.revision
        if known is not None:
            return known
        info = self.server_info()
        # Only an administrator may read the version; for others it is the oldest that we know, which all servers keep.
        revision = LOWEST if info is None else revision_of(info.build)
        with self._sign_in.lock:
            self._sign_in.revision, self._sign_in.build = revision, info.build if info else ""
        return revision

    def engine(self) -> str:
        """Return product and version, for restore points."""
        revision = self.revision()
        build = self._sign_in.build
        return f"Veeam Backup & Replication {build}" if build else f"Veeam Backup & Replication, API {revision.name}"

    def server_info(self) -> ServerInfo | None:
        """Return which server it is; None when the user is no administrator."""
        answer = self._send("GET", "/api/v1/serverInfo", self._pinned or LOWEST)
        if answer.status == _FORBIDDEN:
            return None
        return self._read(answer, ServerInfo, "the server's version")

    def call(self, method: str, path: str, *, query: Query | None = None, document: Any = None) -> Answer:
        """Return the answer to a call, in the server's revision. Raises as `Session.call`."""
        return self._send(method, path, self.revision(), query=query, document=document)

    def get(self, path: str, shape: type[Read], what: str) -> Read:
        """Return what is at a path in its typed shape. Raises what `refusal` says when it is not there."""
        return self._read(self.call("GET", path), shape, what)

    def find(self, path: str, shape: type[Read], what: str) -> Read | None:
        """Return what is at a path, None when there is nothing."""
        answer = self.call("GET", path)
        return None if answer.status == _NOT_FOUND else self._read(answer, shape, what)

    def list(self, path: str, shape: type[Read], what: str, query: Mapping[str, str] | None = None) -> list[Read]:
        """Return a whole list. Raises ProviderError when it is too long or not understood."""
        found: list[Read] = []
        adapter = TypeAdapter(shape)
        for page in range(MOST_PAGES):
            asked = {**(query or {}), "skip": page * PAGE_ITEMS, "limit": PAGE_ITEMS}
            read = self._read(self.call("GET", path, query=asked), Page, what)
            for item in read.data:
                try:
                    found.append(adapter.validate_python(item))
                except ValidationError as error:
                    first = error.errors(include_url=False, include_input=False)[0]
                    where = ".".join(str(part) for part in first["loc"])
                    raise ProviderError(
                        f"the answer about {what} is not understood", redact(f"{where}: {first['msg']}"), "report the answer"
                    ) from error
            if not read.data or len(found) >= read.pagination.total:
                return found
        raise ProviderError(f"Veeam lists too much ({what})", f"more than {MOST_PAGES * PAGE_ITEMS}", "remove what is old")

    def write(
        self,
        method: str,
        path: str,
        shape: type[Found],
        what: str,
        *,
        document: Any = None,
        look_up: Callable[[], Found | None],
        refused_too: bool = False,
    ) -> Found:
        """Carry out a write for which Veeam has no key, and return what it made.

        When the answer is lost, empty or not understood, `look_up` decides; with `refused_too` also after a refusal that
        may mean that it is under way already. Raises UnknownOutcomeError when nothing, or no one thing, is found then.
        """
        refused: SnapholdError | None = None
        try:
            answer = self.call(method, path, document=document)
        except NoAnswerError as error:
            if not error.sent:
                raise
            why = str(error.why)
        else:
            why = f"HTTP status {answer.status}"
            if answer.status in (OK, CREATED):
                try:
                    return read_answer(answer, shape, what)
                except UnknownOutcomeError as error:
                    why = str(error.why)
            elif answer.status != NO_CONTENT and answer.status < _SERVER_ERROR:
                refused = refusal(answer, what)
                if not refused_too:
                    raise refused
        try:
            found = look_up()
        except UnknownOutcomeError:
            raise
        except SnapholdError as error:
            why, found = f"{why}; it cannot be looked up: {error.what}", None
        if found is not None:
            return found
        if refused is not None:
            raise refused
        raise UnknownOutcomeError(f"it is not known whether Veeam did this: {what}", why, "look at it in Veeam's console")

    def server_time(self) -> datetime:
        """Return the server's clock, in UTC, without its fraction of a second: sessions carry whole seconds."""
        return self.at(self.get("/api/v1/serverTime", ServerTime, "the server's time").time).replace(microsecond=0)

    def at(self, moment: datetime) -> datetime:
        """Return a time of an answer as UTC; one without a zone is the server's own time."""
        if moment.tzinfo is not None:
            return moment.astimezone(timezone.utc)
        if self._offset is None:
            server = self.get("/api/v1/serverTime", ServerTime, "the server's time").time
            self._offset = server.utcoffset() or timedelta(0)
        return (moment - self._offset).replace(tzinfo=timezone.utc)

    def _read(self, answer: Answer, shape: type[Read], what: str) -> Read:
        if answer.status != OK:
            raise refusal(answer, what)
        try:
            return read_answer(answer, shape, what)
        except UnknownOutcomeError as error:
            # Nothing was changed: what was only read is not known, but no effect is in doubt.
            raise ProviderError(error.what, error.why, error.do) from error

    def _send(self, method: str, path: str, revision: Revision, *, query: Query | None = None, document: Any = None) -> Answer:
        return self._session.call(
            method, path, query=query, document=document, headers={"x-api-version": revision.name, "Accept": "application/json"}
        )

    def _proof(self, renew: bool) -> dict[str, str]:
        held = self._sign_in
        with held.lock:
            if renew or time.monotonic() >= held.good_until:
                self._ask_anew(held)
            return {"Authorization": f"Bearer {held.token}"}

    def _ask_anew(self, held: _SignIn) -> None:
        """Get a token. The refresh token is used once and forgotten before it is sent: a lost answer has used it up."""
        refresh, held.refresh, held.good_until = held.refresh, "", 0.0
        answer = None
        if refresh:
            try:
                answer = self._ask_token({"grant_type": "refresh_token", "refresh_token": refresh})
            except ProviderError:
                answer = None
        if answer is None or answer.status != OK:
            given = {"grant_type": "password", "username": self._user, "password": self._password}
            answer = self._ask_token(given)
        if answer.status in _REFUSED and is_about_revision(answer):
            raise wrong_revision(answer)
        if answer.status in _REFUSED:
            raise NotAuthorisedError(
                "Veeam does not accept the sign-in",
                f"HTTP status {answer.status}: {told(answer)}",
                "check user and password; an account with a second factor cannot sign in here",
            )
        if answer.status == _NOT_FOUND:
            raise ProviderError(
                "there is no Veeam REST API at this address", self._session.url, "correct url: https://SERVER:9419"
            )
        if answer.status != OK:
            raise refusal(answer, "signing in")
        try:
            token = read_answer(answer, Token, "the sign-in")
        except UnknownOutcomeError as error:
            do = "check that url is the address of the REST API (port 9419)"
            raise ProviderError(error.what, error.why, do, retryable=True) from error
        remember(token.access_token)
        if token.refresh_token:
            remember(token.refresh_token)
        held.token, held.refresh = token.access_token, token.refresh_token
        held.good_until = time.monotonic() + max(token.expires_in - RENEWED_EARLY_SECONDS, token.expires_in / 2)

    def _ask_token(self, given: Mapping[str, str]) -> Answer:
        headers = {"x-api-version": (self._pinned or LOWEST).name, "Accept": "application/json"}
        by_password = given["grant_type"] == "password"  # another sign-in harms nobody; a refresh token is good once
        try:
            return self._bare.call("POST", "/api/oauth2/token", form=given, headers=headers, signed=False, keyed=by_password)
        except NoAnswerError as error:
            # To whoever waits for the token nothing was sent yet: it must not look like a lost answer of theirs.
            raise ProviderError(error.what, f"signing in: {error.why}", error.do, retryable=True) from error
