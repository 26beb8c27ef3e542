"""Roles and grants: who may run what; every condition of a grant is checked at every use, and a refusal names it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from snaphold.action import Effect
from snaphold.authority import authorise, covers, issue_grant, reason_for_grant, refuse_grant, revoke_grant, signed_body
from snaphold.clock import FixedClock
from snaphold.context import Context
from snaphold.domain.authority import Grant
from snaphold.errors import InputError, NotAuthorisedError
from snaphold.evidence.signature import load_signer
from snaphold.execute import execute
from snaphold.ledger.entry import Event
from support.ledgers import INCIDENT, actor, configure, make_context, note, open_test_ledger
from support.toy_actions import install, toy

START = toy()
READ = toy(name="toy.read", effect=Effect.READS)
DESTROY = toy(name="toy.destroy", effect=Effect.DESTROYS)
BACKUP = toy(name="backup.start")


@pytest.fixture
def context(tmp_path: Path, clock: FixedClock) -> Context:
    """A context of ana, whose role allows toy.*; toy.start needs a grant all the same."""
    configuration = configure(tmp_path, authority={"grant_required": ["toy.st*"], "longest_grant": "4h"})
    return make_context(configuration, open_test_ledger(tmp_path, clock), clock, justification="ransomware")


def as_person(context: Context, person: str) -> Context:
    return replace(context, actor=actor(context.configuration, person))


def give(context: Context, **changes: Any) -> Grant:
    fields: dict[str, Any] = {
        "role": "backup-emergency", "lasts": timedelta(hours=2), "approvers": ["ben", "cleo"], "approval_id": "APP-1", **changes,
    }  # fmt: skip
    return issue_grant(context, **fields)


def refusal(context: Context, entry: Any = START) -> str:
    with pytest.raises(NotAuthorisedError) as caught:
        authorise(entry, context)
    assert caught.value.do
    return f"{caught.value.what}: {caught.value.why}"


def test_a_role_allows_by_name_and_pattern(context: Context) -> None:
    assert authorise(READ, context) == ""
    assert authorise(READ, as_person(context, "ben")) == ""
    assert "the roles of ben (reader) may: toy.read" in refusal(as_person(context, "ben"), DESTROY)
    assert "cleo has no role" in refusal(as_person(context, "cleo"), READ)


def test_patterns_are_case_sensitive_and_whole() -> None:
    assert covers(["backup.*"], "backup.start")
    assert not covers(["backup.*", "BACKUP.start", "start"], "evidence.start")
    assert not covers([], "backup.start")


def test_what_destroys_always_needs_a_grant_and_reads_never(context: Context) -> None:
    assert "always needs a grant" in reason_for_grant(DESTROY, context.configuration)
    assert "authority.grant_required" in reason_for_grant(START, context.configuration)
    assert reason_for_grant(toy(name="toy.state", effect=Effect.READS), context.configuration) == ""
    assert reason_for_grant(BACKUP, context.configuration) == ""
    for entry in (START, DESTROY):
        assert "there is no grant in this incident" in refusal(context, entry)


def test_a_grant_lets_the_requester_act_and_its_use_is_recorded(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    grant = give(context)
    assert authorise(START, context) == authorise(DESTROY, context) == grant.id
    install(monkeypatch, START)
    execute("toy.start", {}, context)
    assert [entry.detail.get("grant") for entry in context.ledger.entries()] == [grant.id] * 3


def test_a_grant_gives_the_rights_of_its_role_to_somebody_without_them(context: Context) -> None:
    cleo = as_person(context, "cleo")
    give(cleo, approvers=["ana"])
    assert authorise(START, cleo)
    assert "its role backup-emergency may only toy.*" in refusal_with_wide_actions(cleo)


def refusal_with_wide_actions(context: Context) -> str:
    """Return why a grant whose signed actions are wider than its role does not help."""
    (grant,) = context.ledger.records(Grant)
    wide = grant.model_copy(update={"actions": ("*",)})
    return refuse_grant(wide, "backup.start", "INC-1", context.actor, context.configuration, context.clock.now())


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"incident": "INC-2"}, "it is for incident INC-2"),
    ({"issued_to": "ben"}, "it was issued to ben"),
    ({"issued_by": ("ana",)}, "nobody but the requester approved it"),
    ({"issued_by": ()}, "nobody but the requester approved it"),
    ({"role": "gone"}, "its role gone is no longer in the configuration"),
    ({"actions": ("toy.other",)}, "it covers only toy.other"),
    ({"role": "reader"}, "its role reader may only toy.read"),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_each_failed_condition_is_named(context: Context, change: dict[str, Any], expected: str) -> None:
    grant = give(context).model_copy(update=change)
    now = context.clock.now()
    assert refuse_grant(grant, "toy.start", "INC-1", context.actor, context.configuration, now) == expected


def test_a_grant_ends_when_it_expires(context: Context, clock: FixedClock) -> None:
    grant = give(context)
    clock.advance(2 * 3600 - 0.001)
    assert authorise(START, context) == grant.id
    clock.advance(0.001)
    assert f"grant {grant.id}: it expired at 2026-11-22T20:00:00.000Z" in refusal(context)


def test_a_grant_does_not_count_before_it_was_issued(context: Context, clock: FixedClock) -> None:
    give(context)
    clock.advance(-1)
    assert "it is not valid before" in refusal(context)


def test_a_revoked_grant_stops_the_next_action(context: Context) -> None:
    grant = give(context)
    revoked = revoke_grant(as_person(context, "ben"), grant.id, "done")
    assert f"grant {grant.id}: it was revoked at 2026-11-22T18:00:00.000Z by ben" in refusal(context)
    assert revoke_grant(context, grant.id, "again") == revoked
    assert [entry.event for entry in context.ledger.entries()] == [Event.GRANT, Event.GRANT]
    with pytest.raises(InputError, match="no grant"):
        revoke_grant(context, "GRANT-none", "x")


def store(context: Context, grant: Grant) -> None:
    context.ledger.append(note(), [grant])


@pytest.mark.parametrize(
    "change",
    [{"expires_at": "later"}, {"issued_by": ("ben", "cleo", "dora")}, {"actions": ("*",)}, {"approval": "other"},
     {"justification": "other"}, {"signature": ""}],
)  # fmt: skip
def test_a_changed_grant_is_not_accepted(context: Context, change: dict[str, Any]) -> None:
    grant = give(context)
    if change.get("expires_at"):
        change = {"expires_at": grant.expires_at + timedelta(hours=1)}
    store(context, grant.model_copy(update=change))
    assert "its signature is not accepted" in refusal(context)


def test_a_signature_for_another_purpose_is_not_accepted(context: Context) -> None:
    grant = give(context)
    wrong = load_signer(context.configuration).sign(signed_body(grant), "evidence@snaphold")
    store(context, grant.model_copy(update={"signature": wrong}))
    assert "wrong namespace" in refusal(context)


def test_without_allowed_signers_no_grant_counts(context: Context) -> None:
    give(context)
    context.configuration.path("trust/allowed_signers").unlink()
    assert "the signature cannot be checked" in refusal(context)


def test_a_revoked_key_ends_its_grants(context: Context) -> None:
    give(context)
    assert authorise(START, context)
    context.configuration.path("trust/revoked_keys").write_text(load_signer(context.configuration).public_key + "\n")
    assert "the signing key is revoked" in refusal(context)


def test_every_grant_is_looked_at_and_every_refusal_listed(context: Context, clock: FixedClock) -> None:
    old = give(context, lasts=timedelta(minutes=1))
    clock.advance(60)
    narrow = give(context, approval_id="APP-2", actions=["toy.read"])
    message = refusal(context)
    assert f"grant {old.id}: it expired" in message
    assert f"grant {narrow.id}: it covers only toy.read" in message
    good = give(context, approval_id="APP-3")
    assert authorise(START, context) == good.id


def test_the_requester_cannot_approve(context: Context) -> None:
    with pytest.raises(NotAuthorisedError, match="ana cannot get this grant"):
        give(context, approvers=["ana"])
    with pytest.raises(NotAuthorisedError, match="ana cannot get this grant"):
        give(context, approvers=[])
    assert give(context, approvers=["ana", "ben"]).issued_by == ("ben",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"role": "nobody"}, "there is no role 'nobody'"),
        ({"approvers": ["dora"]}, "the approver 'dora' is unknown"),
        ({"lasts": timedelta(hours=4, seconds=1)}, "a grant cannot last"),
        ({"lasts": timedelta(0)}, "a grant cannot last"),
        ({"actions": ["backup.start"]}, "cannot cover backup.start"),
    ],
)
def test_a_grant_that_cannot_be_is_refused_and_nothing_recorded(context: Context, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        give(context, **change)
    assert context.ledger.entries() == []


def test_issuing_is_one_transaction_and_repeats_give_the_same_grant(context: Context, clock: FixedClock) -> None:
    grant = give(context)
    clock.advance(5)
    assert give(context) == grant
    (entry,) = context.ledger.entries()
    assert (entry.event, entry.justification) == (Event.GRANT, "ransomware")
    assert entry.detail["approvers"] == ["ben", "cleo"]
    assert [name.rpartition("/")[0] for name in entry.registers] == [f"grant/{grant.id}"]
    assert context.ledger.records(Grant, INCIDENT.id) == [grant]


def test_a_refusal_ends_up_in_the_trail_with_its_reason(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, DESTROY)
    with pytest.raises(NotAuthorisedError):
        execute("toy.destroy", {}, context)
    (entry,) = context.ledger.entries()
    assert entry.event is Event.REFUSED
    assert "always needs a grant" in entry.detail["why"]
