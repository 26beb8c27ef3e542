"""Speaks to one CommServe: sign-in, renewal of the token, reading, and changes that are never sent twice."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel

from snaphold.config import Configuration, Integration
from snaphold.errors import NotAuthorisedError, ProviderError, UnknownOutcomeError
from snaphold.http import Answer, NoAnswerError
from snaphold.http_guard import CallBudget
from snaphold.http_policy import COMMVAULT
from snaphold.http_session import Session, read_answer
from snaphold.platforms.credentials import credential
from snaphold.providers.commvault_answers import Token
from snaphold.providers.commvault_refusals import OK, check, inner_error, read
from snaphold.secrets import remember

_POLICY = replace(COMMVAULT, keyed=COMMVAULT.reads, lost_keyed=True)
"""Some questions are POSTs: they change nothing and may be repeated like a GET (`keyed`)."""
_SERVER_ERROR = 500
_WEB_CLIENT = 30
_PLAIN_SIGN_IN = 4
Shape = TypeVar("Shape", bound=BaseModel)


class CommvaultSession:
    """One CommServe behind its web server; `username` may be DOMAIN\\user."""

    def __init__(self, integration: Integration, configuration: Configuration, budget: CallBudget) -> None:
        base = configuration.base
        domain, _, user = credential(integration, "username", base).rpartition("\\")
        self._domain, self._user = domain, user
        self._password = credential(integration, "password", base)
        self._token = ""
        self._told_user = ""
        self._lock = threading.Lock()
        ca_file = configuration.path(integration.ca_file) if integration.ca_file else None
        self._session = Session(
            integration.url,
            _POLICY,
            budget,
            headers={"Accept": "application/json"},
            authorise=self._proof,
            ca_file=ca_file,
            timeout=integration.timeout.total_seconds(),
        )

    @property
    def user(self) -> str:
        """As whom it signs in, without the domain."""
        return self._user

    @property
    def users(self) -> frozenset[str]:
        """The plain names by which our account is known: as configured, and as Commvault told when it signed in."""
        return frozenset(plain_name(name) for name in (self._user, self._told_user) if name)

    @property
    def host(self) -> str:
        """Where it is."""
        return self._session.host

    def get(self, path: str, shape: type[Shape], what: str, query: Mapping[str, str | int] | None = None) -> Shape:
        """Return the answer to a question. Raises ProviderError or NotAuthorisedError when it is refused."""
        return read(self._session.call("GET", path, query=query), shape, what)

    def ask(self, path: str, document: Any, shape: type[Shape], what: str) -> Shape:
        """Return the answer to a question that is a POST and changes nothing."""
        return read(self._session.call("POST", path, document=document, keyed=True), shape, what)

    def change(self, method: str, path: str, shape: type[Shape], what: str, document: Any = None) -> Shape:
        """Return the answer to a change, which is sent once.

        Raises UnknownOutcomeError when it may have happened although no success was told, ProviderError or
        NotAuthorisedError when it was refused.
        """
        try:
            answer = self._session.call(method, path, document=document)
        except NoAnswerError as error:
            if not error.sent:
                raise
            raise UnknownOutcomeError(f"it is not known whether Commvault did {what}", f"{error.what}: {error.why}") from error
        if answer.status >= _SERVER_ERROR:
            _, text = inner_error(answer)
            raise UnknownOutcomeError(f"it is not known whether Commvault did {what}", f"HTTP status {answer.status}: {text}")
        return read(answer, shape, what)

    def _proof(self, renew: bool) -> dict[str, str]:
        with self._lock:
            if renew or not self._token:
                self._renew_or_sign_in()
            return {"Authtoken": self._token}

    def _renew_or_sign_in(self) -> None:
        """Renew the token; where there is none, or it can not be renewed, sign in with the password."""
        if self._token:
            old, self._token = self._token, ""
            answer = self._send("/RenewLoginToken", {"sessionId": old, "deviceId": "snaphold"})
            if answer.status == OK and not inner_error(answer)[0]:
                self._take(answer, "the renewal of the sign-in")
                return
        password = b64encode(self._password.encode()).decode("ascii")
        remember(password)
        given = {
            "mode": _PLAIN_SIGN_IN,
            "clientType": _WEB_CLIENT,
            "domain": self._domain,
            "username": self._user,
            "password": password,
        }
        answer = self._send("/Login", given)
        code, text = inner_error(answer)
        if answer.status == OK and code:
            why = f"errorCode {code}: {text}"
            raise NotAuthorisedError("Commvault does not accept the sign-in", why, "check user, domain and password")
        check(answer, "the sign-in")
        self._take(answer, "the sign-in")

    def _send(self, path: str, document: Any) -> Answer:
        try:
            return self._session.call("POST", path, document=document, keyed=True, signed=False)
        except NoAnswerError as error:
            # To whoever waits for the token nothing was sent yet: it must not look like a lost answer of theirs.
            raise ProviderError(error.what, f"signing in: {error.why}", error.do, retryable=True) from error

    def _take(self, answer: Answer, what: str) -> None:
        try:
            taken = read_answer(answer, Token, what)
        except UnknownOutcomeError as error:
            raise ProviderError(
                f"{self.host} does not answer like Commvault", error.why, "check that url ends with /webconsole/api"
            ) from error
        remember(taken.token)
        remember(taken.token.removeprefix("QSDK "))
        self._token, self._told_user = taken.token, taken.user or self._told_user


def plain_name(user: str) -> str:
    """Return an account's name without its domain, however that is written (DOMAIN\\user, user@domain), in lower case."""
    return user.rpartition("\\")[2].partition("@")[0].lower()
