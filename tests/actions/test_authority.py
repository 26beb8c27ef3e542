"""authority.check_emergency and authority.revoke_grant."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from snaphold.actions.authority import CheckEmergency, RevokeGrant, check_emergency
from snaphold.actions.authority import revoke_grant as revoke
from snaphold.authority import issue_grant
from snaphold.authority_rules import Authority
from snaphold.clock import FixedClock
from snaphold.context import Context
from snaphold.domain.authority import Grant
from snaphold.errors import InputError
from snaphold.execute import execute
from support.ledgers import actor, configure, make_context, open_test_ledger

ACTION = "triage.promote_asset"


@pytest.fixture
def context(tmp_path: Path, clock: FixedClock) -> Context:
    configuration = configure(tmp_path, authority={"grant_required": [ACTION]}, roles=[
        {"name": "analyst", "members": ["ana"], "may": ["authority.*"]},
        {"name": "backup-emergency", "may": ["triage.*"]},
    ])  # fmt: skip
    return make_context(configuration, open_test_ledger(tmp_path, clock), clock)


def give(context: Context) -> Grant:
    return issue_grant(context, role="backup-emergency", lasts=timedelta(hours=1), approvers=["ben"], approval_id="APP-1")


def test_approval_is_needed_until_a_grant_is_there_and_after_it_ended(context: Context) -> None:
    ask = CheckEmergency(assets=["files-01", "orders-db"], action=ACTION)
    before = check_emergency(ask, context)
    assert (before.approval_needed, before.approvals, before.grant) == (True, 2, "")
    assert "there is no grant in this incident" in before.findings[0]
    grant = give(context)
    during = check_emergency(ask, context)
    assert (during.approval_needed, during.grant, during.findings) == (False, grant.id, [])
    execute("authority.revoke_grant", {"grant": grant.id, "reason": "done"}, context)
    after = check_emergency(ask, context)
    assert after.approval_needed
    assert "it was revoked" in after.findings[0]


def test_the_quorum_is_that_of_the_most_critical_tier(context: Context) -> None:
    assert check_emergency(CheckEmergency(assets=["files-01"], action=ACTION), context).approvals == 1
    assert check_emergency(CheckEmergency(action=ACTION), context).approvals == 2, "empty: the incident's assets"


def test_nothing_is_needed_where_the_configuration_asks_for_nothing(context: Context) -> None:
    free = configure(context.configuration.base / "free", roles=[{"name": "a", "members": ["ana"], "may": ["*"]}])
    found = check_emergency(CheckEmergency(action=ACTION), replace(context, configuration=free, actor=actor(free)))
    assert (found.approval_needed, found.grant, found.change_wanted) == (False, "", False)


def test_a_change_is_wanted_where_the_rules_name_a_change_system(context: Context) -> None:
    rule = {"grant_required": [ACTION], "change": {"integration": "itsm"}}
    ruled = context.configuration.model_copy(update={"authority": Authority.model_validate(rule)})
    found = check_emergency(CheckEmergency(action=ACTION), replace(context, configuration=ruled))
    assert (found.change_wanted, found.approval_needed) == (True, True), "a change does not stand in for an approval"


def test_unknown_names_are_refused(context: Context) -> None:
    with pytest.raises(InputError, match="does not know"):
        check_emergency(CheckEmergency(assets=["nowhere"], action=ACTION), context)
    with pytest.raises(InputError, match="no action"):
        check_emergency(CheckEmergency(action="backup.strat"), context)
    with pytest.raises(InputError, match="no grant"):
        revoke(RevokeGrant(grant="GRANT-none", reason="x"), context)


def test_revoking_twice_says_so_and_changes_nothing(context: Context, clock: FixedClock) -> None:
    grant = give(context)
    execute("authority.revoke_grant", {"grant": grant.id, "reason": "done"}, context)
    ended = context.ledger.record(Grant, grant.id)
    assert ended is not None
    assert ended.revoked_by == "ana"
    clock.advance(60)
    again = revoke(RevokeGrant(grant=grant.id, reason="again"), context)
    assert "revoked already at 2026-11-22T18:00:00.000Z by ana" in again.findings[0]
    assert context.staged == []
