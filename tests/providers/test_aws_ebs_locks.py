"""Locks of snapshots against the model of AWS's own client: moto has none, so requests and answers are held against it."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from typing import Any

import botocore.session
import pytest
from botocore.stub import ANY, Stubber

from snaphold.clock import FixedClock
from snaphold.config import Integration
from snaphold.errors import ProviderError
from snaphold.http_guard import CallBudget
from snaphold.providers.aws_ebs_locks import Lock, Locks, read_locks
from snaphold.providers.aws_ebs_snapshots import Snapshot
from snaphold.providers.aws_models import shared_loader
from snaphold.providers.aws_session import AwsService
from support.quick_aws import no_aws_pauses

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=timezone.utc)
UNTIL = datetime(2026, 12, 22, 18, 0, 1, tzinfo=timezone.utc)
SNAPSHOT = Snapshot("snap-0123456789abcdef0", "vol-1", "completed", 100, 8, NOW, "123456789012", "")
METADATA = {"ResponseMetadata": {"RequestId": "7a62c49f-347e-4fc4-9331-6e8eEXAMPLE"}}
TAGS = {"Resources": [SNAPSHOT.id], "Tags": ANY}


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Generator[Stubber]:
    no_aws_pauses(monkeypatch)
    bare: Any = botocore.session.Session()
    bare.register_component("data_loader", shared_loader())
    client = bare.create_client("ec2", "eu-west-1", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="only-for-tests")
    with Stubber(client) as made:
        yield made
        made.assert_no_pending_responses()


def ec2(stub: Stubber) -> AwsService:
    integration = Integration(name="my-aws", kind="aws_ebs", url="https://ec2.eu-west-1.amazonaws.com")
    return AwsService("ec2", stub.client, stub.client, integration, CallBudget("test"))


def locks(stub: Stubber, mode: str = "governance") -> Locks:
    return Locks(ec2(stub), mode, timedelta(days=3650), FixedClock(NOW))


def shown(state: str, until: datetime | None = UNTIL) -> dict[str, Any]:
    expires = {"LockExpiresOn": until} if until else {}
    return {"Snapshots": [{"SnapshotId": SNAPSHOT.id, "LockState": state, **expires}], **METADATA}


ASKED = {"SnapshotIds": [SNAPSHOT.id]}


def test_a_lock_is_asked_for_as_the_model_wants_it(stub: Stubber) -> None:
    stub.add_response("create_tags", METADATA, TAGS)
    stub.add_response("describe_locked_snapshots", {"Snapshots": [], **METADATA}, ASKED)
    stub.add_response("create_tags", METADATA, TAGS)
    wanted = {"SnapshotId": SNAPSHOT.id, "LockMode": "governance", "ExpirationDate": UNTIL}
    stub.add_response("lock_snapshot", {"SnapshotId": SNAPSHOT.id, "LockState": "governance", **METADATA}, wanted)
    stub.add_response("describe_locked_snapshots", shown("governance"), ASKED)
    assert "governance mode until 2026-12-22" in locks(stub).retain([SNAPSHOT], NOW + timedelta(days=30))


@pytest.mark.parametrize("state", ["compliance", "compliance-cooloff"])
def test_a_lock_in_compliance_mode_stays_in_it(stub: Stubber, state: str) -> None:
    early = UNTIL - timedelta(days=20)
    stub.add_response("create_tags", METADATA, TAGS)
    stub.add_response("describe_locked_snapshots", shown(state, early), ASKED)
    stub.add_response("create_tags", METADATA, TAGS)
    wanted = {"SnapshotId": SNAPSHOT.id, "LockMode": "compliance", "ExpirationDate": UNTIL}
    stub.add_response("lock_snapshot", {"SnapshotId": SNAPSHOT.id, "LockState": state, **METADATA}, wanted)
    stub.add_response("describe_locked_snapshots", shown(state), ASKED)
    locks(stub).retain([SNAPSHOT], NOW + timedelta(days=30))


def test_a_lock_in_governance_mode_is_made_stricter_when_the_pool_says_so(stub: Stubber) -> None:
    stub.add_response("create_tags", METADATA, TAGS)
    stub.add_response("describe_locked_snapshots", shown("governance"), ASKED)
    stub.add_response("create_tags", METADATA, TAGS)
    wanted = {"SnapshotId": SNAPSHOT.id, "LockMode": "compliance", "ExpirationDate": UNTIL}
    stub.add_response("lock_snapshot", {"SnapshotId": SNAPSHOT.id, "LockState": "compliance", **METADATA}, wanted)
    stub.add_response("describe_locked_snapshots", shown("compliance"), ASKED)
    locks(stub, "compliance").retain([SNAPSHOT], NOW + timedelta(days=30))


def test_the_lock_of_a_snapshot_that_is_not_complete_has_no_end_yet(stub: Stubber) -> None:
    stub.add_response("describe_locked_snapshots", shown("governance", None), ASKED)
    found = read_locks(ec2(stub), [SNAPSHOT])
    assert found == {SNAPSHOT.id: Lock("governance", None)}
    assert "some time after it is complete" in found[SNAPSHOT.id].text


def test_a_lock_that_has_expired_is_none(stub: Stubber) -> None:
    stub.add_response("describe_locked_snapshots", shown("expired"), ASKED)
    assert read_locks(ec2(stub), [SNAPSHOT]) == {}


def test_a_state_of_a_lock_that_nobody_knows_is_not_guessed(stub: Stubber) -> None:
    stub.add_response("describe_locked_snapshots", shown("frozen"), ASKED)
    with pytest.raises(ProviderError, match="not understood"):
        read_locks(ec2(stub), [SNAPSHOT])
