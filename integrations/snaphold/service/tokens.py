"""API tokens: made, listed, revoked, and recognised. Whoever holds one acts in the name of a person with its roles."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from snaphold.authority import covers
from snaphold.clock import format_duration, format_time
from snaphold.config import Configuration
from snaphold.domain.people import Actor
from snaphold.engine.run import Run
from snaphold.errors import InputError, NotAuthorisedError
from snaphold.identity import actor_of
from snaphold.ledger.entry import Event, NewEntry
from snaphold.ledger.ledger import Ledger
from snaphold.runtime import Runtime
from snaphold.secrets import redact, remember
from snaphold.service.records import ApiToken

PREFIX = "snh_"
_TOKEN_LOGIN = "token "  # noqa: S105  no token, but what stands before its id
"""How a login that is a token begins; its id follows."""
_WEBHOOK_LOGIN = "webhook "
"""How the login of a webhook begins; emergency grants of its person do not count for it."""
DEFAULT_LIFE = timedelta(days=90)
LONGEST_LIFE = timedelta(days=366)
USE_NOTED_EVERY = timedelta(hours=1)
"""The last use is written down once in this time: every note is an entry of the audit trail, which never shrinks."""
CREATE, REVOKE = "token.create", "token.revoke"
"""What a role must `may` for tokens of other people. Nobody needs it for their own."""
_FORM = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]{43}")
_ID_DIGITS = 12


def create_token(
    runtime: Runtime,
    person: str,
    *,
    roles: Sequence[str] = (),
    lasts: timedelta = DEFAULT_LIFE,
    note: str = "",
    may_approve: bool = False,
    may_use_grants: bool = False,
) -> tuple[ApiToken, str]:
    """Make a token; return its record and the token, which is kept nowhere. Without `roles` it has all of the person's.

    Raises InputError (unknown person, a role that the person does not have, a length out of bounds) or
    NotAuthorisedError (a token for somebody else, without the right to make it).
    """
    known = _actor(runtime.configuration, person)
    if known is None:
        people = ", ".join(one.id for one in runtime.configuration.people) or "none"
        raise InputError(f"there is no person {person!r}", f"configured: {people}", "add them under people in snaphold.yaml")
    _check_right(runtime, CREATE, person)
    chosen = tuple(dict.fromkeys(roles)) or known.roles
    beyond = [role for role in chosen if role not in known.roles]
    if beyond or not chosen:
        raise InputError(
            f"a token of {person} cannot have the role {beyond[0]!r}" if beyond else f"{person} has no role",
            f"the roles of {person} are: {', '.join(known.roles) or 'none'}",
            "name others, or add the person to the role in snaphold.yaml",
        )
    if not timedelta(0) < lasts <= LONGEST_LIFE:
        raise InputError(
            f"a token cannot last {format_duration(lasts)}",
            f"it must be longer than nothing and at most {format_duration(LONGEST_LIFE)}",
        )
    token = PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii").rstrip("=")
    remember(token)
    now = runtime.clock.now()
    record = ApiToken(
        id=_id(token), person=person, roles=chosen, sha256=_digest(token), note=redact(note.strip())[:200],
        may_approve=may_approve, may_use_grants=may_use_grants, created_by=runtime.actor.id, created_at=now,
        expires_at=now + lasts,
    )  # fmt: skip
    detail = {"token": record.id, "person": person, "roles": list(chosen), "expires_at": format_time(record.expires_at),
              "may_approve": may_approve, "may_use_grants": may_use_grants}  # fmt: skip
    runtime.ledger.append(_entry(runtime.actor, CREATE, detail), [record])
    return record, token


def revoke_token(runtime: Runtime, id: str) -> ApiToken:
    """Revoke a token at once and return it; one that is revoked already is returned as it is.

    Raises InputError (no such token) or NotAuthorisedError (somebody else's, without the right).
    """
    found = runtime.ledger.record(ApiToken, id)
    if found is None:
        raise InputError(f"there is no token {id!r}", do="snaphold token list")
    _check_right(runtime, REVOKE, found.person)

    def revoke(token: ApiToken) -> ApiToken:
        if token.revoked_at is not None:
            return token
        return token.model_copy(update={"revoked_at": runtime.clock.now(), "revoked_by": runtime.actor.id})

    return _change(runtime.configuration, runtime.ledger, id, runtime.actor, REVOKE, revoke)


def recognise(configuration: Configuration, ledger: Ledger, presented: str, now: datetime) -> tuple[Actor, ApiToken]:
    """Return who acts with a token, with the token's roles as far as the person still has them, and its record.

    Raises NotAuthorisedError; only who holds a real token is told why it is not accepted.
    """
    found = ledger.record(ApiToken, _id(presented)) if _FORM.fullmatch(presented) else None
    if found is None or not hmac.compare_digest(found.sha256, _digest(presented)):
        raise NotAuthorisedError("the token is not accepted", "it is not one of this service", "snaphold token create")
    remember(presented)
    return _acting(configuration, found, now), found


def actor_of_token(configuration: Configuration, ledger: Ledger, id: str, now: datetime) -> Actor:
    """Return who acts with the token of that id, for a process that the service starts. Raises NotAuthorisedError."""
    found = ledger.record(ApiToken, id)
    if found is None:
        raise NotAuthorisedError(f"there is no token {id!r}", do="snaphold token list")
    return _acting(configuration, found, now)


def actor_of_run(configuration: Configuration, ledger: Ledger, run: Run) -> Actor:
    """Return in whose name a run acts when a worker goes on with it: the requester's, with the roles that are left.

    A run that was begun with a token that was good keeps the token's roles after the token has expired or was revoked.
    Raises NotAuthorisedError when the person is no longer in the configuration.
    """
    person = _actor(configuration, run.requested_by)
    if person is None:
        raise NotAuthorisedError(
            f"{run.id} cannot go on",
            f"{run.requested_by} is no longer in the configuration",
            "cancel it, or add the person again",
        )
    token = ledger.record(ApiToken, run.login.removeprefix(_TOKEN_LOGIN)) if run.login.startswith(_TOKEN_LOGIN) else None
    if token is None:
        by_machine = run.login.startswith(_WEBHOOK_LOGIN)
        return person.model_copy(update={"login": run.login, **({"uses_grants": False} if by_machine else {})})
    return _with_token(person, token)


def _acting(configuration: Configuration, token: ApiToken, now: datetime) -> Actor:
    person = _actor(configuration, token.person)
    refusal = ""
    if token.revoked_at is not None:
        refusal = f"it was revoked at {format_time(token.revoked_at)}"
    elif now >= token.expires_at:
        refusal = f"it expired at {format_time(token.expires_at)}"
    elif person is None:
        refusal = f"{token.person} is no longer in the configuration"
    if refusal or person is None:
        raise NotAuthorisedError(f"the token {token.id} is not accepted", refusal, "snaphold token create makes a new one")
    return _with_token(person, token)


def _with_token(person: Actor, token: ApiToken) -> Actor:
    roles = tuple(role for role in person.roles if role in token.roles)
    return person.model_copy(update={"roles": roles, "login": f"{_TOKEN_LOGIN}{token.id}", "uses_grants": token.may_use_grants})


def note_use(configuration: Configuration, ledger: Ledger, token: ApiToken, actor: Actor, now: datetime) -> None:
    """Write down that a token was used, once an hour."""
    if token.last_used_at is not None and now - token.last_used_at < USE_NOTED_EVERY:
        return

    def use(current: ApiToken) -> ApiToken:
        fresh = current.last_used_at is not None and now - current.last_used_at < USE_NOTED_EVERY
        return current if fresh else current.model_copy(update={"last_used_at": now})

    _change(configuration, ledger, token.id, actor, "token.use", use)


def _change(
    configuration: Configuration, ledger: Ledger, id: str, actor: Actor, action: str, change: Callable[[ApiToken], ApiToken]
) -> ApiToken:
    """Change a record under a lock, so that a note of its use cannot undo a revocation from another process."""
    with ledger.turn(configuration.state_folder / "tokens.lock"):
        before = ledger.record(ApiToken, id)
        if before is None:
            raise InputError(f"there is no token {id!r}", do="snaphold token list")
        after = change(before)
        if after != before:
            ledger.append(_entry(actor, action, {"token": id, "person": after.person}), [after])
        return after


def _check_right(runtime: Runtime, right: str, person: str) -> None:
    actor = runtime.actor
    may = [pattern for role in runtime.configuration.roles if role.name in actor.roles for pattern in role.may]
    if actor.id != person and not covers(may, right):
        detail = {"person": person, "why": f"no role may {right}"}
        runtime.ledger.append(_entry(actor, right, detail, Event.REFUSED))
        raise NotAuthorisedError(
            f"{actor.id} may not handle tokens of {person}",
            f"no role of {actor.id} may {right}",
            f"add {right} to `may` of a role in snaphold.yaml, or have {person} do it",
        )


def _actor(configuration: Configuration, person: str) -> Actor | None:
    return next((actor_of(configuration, one, "") for one in configuration.people if one.id == person), None)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def _id(token: str) -> str:
    """Return the id of a token's record: found without searching, and it says nothing about the token."""
    return f"TOK-{_digest(token)[:_ID_DIGITS]}"


def _entry(actor: Actor, action: str, detail: Mapping[str, object], event: Event = Event.SERVICE) -> NewEntry:
    return NewEntry(event=event, actor=actor.id, login=actor.login, incident="", action=action, detail=detail)
