"""Speaks to one ServiceNow instance: sign-in (basic or OAuth), and rows of tables, checked against what was asked for."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from snaphold.config import Configuration, Integration
from snaphold.errors import ProviderError
from snaphold.http import Answer, NoAnswerError
from snaphold.http_guard import CallBudget
from snaphold.http_policy import SERVICENOW
from snaphold.http_session import Session, read_answer
from snaphold.platforms.credentials import credential
from snaphold.platforms.servicenow_rows import Row, RowList, Token, encoded_query, refusal
from snaphold.secrets import remember

RENEWED_EARLY_SECONDS = 60.0
PAGE_ROWS = 200
MOST_PAGES = 100
_SIGN_IN = replace(SERVICENOW, name="servicenow-sign-in", keyed=SERVICENOW.reads, lost_keyed=True, renewals=0)
"""A repeated request for a token is answered with the current one: it may be sent again."""
_OK, _BAD_REQUEST, _UNAUTHORISED = 200, 400, 401


@dataclass
class SignIn:
    """An OAuth sign-in: its tokens, and until when (of the monotonic clock) the first is good."""

    token: str = ""
    refresh_token: str = ""
    good_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


_sign_ins: dict[str, SignIn] = {}
_sign_ins_lock = threading.Lock()


class ServiceNowSession:
    """One instance. With `client_id` and `client_secret` the sign-in is OAuth, without them it is basic."""

    def __init__(
        self, integration: Integration, configuration: Configuration, budget: CallBudget, *, shared: bool = False
    ) -> None:
        """`shared`: one OAuth sign-in serves every session of this process with the same address and credentials."""
        base = configuration.base
        self._user = credential(integration, "username", base)
        self._password = credential(integration, "password", base)
        self._client: tuple[str, str] | None = None
        if "client_id" in integration.credentials:
            self._client = (credential(integration, "client_id", base), credential(integration, "client_secret", base))
        self._shown = ""
        # A password that was refused is not sent a second time: that would help to lock the account.
        policy = SERVICENOW if self._client else replace(SERVICENOW, renewals=0)
        ca_file = configuration.path(integration.ca_file) if integration.ca_file else None
        self._sign_in_state = self._shared_sign_in(integration.url, str(ca_file)) if shared else SignIn()
        timeout = integration.timeout.total_seconds()
        headers = {"Accept": "application/json"}
        self._session = Session(
            integration.url, policy, budget, headers=headers, authorise=self._proof, ca_file=ca_file, timeout=timeout
        )
        self._sign_in_session = Session(integration.url, _SIGN_IN, budget, headers=headers, ca_file=ca_file, timeout=timeout)

    @property
    def user(self) -> str:
        """As whom it signs in."""
        return self._user

    def call(
        self, method: str, path: str, *, query: Mapping[str, str | int] | None = None, document: object | None = None
    ) -> Answer:
        """Return the answer to a call below the instance's address. Raises as `Session.call`."""
        return self._session.call(method, path, query=query, document=document)

    def rows(
        self,
        table: str,
        conditions: Mapping[str, str],
        fields: Sequence[str],
        *,
        containing: Mapping[str, str] | None = None,
        most: int = PAGE_ROWS * MOST_PAGES,
    ) -> list[Row]:
        """Return the rows of a table that meet all conditions.

        ServiceNow ignores a part of a query that it does not understand and answers with more rows: each row is compared
        with what was asked. Raises ProviderError when one does not fit, or when there are too many.
        """
        containing = containing or {}
        wanted = sorted({*fields, *conditions, *containing, "sys_id"})
        query = encoded_query(conditions, containing=containing)
        found: dict[str, Row] = {}
        offset = 0
        for _ in range(MOST_PAGES):
            answer = self.call(
                "GET",
                f"/api/now/table/{table}",
                query={
                    "sysparm_query": query,
                    "sysparm_fields": ",".join(wanted),
                    "sysparm_display_value": "all",
                    "sysparm_limit": PAGE_ROWS,
                    "sysparm_offset": offset,
                },
            )
            if answer.status != _OK:
                raise refusal(answer, f"reading the table {table}")
            page = read_answer(answer, RowList, f"rows of {table}").result
            for row in page:
                _check_row(row, conditions, containing, table)
                found[row["sys_id"].value] = row
            # The limit counts rows before access control: a short or empty page is no end while the total says more.
            offset += PAGE_ROWS
            total = answer.headers.get("x-total-count", "")
            if (int(total) <= offset if total.isascii() and total.isdigit() else not page) or len(found) >= most:
                return list(found.values())
        raise ProviderError(
            f"ServiceNow has too many rows of {table}", f"more than {PAGE_ROWS * MOST_PAGES}", "narrow the question"
        )

    def _proof(self, renew: bool) -> dict[str, str]:
        if self._client is None:
            pair = b64encode(f"{self._user}:{self._password}".encode()).decode("ascii")
            remember(pair)
            return {"Authorization": f"Basic {pair}"}
        state = self._sign_in_state
        with state.lock:
            refused = renew and state.token == self._shown  # else another session has signed in anew meanwhile
            if refused or time.monotonic() >= state.good_until:
                self._sign_in(state)
            self._shown = state.token
            return {"Authorization": f"Bearer {state.token}"}

    def _shared_sign_in(self, url: str, authority: str) -> SignIn:
        told = json.dumps([url, authority, self._user, self._password, self._client])
        with _sign_ins_lock:
            return _sign_ins.setdefault(hashlib.sha256(told.encode()).hexdigest(), SignIn())

    def _sign_in(self, state: SignIn) -> None:
        """Get a token: by the refresh token when there is one, else, or when that is refused, by the password."""
        answer: Answer | None = None
        if state.refresh_token:
            answer = self._ask_token({"grant_type": "refresh_token", "refresh_token": state.refresh_token})
        if answer is None or answer.status != _OK:
            given = {"grant_type": "password", "username": self._user, "password": self._password}
            answer = self._ask_token(given)
        if answer.status != _OK:
            status = _UNAUTHORISED if answer.status == _BAD_REQUEST else answer.status
            raise refusal(replace(answer, status=status), "signing in with OAuth")
        token = read_answer(answer, Token, "the sign-in")
        remember(token.access_token)
        remember(token.refresh_token)
        state.token, state.refresh_token = token.access_token, token.refresh_token
        # A repeated request is answered with the current token, which may end soon.
        state.good_until = time.monotonic() + max(token.expires_in - RENEWED_EARLY_SECONDS, 0.0)

    def _ask_token(self, given: Mapping[str, str]) -> Answer:
        client_id, client_secret = self._client or ("", "")
        form = {**given, "client_id": client_id, "client_secret": client_secret}
        try:
            return self._sign_in_session.call("POST", "/oauth_token.do", form=form, keyed=True)
        except NoAnswerError as error:
            # To whoever waits for the token nothing was sent yet: it must not look like a lost answer of theirs.
            raise ProviderError(error.what, f"signing in: {error.why}", error.do, retryable=True) from error


def _check_row(row: Row, conditions: Mapping[str, str], containing: Mapping[str, str], table: str) -> None:
    wrong = [field for field, value in conditions.items() if field not in row or row[field].value != value]
    wrong += [field for field, text in containing.items() if field not in row or text not in row[field].value]
    if wrong or "sys_id" not in row:
        raise ProviderError(
            f"ServiceNow answered with rows of {table} that were not asked for",
            f"the condition on {', '.join(wrong) or 'sys_id'} was ignored, or the field may not be read",
            "give the integration's user the right to read it; set glide.invalid_query.returns_no_rows",
        )
