"""Tokens from their making to their end, and what is written down about those who have none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.authority import Grant
from snaphold.errors import InputError, NotAuthorisedError
from snaphold.ledger.database import DatabaseLedger
from snaphold.ledger.entry import Event
from snaphold.ledger.verify import verify_ledger
from snaphold.runtime import Runtime
from snaphold.service import tokens
from snaphold.service.records import ApiToken
from snaphold.service.tokens import create_token, note_use, recognise, revoke_token
from support.ledgers import NOW, actor, configure
from support.service_lab import ServiceLab
from support.waiting import PATIENCE_SECONDS


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    roles = [
        {"name": "analyst", "members": ["ana"], "may": ["toy.*"]},
        {"name": "reader", "members": ["ana", "ben"], "may": ["toy.read"]},
        {"name": "admin", "members": ["cleo"], "may": ["token.*"]},
    ]
    configuration = configure(tmp_path, sign=False, roles=roles)
    clock = FixedClock(NOW)
    return Runtime(configuration, DatabaseLedger.open(configuration, clock), clock, actor(configuration))


def as_person(runtime: Runtime, person: str) -> Runtime:
    return replace(runtime, actor=actor(runtime.configuration, person))


def recognised(runtime: Runtime, token: str) -> tuple[Any, ApiToken]:
    return recognise(runtime.configuration, runtime.ledger, token, runtime.clock.now())


def test_a_token_acts_for_its_person_with_its_own_roles_only(runtime: Runtime) -> None:
    record, token = create_token(runtime, "ana", roles=["reader"], note="XSOAR")
    found, stored = recognised(runtime, token)
    assert (found.id, found.roles, found.login, found.uses_grants) == ("ana", ("reader",), f"token {record.id}", False)
    assert stored == record
    assert (token[:4], len(token)) == ("snh_", 47)


def test_two_tokens_are_never_the_same_and_neither_is_kept(runtime: Runtime) -> None:
    made = [create_token(runtime, "ana")[1] for _ in range(3)]
    assert len(set(made)) == 3
    raw = runtime.ledger.path.read_bytes() + runtime.ledger.path.with_name("ledger.sqlite-wal").read_bytes()
    assert not any(token.encode() in raw for token in made)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"person": "nobody"}, "no person 'nobody'"),
        ({"roles": ["admin"]}, "cannot have the role 'admin'"),
        ({"lasts": timedelta(0)}, "cannot last 0s"),
        ({"lasts": timedelta(days=367)}, "cannot last 367d"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(runtime: Runtime, changes: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        create_token(runtime, changes.pop("person", "ana"), **changes)
    assert runtime.ledger.records(ApiToken) == []


def test_tokens_of_others_need_a_right_of_their_own_and_the_attempt_is_recorded(runtime: Runtime) -> None:
    with pytest.raises(NotAuthorisedError, match="tokens of ben"):
        create_token(runtime, "ben")
    assert runtime.ledger.entries()[-1].event is Event.REFUSED
    record, token = create_token(as_person(runtime, "cleo"), "ben")
    assert recognised(runtime, token)[0].id == "ben"
    with pytest.raises(NotAuthorisedError):
        revoke_token(runtime, record.id)
    assert revoke_token(as_person(runtime, "ben"), record.id).revoked_by == "ben"


def test_a_revoked_token_is_refused_at_once_and_stays_revoked(runtime: Runtime) -> None:
    record, token = create_token(runtime, "ana")
    _, before = recognised(runtime, token)
    revoked = revoke_token(runtime, record.id)
    with pytest.raises(NotAuthorisedError, match="not accepted") as caught:
        recognised(runtime, token)
    assert "revoked at 2026-11-22" in (caught.value.why or "")
    note_use(runtime.configuration, runtime.ledger, before, runtime.actor, runtime.clock.now())
    with pytest.raises(NotAuthorisedError):
        recognised(runtime, token)
    assert revoke_token(runtime, record.id).revoked_at == revoked.revoked_at
    with pytest.raises(InputError, match="no token"):
        revoke_token(runtime, "TOK-none")


def test_a_token_ends_at_its_time(runtime: Runtime) -> None:
    _, token = create_token(runtime, "ana", lasts=timedelta(hours=1))
    assert isinstance(runtime.clock, FixedClock)
    runtime.clock.advance(3599)
    recognised(runtime, token)
    runtime.clock.advance(1)
    with pytest.raises(NotAuthorisedError) as caught:
        recognised(runtime, token)
    assert "expired at" in (caught.value.why or "")


def test_a_token_loses_what_its_person_loses(runtime: Runtime) -> None:
    _, token = create_token(runtime, "ana")
    smaller = runtime.configuration.model_copy(update={"roles": runtime.configuration.roles[1:]})
    assert recognise(smaller, runtime.ledger, token, NOW)[0].roles == ("reader",)
    gone = runtime.configuration.model_copy(update={"people": runtime.configuration.people[1:]})
    with pytest.raises(NotAuthorisedError):
        recognise(gone, runtime.ledger, token, NOW)


@pytest.mark.parametrize("wrong", ["", "snh_", "snh_" + "A" * 43, "x" * 10_000, "snh_" + "é" * 43])
def test_a_wrong_token_is_told_nothing(runtime: Runtime, wrong: str) -> None:
    create_token(runtime, "ana")
    with pytest.raises(NotAuthorisedError) as caught:
        recognised(runtime, wrong)
    assert caught.value.why == "it is not one of this service"


def test_a_token_whose_first_digits_match_another_is_still_compared_whole(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, _ = create_token(runtime, "ana")
    monkeypatch.setattr(tokens, "_id", lambda _token: record.id)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    with pytest.raises(NotAuthorisedError):
        recognised(runtime, "snh_" + "A" * 43)


def test_the_last_use_is_noted_once_an_hour(runtime: Runtime) -> None:
    _, token = create_token(runtime, "ana")
    assert isinstance(runtime.clock, FixedClock)
    for minutes in (0, 10, 40, 20):
        runtime.clock.advance(minutes * 60)
        person, record = recognised(runtime, token)
        note_use(runtime.configuration, runtime.ledger, record, person, runtime.clock.now())
    assert [entry.action for entry in runtime.ledger.entries()] == ["token.create", "token.use", "token.use"]
    assert recognised(runtime, token)[1].last_used_at == NOW + timedelta(minutes=70)


def test_the_chain_holds_with_tokens_in_it(runtime: Runtime) -> None:
    record, _ = create_token(runtime, "ana")
    revoke_token(runtime, record.id)
    checked = verify_ledger(runtime.ledger, _no_checkpoint)
    assert (checked.faults, checked.entries) == ([], 2)


def _no_checkpoint(_message: bytes, _armoured: str, _at: datetime) -> None:
    raise AssertionError("there is no checkpoint to check")


def test_a_wrong_token_gets_no_further_and_a_flood_is_counted(lab: ServiceLab) -> None:
    for _ in range(5):
        reply = lab.request("GET", "/v1/runs", token="snh_" + "A" * 43)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, 'Bearer realm="snaphold"')
    assert len(lab.events("service.authenticate")) == 1
    lab.listening.keeper.close(PATIENCE_SECONDS)  # else it may take the count just before the next refusal, and write it after
    assert isinstance(lab.runtime.clock, FixedClock)
    lab.runtime.clock.advance(61)
    lab.request("GET", "/v1/runs", token=None)
    entries = [one for one in lab.runtime.ledger.entries() if one.action == "service.authenticate"]
    assert [(one.event, one.detail["count"], one.detail["from"]) for one in entries] == [
        (Event.REFUSED, 1, "127.0.0.1"), (Event.REFUSED, 4, "127.0.0.1"), (Event.REFUSED, 1, "127.0.0.1"),
    ]  # fmt: skip


def test_what_was_counted_is_written_when_the_service_ends(lab: ServiceLab) -> None:
    for _ in range(3):
        lab.request("GET", "/v1/runs", token=None)
    lab.listening.service.refusals.close()
    counts = [one.detail["count"] for one in lab.runtime.ledger.entries() if one.action == "service.authenticate"]
    assert counts == [1, 2]


def test_whoami_tells_the_token_and_its_end(lab: ServiceLab) -> None:
    told = lab.request("GET", "/v1/whoami", token="ben").document
    assert (told["person"], told["roles"], told["may_approve"]) == ("ben", ["reader"], False)
    assert told["expires_at"].startswith("2027-02-20")


def test_a_grant_counts_only_for_a_token_that_may_use_grants(lab: ServiceLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snaphold.authority.refuse_signature", lambda *_: "")  # pyright: ignore[reportUnknownLambdaType]
    grant = Grant(
        id="GRANT-1", incident="INC-1", role="backup-emergency", actions=("toy.*",), issued_to="ben", issued_by=("ana",),
        issued_at=NOW, expires_at=NOW + timedelta(hours=1), justification="x",
    )  # fmt: skip
    from support.ledgers import note

    lab.runtime.ledger.append(note(), [grant])
    refused = lab.act(token="ben")
    assert (refused.status, "this token may not use grants" in refused.document["why"]) == (403, True)
    ben = as_person(lab.runtime, "ben")
    lab.tokens["ben+"] = create_token(ben, "ben", may_use_grants=True)[1]
    assert lab.act(token="ben+").status == 200
